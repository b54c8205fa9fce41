"""Backups: making, keeping, restoring and trying them out (docs/format.md, section 9)."""
