"""The organisation's keys: the ceremony, the identity file, the key stick, and their destruction."""
