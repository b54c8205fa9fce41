"""The commands of the air-gapped machine."""
