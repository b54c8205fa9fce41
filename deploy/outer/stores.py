"""Turns the URLs of stores on other machines into what install.sh puts into /etc: settings, relays, and their names.

Run by Debian's own Python, before anything else is installed. Passwords come from a file, never from the command line:
that one is seen by every process of the machine.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

SECRETS = ("database_password", "blobs_access_key", "blobs_secret_key", "rates_password")
LARGEST_SECRETS = 65536
NAME = re.compile(r"(?=.{1,253}$)(?!.*\.\d+$)(?!\d+$)[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*")
WORD = r"[A-Za-z0-9_.-]+"
PATHS = {
    "database": re.compile(WORD),
    "blobs": re.compile(rf"[a-z0-9][a-z0-9.-]{{1,62}}(/{WORD})*"),
    "rates": re.compile(r"\d{0,3}", re.ASCII),
}
PORTS = {"postgresql": 5432, "https": 443, "rediss": 6379, "valkeys": 6379}
SCHEMES = {"database": ("postgresql",), "blobs": ("https",), "rates": ("rediss", "valkeys")}
SHAPES = {
    "database": "postgresql://USER@HOST[:PORT]/NAME",
    "blobs": "https://HOST[:PORT]/BUCKET[/PREFIX][?region=REGION]",
    "rates": "rediss://[USER@]HOST[:PORT][/NUMBER]",
}
WORDS = {"database": "the database", "blobs": "the bucket", "rates": "the counts of rates"}
SOCKET = """\
# Written by install.sh. The private network's end of the relay to {what}.
[Unit]
Description=tipbox: the server's way to {what}
Requires=tipbox-network.service
After=tipbox-network.service
JoinsNamespaceOf=tipbox-network.service

[Socket]
ListenStream={address}:{port}
PrivateNetwork=yes

[Install]
WantedBy=sockets.target
"""


class RefusedError(Exception):
    """What was given cannot be meant; the message says what to do."""


@dataclass(frozen=True)
class Store:
    """A store on another machine."""

    kind: str
    scheme: str
    user: str
    host: str
    port: int
    path: str
    query: dict[str, str]


def read_store(kind: str, url: str) -> Store:
    """The parts of a URL.

    Raises:
        RefusedError: it is not of the shape that this store has.
    """
    option, shape = f"--{kind}", SHAPES[kind]
    try:
        parts = urlsplit(url)
        port = parts.port
        query = dict(parse_qsl(parts.query, strict_parsing=True)) if parts.query else {}
    except ValueError:
        raise RefusedError(f"{option} takes {shape}") from None
    if parts.scheme not in SCHEMES[kind] or parts.fragment:
        raise RefusedError(f"{option} takes {shape}")
    if parts.password is not None or (kind == "blobs" and parts.username is not None):
        raise RefusedError(f"{option}: no password in the URL, where every process sees it; put it into --secrets FILE")
    if not NAME.fullmatch(parts.hostname or "") or parts.hostname == "localhost":
        raise RefusedError(f"{option}: name the other machine as its certificate does, not by an address")
    known = {"database": {"sslmode"}, "blobs": {"region"}, "rates": set()}[kind]
    if kind == "database" and query.setdefault("sslmode", "verify-full") != "verify-full":
        raise RefusedError(f"{option}: sslmode is verify-full, or is left out")
    if unknown := sorted(set(query) - known):
        raise RefusedError(f"{option}: {unknown[0]} is not known here")
    path = parts.path.strip("/")
    user = parts.username or ""
    if not PATHS[kind].fullmatch(path) or not re.fullmatch(WORD if kind == "database" else f"({WORD})?", user):
        raise RefusedError(f"{option} takes {shape}")
    return Store(kind, parts.scheme, user, parts.hostname or "", port or PORTS[parts.scheme], path, query)


def read_secrets(path: Path | None) -> dict[str, str]:
    """Passwords and keys by their names.

    Raises:
        RefusedError: the file is not TOML with these names.
    """
    if path is None:
        return {}
    if path.stat().st_mode & 0o077:
        sys.stderr.write(f"note: others than root can read {path}; chmod 600, or remove it afterwards\n")
    with path.open("rb") as file:
        data = file.read(LARGEST_SECRETS + 1)
    try:
        values = tomllib.loads(data.decode()) if len(data) <= LARGEST_SECRETS else {"": ""}
    except ValueError:
        raise RefusedError(f"--secrets: {path} is not TOML; write lines such as {SECRETS[0]} = '…'") from None
    for name, value in values.items():
        if name not in SECRETS or not isinstance(value, str) or not value.isprintable():
            raise RefusedError(f"--secrets: {path} may hold texts named {', '.join(SECRETS)}, and nothing else")
    return values


def settings(stores: list[Store], secrets: dict[str, str]) -> dict[str, dict[str, str]]:
    """What the server reads, as tables of tipbox.toml."""
    tables: dict[str, dict[str, str]] = {}
    for store in stores:
        place = f"{store.host}:{store.port}"
        password = secrets.get(f"{store.kind}_password")
        user = store.user + (f":{quote(password, safe='')}" if password else "")
        who = f"{user}@" if user else ""
        if store.kind == "blobs":
            tables["blobs"] = {"url": f"s3://{store.path}", "endpoint": f"https://{place}"}
            tables["blobs"] |= {"region": store.query["region"]} if "region" in store.query else {}
            for key in ("access_key", "secret_key"):
                if f"blobs_{key}" not in secrets:
                    raise RefusedError(f"--blobs needs blobs_{key} in --secrets FILE")
                tables["blobs"][key] = secrets[f"blobs_{key}"]
        else:
            query = f"?{urlencode(store.query)}" if store.query else ""
            table = "database" if store.kind == "database" else "limits"
            tables[table] = {"url": f"{store.scheme}://{who}{place}/{store.path}{query}"}
    return tables


def addresses(stores: list[Store]) -> dict[str, str]:
    """An address of the private loopback for each host.

    Raises:
        RefusedError: two stores are at one place.
    """
    places = [(store.host, store.port) for store in stores]
    if len(set(places)) != len(places):
        raise RefusedError("two stores are at one host and port; each needs its own")
    hosts = list(dict.fromkeys(store.host for store in stores))
    return {host: f"127.0.0.{number}" for number, host in enumerate(hosts, start=2)}


def write(out: Path, stores: list[Store], secrets: dict[str, str]) -> None:
    """Everything into a folder; install.sh knows what goes where."""
    names = addresses(stores)
    tables = settings(stores, secrets)
    lines = ["# Written by install.sh: where the server's stores are. Handed to the units by LoadCredential=."]
    for table, values in tables.items():
        lines += [
            "",
            f"[{table}]",
            *(f"{key} = {json.dumps(value, ensure_ascii=False)}" for key, value in values.items()),
        ]
    (out / "stores.toml").write_text("\n".join(lines) + "\n", encoding="utf-8")
    hosts = ["127.0.0.1 localhost", *(f"{address} {host}" for host, address in names.items())]
    (out / "hosts").write_text("\n".join(hosts) + "\n")
    relays = [f"{store.kind.upper()}={store.host}:{store.port}" for store in stores]
    (out / "relays.env").write_text("\n".join(relays) + "\n")
    (out / "ports").write_text(", ".join(str(port) for port in sorted({one.port for one in stores})) + "\n")
    for store in stores:
        text = SOCKET.format(what=WORDS[store.kind], address=names[store.host], port=store.port)
        (out / f"tipbox-{store.kind}.socket").write_text(text)


def main() -> int:
    """The command line. 0, or 1 when something is refused."""
    parser = argparse.ArgumentParser(prog="stores.py", description=__doc__)
    for kind, shape in SHAPES.items():
        parser.add_argument(f"--{kind}", metavar="URL", help=shape)
    parser.add_argument("--secrets", type=Path, metavar="FILE", help=f"TOML: {', '.join(SECRETS)}")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR")
    given = parser.parse_args()
    try:
        stores = [read_store(kind, url) for kind in SHAPES if (url := getattr(given, kind))]
        write(given.out, stores, read_secrets(given.secrets))
    except (RefusedError, OSError) as error:
        sys.stderr.write(f"install.sh: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
