"""Looking after a server: check, status, settle, prune, and what a seized disk shows."""
