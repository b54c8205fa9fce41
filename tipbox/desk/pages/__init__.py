"""The desk in a browser: pages on loopback, in a namespace that has no other network.

Nothing else of the desk may import a web framework or listen (docs/decisions/0016-pages-of-the-desk.md).
"""
