"""What staff see of a source's file without running it: a ladder of looks, each in a sandbox."""
