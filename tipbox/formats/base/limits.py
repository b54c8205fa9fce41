"""Every size and bound of docs/format.md, in bytes unless the name says otherwise. Checked before any work is done."""

from __future__ import annotations

from typing import Final

KIB: Final = 1024
MIB: Final = 1024 * KIB
GIB: Final = 1024 * MIB

VERSION: Final = 1
KEY_SIZE: Final = 32
HASH_SIZE: Final = 32
ID_SIZE: Final = 16
TAG_SIZE: Final = 16
SALT_SIZE: Final = 32
MLKEM768_PUBLIC_SIZE: Final = 1184
XWING_PUBLIC_SIZE: Final = 1216
XWING_SEED_SIZE: Final = 32
XWING_ENC_SIZE: Final = 1120
SIGNATURE_SIZE: Final = 64

# Canonical JSON
MAX_JSON_DEPTH: Final = 8
MAX_SAFE_INTEGER: Final = 2**53 - 1

# Key manifest
MAX_MANIFEST: Final = 64 * KIB
MAX_RECEIVING_KEYS: Final = 16
MAX_LANGUAGES: Final = 16
MAX_LANGUAGE: Final = 35
MAX_ORGANISATION_NAME: Final = 200
MAX_SERIAL: Final = 2**31 - 1
MANIFEST_DAYS: Final = 56
MAX_MANIFEST_DAYS: Final = 91
MAX_RECEIVING_KEY_DAYS: Final = 91
RECEIVING_KEY_DAYS: Final = 14
SKEW_DAYS: Final = 1

# Site list
MAX_SITE_LIST: Final = 256 * KIB
MAX_ONIONS: Final = 16
MAX_ABOUT: Final = 200  # bytes of the line in which an organisation says who it is
MAX_FACE_NAME: Final = 48  # bytes
MAX_MARK: Final = 2000

# Notice
MAX_NOTICE: Final = 40 * KIB
MAX_NOTICE_TEXT: Final = 2000  # bytes of its words in one language
MAX_NOTICE_DAYS: Final = 91
MAX_NOTICES: Final = 8  # that a server gives out

# Envelope
HEADER_FIXED: Final = 120
SLOT_SECRETS: Final = 4 * KEY_SIZE
SLOT_SIZE: Final = 2 * ID_SIZE + XWING_ENC_SIZE + SLOT_SECRETS + TAG_SIZE
MAX_SLOTS: Final = 32
MAX_HEADER: Final = HEADER_FIXED + MAX_SLOTS * SLOT_SIZE
LETTER_BUCKETS: Final = (8 * KIB, 20 * KIB, 68 * KIB)
MAX_META: Final = 2 * MIB
MAX_MESSAGE: Final = 1_000_000
MAX_LETTER: Final = 4 * MIB
MAX_FILES: Final = 1000
MAX_NAME: Final = 255
MAX_TYPE: Final = 127
PART_SIZE: Final = 64 * KIB
SEALED_PART_SIZE: Final = PART_SIZE + TAG_SIZE
SESSION_NONCE_SIZE: Final = 16
ENVELOPE_PART_SIZE: Final = SESSION_NONCE_SIZE + SEALED_PART_SIZE
SEAL_SIZE: Final = 32
MAX_BODY: Final = 2**40
MAX_RUN_PARTS: Final = 64
MAX_FILES_FOLLOW: Final = 1000
MAX_CONSENT_LEVEL: Final = 5
MAX_NEVER: Final = 8
MAX_NEVER_TEXT: Final = 200

# Capsules
CAPSULE_PLACES: Final = 4
CAPSULE_PLAIN: Final = 4 * KEY_SIZE + 4 + MAX_SLOTS * KEY_SIZE
CAPSULE: Final = SALT_SIZE + CAPSULE_PLAIN + TAG_SIZE

# Pieces of an Envelope
MAX_PIECE_PARTS: Final = 1024
MAX_PIECES: Final = 2**20

# QR codes of an Envelope
QR_BLOCK: Final = 1000
QR_CODE: Final = 32 + QR_BLOCK + ID_SIZE
MAX_QR_BLOCKS: Final = 100  # of the Envelope's own bytes
MAX_QR_ENVELOPE: Final = MAX_QR_BLOCKS * QR_BLOCK
MAX_QR_CODES: Final = 125

# Bundle
BUNDLE_HEADER: Final = 1280
BUNDLE_WRAPPED: Final = XWING_ENC_SIZE + KEY_SIZE + TAG_SIZE
MAX_INDEX_PARTS: Final = 64
MAX_ITEMS: Final = 4096
MAX_ITEM: Final = 2**40 + 2**34
MAX_ACKS: Final = 100_000
MAX_REPORT_BUNDLES: Final = 1000
MAX_REPORT_VOLUMES: Final = 64
MAX_EFFORT: Final = 7
SMALLEST_VOLUME: Final = MIB

# Mailboxes: section 3.1 of the protocol
MAILBOX_TOKENS: Final = 32
MAILBOX_LIST: Final = 64 * KIB
MAILBOX_PIECE: Final = 256 * KIB
MAX_REPLIES: Final = 512
MAX_REPLY: Final = 256 * MIB

# Backup of a server
BACKUP_FIXED: Final = 96
BACKUP_HEADER: Final = BACKUP_FIXED + XWING_ENC_SIZE + KEY_SIZE + TAG_SIZE
MAX_OPERATOR_KEY: Final = 4 * KIB
MAX_BACKUP_FACTS: Final = 4 * KIB
MAX_BACKUP_SECRETS: Final = 2 * MIB
MAX_SETTINGS: Final = 64 * KIB
MAX_ONION_FILES: Final = 256
MAX_ONION_FILE: Final = 64 * KIB

# Canaries
MAX_CANARIES: Final = 1000
MAX_CANARY_LIST: Final = 64 * KIB

# Locked files
MAX_LOCKED: Final = 16 * MIB
ARGON2_MEMORY: Final = 64 * MIB
ARGON2_PASSES: Final = 3
