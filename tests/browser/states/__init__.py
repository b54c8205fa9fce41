"""The pages in each of their states: left, looked at, and walked through."""
