"""The Envelope, layer by layer: header, letter, body, the whole, and replies (docs/format.md, section 4)."""
