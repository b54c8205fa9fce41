"""The source's commands: sealing a tip into a file, and sending one to a server."""
