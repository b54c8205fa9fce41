"""Domain separation: every label of docs/format.md, each for one use.

Of the labels that are followed by data, none is the beginning of another: two uses never hash the same bytes.
Reserved for what is to come: ``custody`` and ``toll``.
"""

from __future__ import annotations

from typing import Final

ORGANISATION: Final = b"tipbox/v1/organisation"
KEY: Final = b"tipbox/v1/key"
SERVER: Final = b"tipbox/v1/server"
MANIFEST: Final = b"tipbox/v1/manifest"
SITE: Final = b"tipbox/v1/site"
NOTICE: Final = b"tipbox/v1/notice"

PASSPHRASE_CHECK: Final = b"tipbox/v1/passphrase-check"
ROOT: Final = b"tipbox/v1/root"
MAILBOX_TOKEN: Final = b"tipbox/v1/mailbox-token"
MAILBOX_DECOY: Final = b"tipbox/v1/mailbox-decoy"
PAIR_KEY: Final = b"tipbox/v1/pair-key"
RESUME: Final = b"tipbox/v1/resume"
PLACE: Final = b"tipbox/v1/place"
CAPSULE: Final = b"tipbox/v1/capsule"
THREAD: Final = b"tipbox/v1/thread"

CONTENT_COMMITMENT: Final = b"tipbox/v1/content-commitment"
BODY_COMMITMENT: Final = b"tipbox/v1/body-commitment"
SLOT: Final = b"tipbox/v1/slot"
LETTER: Final = b"tipbox/v1/letter"
PARTS: Final = b"tipbox/v1/parts"
ENVELOPE_HASH: Final = b"tipbox/v1/envelope-hash"
ENVELOPE_ID: Final = b"tipbox/v1/envelope-id"
SEAL: Final = b"tipbox/v1/seal"
CHECK_DIGITS: Final = b"tipbox/v1/check-digits"
REPLY_CONTENT: Final = b"tipbox/v1/reply-content"
REPLY_SALT: Final = b"tipbox/v1/reply-salt"
PIECE: Final = b"tipbox/v1/piece"
QR_SET: Final = b"tipbox/v1/qr-set"
QR_CODE: Final = b"tipbox/v1/qr-code"
TIP_FILE: Final = b"tipbox/v1/tip-file"

BUNDLE_OUT: Final = b"tipbox/v1/bundle-out"
BUNDLE_IN: Final = b"tipbox/v1/bundle-in"
STAMP: Final = b"tipbox/v1/stamp"
HEAD: Final = b"tipbox/v1/head"
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
VAULT_FILE: Final = b"tipbox/v1/vault-file"
DESTRUCTION: Final = b"tipbox/v1/destruction"
VAULT_PERSON: Final = b"tipbox/v1/vault-person"
PERSON_SIGNING: Final = b"tipbox/v1/person-signing"
EVENT: Final = b"tipbox/v1/event"
CUSTODY: Final = b"tipbox/v1/custody"

# What tipbox/release/ signs (docs/releases.md): watchers and rebuilders, each with a key of their own.
WATCH: Final = b"tipbox/v1/watch"
REBUILT: Final = b"tipbox/v1/rebuilt"
