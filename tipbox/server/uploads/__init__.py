"""Uploads: taken in as a stream, kept as drafts, finished as Envelopes. It knows no Flask."""
