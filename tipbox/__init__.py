"""tipbox: an anonymous tip line whose server only ever holds ciphertext."""

__version__ = "0.1.0"
