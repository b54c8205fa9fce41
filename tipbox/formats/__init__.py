"""The formats of docs/format.md as pure functions: no file system but streams, no web, no database."""
