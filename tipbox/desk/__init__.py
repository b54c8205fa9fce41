"""The desk: an air-gapped machine where Bundles are opened. Nothing in this package opens a network connection."""
