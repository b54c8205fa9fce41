"""What every format stands on: primitives, labels, limits, days, padding, canonical JSON."""
