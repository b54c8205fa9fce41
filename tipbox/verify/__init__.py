"""Verifiers and watchers: whether what is served is what was released. It knows neither the server nor the desk."""
