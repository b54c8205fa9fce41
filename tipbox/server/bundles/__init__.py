"""Bundles to and from the organisations, on the server's side."""
