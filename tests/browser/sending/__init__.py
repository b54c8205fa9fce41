"""What becomes of what a source sends: words first, nothing lost without a question, and the code."""
