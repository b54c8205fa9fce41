"""Keys that systemd hands to a unit whose user could not read them (LoadCredential=): files in a folder, in memory.

A folder is handed over as flat names: ``onion_sources_hostname`` is the file ``hostname`` in the folder ``sources``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from tipbox.errors import InputRefused
from tipbox.formats.base.limits import MAX_ONION_FILE

SERVER_KEY: Final = "server.key"
_ONION: Final = "onion_"
_CLIENTS: Final = "authorized_clients"


def read_onion_credentials(folder: Path) -> dict[str, bytes]:
    """The files of tor's onion services, by their relative names.

    Raises:
        InputRefused: there are none.
    """
    found = {}
    for path in sorted(folder.glob(f"{_ONION}*")):
        service, _, name = path.name.removeprefix(_ONION).partition("_")
        if name.startswith(f"{_CLIENTS}_"):
            name = f"{_CLIENTS}/{name.removeprefix(f'{_CLIENTS}_')}"
        with path.open("rb") as file:
            found[f"{service}/{name}"] = file.read(MAX_ONION_FILE + 1)
    if not found:
        raise InputRefused(f"reading the onion keys: {folder} holds none; the unit's LoadCredential= must name them")
    return found
