"""The vault: a folder that is encrypted at rest, and the records in it."""
