"""From a stick into the vault: Bundles, .tip files and tips in pieces."""
