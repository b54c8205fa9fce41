"""Tips as staff find them: summaries, the index, search, and what people note of a thread."""
