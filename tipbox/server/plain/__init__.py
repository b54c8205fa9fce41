"""The form that needs no script: it takes sealed files, and gives answers as files (docs/protocol.md, section 7)."""
