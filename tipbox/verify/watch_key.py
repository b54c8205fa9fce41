"""The key of a watcher or rebuilder: an Ed25519 seed in a file of its own, which says only who writes the lines."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from tipbox.errors import Malformed
from tipbox.files.durable import write_file
from tipbox.formats.base import canonical, fields
from tipbox.formats.base.limits import KEY_SIZE, KIB
from tipbox.formats.base.primitives import SigningKey, random_bytes

_MOST: Final = KIB


def read_key(path: Path) -> SigningKey:
    """The key of a file; made, readable by its owner alone, where there is none.

    Raises:
        Malformed: the file is no such key.
    """
    try:
        with path.open("rb") as file:
            data = file.read(_MOST)
    except FileNotFoundError:
        seed = random_bytes(KEY_SIZE)
        value: dict[str, canonical.Json] = {"kind": "watch-key", "seed": fields.to_base64(seed), "version": 1}
        write_file(path, canonical.encode(value, file_form=True))
        return SigningKey(seed)
    try:
        value = fields.members(canonical.decode(data, file_form=True), ("kind", "seed", "version"))
        seed = fields.binary(value, "seed", KEY_SIZE)
    except Malformed as error:
        raise Malformed(f"reading {path}: this is not the key of a watcher") from error
    if value["kind"] != "watch-key":
        raise Malformed(f"reading {path}: this is not the key of a watcher")
    fields.check_version(fields.number(value, "version"))
    return SigningKey(seed)
