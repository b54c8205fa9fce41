"""The processes of a running server: gunicorn's arbiter, its workers and their connections."""
