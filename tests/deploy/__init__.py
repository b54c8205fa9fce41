"""Installing, guarding and upgrading a server."""
