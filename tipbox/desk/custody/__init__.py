"""The chain of custody: what was done at this desk, in the order in which it was done."""
