"""Mailboxes: replies are deposited by Bundles and read by their sources."""
