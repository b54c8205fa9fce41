"""The commands of the server's operator."""
