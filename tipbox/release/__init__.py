"""What a release is and who signed it (docs/releases.md); pure, and reading its folder."""
