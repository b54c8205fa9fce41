"""The source's pages in real browsers."""
