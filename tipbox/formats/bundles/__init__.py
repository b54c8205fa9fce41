"""The Bundle and its small items, which cross the air gap (docs/format.md, section 5)."""
