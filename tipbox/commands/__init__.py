"""The commands, one module for each role. A command parses, calls and prints; what it does lies elsewhere."""
