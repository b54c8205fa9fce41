"""Domain separation: every label of docs/format.md, each for one use."""

from __future__ import annotations

from typing import Final

ORGANISATION: Final = b"tipbox/v1/organisation"
KEY: Final = b"tipbox/v1/key"
SERVER: Final = b"tipbox/v1/server"
MANIFEST: Final = b"tipbox/v1/manifest"

PASSPHRASE_CHECK: Final = b"tipbox/v1/passphrase-check"
ROOT: Final = b"tipbox/v1/root"
MAILBOX_TOKEN: Final = b"tipbox/v1/mailbox-token"
REPLY_KEY: Final = b"tipbox/v1/reply-key"
PAIR_KEY: Final = b"tipbox/v1/pair-key"
RESUME: Final = b"tipbox/v1/resume"
THREAD: Final = b"tipbox/v1/thread"
CHECK_WORDS: Final = b"tipbox/v1/check-words"

CONTENT_COMMITMENT: Final = b"tipbox/v1/content-commitment"
BODY_COMMITMENT: Final = b"tipbox/v1/body-commitment"
SLOT: Final = b"tipbox/v1/slot"
LETTER: Final = b"tipbox/v1/letter"
PARTS: Final = b"tipbox/v1/parts"

BUNDLE: Final = b"tipbox/v1/bundle"
BUNDLE_COMMITMENT: Final = b"tipbox/v1/bundle-commitment"
BUNDLE_KEY: Final = b"tipbox/v1/bundle-key"
BUNDLE_STREAM: Final = b"tipbox/v1/bundle-stream"
ACK: Final = b"tipbox/v1/ack"

BACKUP_KEY: Final = b"tipbox/v1/backup-key"
BACKUP_COMMITMENT: Final = b"tipbox/v1/backup-commitment"
BACKUP_STREAM: Final = b"tipbox/v1/backup-stream"
BACKUP_SECRETS: Final = b"tipbox/v1/backup-secrets"

# What a desk keeps for itself (tipbox/desk/); no other program reads it.
VAULT_NAMES: Final = b"tipbox/v1/vault-names"
VAULT_VALUES: Final = b"tipbox/v1/vault-values"
DESTRUCTION: Final = b"tipbox/v1/destruction"
