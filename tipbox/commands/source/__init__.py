"""The commands of sources: sealing, sending, reading replies."""
