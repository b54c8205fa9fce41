"""The server: takes Envelopes, stores them, hands them over in Bundles. It only ever holds ciphertext."""
