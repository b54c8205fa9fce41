"""The server's configuration: one frozen value from ``HOME/tipbox.toml``, what systemd hands over, and the environment.

A unit with ``LoadCredential=stores.toml:…`` gets passwords of stores in memory; that file wins over the folder's.
Environment variables are ``TIPBOX_<SECTION>_<KEY>`` and win over the file. An unknown key in either is an error that
names the key and never its value. Nothing here lowers a check.
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Mapping
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Any, Final, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr, ValidationError
from pydantic_core import PydanticCustomError
from pydantic_settings import BaseSettings, EnvSettingsSource, InitSettingsSource, PydanticBaseSettingsSource

from tipbox.errors import Usage
from tipbox.formats.base.limits import GIB, KIB, MIB

FILE: Final = "tipbox.toml"
HANDED: Final = "stores.toml"
"""The same tables, as systemd's credential."""
_CREDENTIALS: Final = "CREDENTIALS_DIRECTORY"
PREFIX: Final = "TIPBOX_"
GB: Final = 1000**3
MB: Final = 1000**2
REPLACED: Final[Mapping[str, str]] = {
    "quota.letters_per_day": (
        "there is no bound of a day any more; remove this key, and set quota.letters_per_second and "
        "quota.letters_burst if the defaults do not suit"
    )
}
"""Keys of earlier versions, and what replaces them."""
NO_BIND: Final = "-"
"""Given to the master in place of the sources' bind: it serves couriers only."""


_ENCRYPTED: Final = frozenset({"https", "rediss", "valkeys"})


def is_local(host: str) -> bool:
    """Whether a store is on this machine: a socket's path, or an address that no network reaches."""
    if host.startswith(("/", "@")) or host == "localhost":
        return True
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def _demand_tls(url: str) -> str:
    """What goes to another machine goes by TLS; what is stored is sealed, but keys, passwords and times are not."""
    parts = urlsplit(url)
    if parts.hostname and parts.scheme not in _ENCRYPTED and not is_local(parts.hostname):
        raise PydanticCustomError("no_tls", "it is on another machine, and goes there without TLS (https, rediss)")
    return url


class Section(BaseModel):
    """A table of the file."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class Database(Section):
    """Where rows are kept."""

    url: SecretStr = SecretStr("")
    """Empty: SQLite in HOME. Or ``postgresql://…``."""


class Blobs(Section):
    """Where bodies are kept."""

    url: str = Field(default="", pattern=r"^(s3://[a-z0-9][a-z0-9.-]{1,62}(/[A-Za-z0-9._-]+)*/?)?$")
    """Empty: a folder in HOME. Or ``s3://bucket/prefix``."""
    endpoint: Annotated[str, AfterValidator(_demand_tls)] = ""
    """Of the S3 service, when it is not Amazon's: https://, or http:// on this machine."""
    region: str = "us-east-1"
    access_key: SecretStr = SecretStr("")
    secret_key: SecretStr = SecretStr("")


class Limits(Section):
    """Requests per minute of one circuit, and of all together. They slow (429), they never close."""

    url: Annotated[str, AfterValidator(_demand_tls)] = Field(
        default="memory://", pattern=r"^(memory|redis|rediss|valkey|valkeys|valkey\+unix|redis\+unix)://.*$"
    )
    """Where counts are kept: the workers' memory, or a Valkey or Redis without persistence."""
    pages: int = Field(default=240, ge=1)
    static: int = Field(default=1200, ge=1)
    """Scripts, style and lists of words: each page asks for up to three, and up to four lists."""
    open: int = Field(default=60, ge=1)
    """Attempts to open an upload, repeats of one that is open among them."""
    openings: int = Field(default=4, ge=1)
    """Uploads that a circuit opens at once; then one every ten minutes (openings.py)."""
    parts: int = Field(default=1200, ge=1)
    state: int = Field(default=300, ge=1)
    finish: int = Field(default=120, ge=1)
    mailbox: int = Field(default=240, ge=1)
    """Lists, pieces and deletings, each."""
    all_per_second: int = Field(default=2000, ge=1)
    """All circuits together, per second."""

    @property
    def valkey(self) -> str:
        """The address of a Valkey, also where a Redis is named: only Valkey's client is installed. Else empty."""
        if self.url.startswith("memory:"):
            return ""
        return self.url.replace("redis", "valkey", 1) if self.url.startswith("redis") else self.url

    @property
    def valkey_options(self) -> dict[str, str | int]:
        """Valkey's client compares no names by itself: any certificate that somebody trusted has signed would do."""
        return {"ssl_check_hostname": True} if self.valkey.startswith("valkeys:") else {}

    @property
    def per_minute(self) -> int:
        """Requests of one circuit of all kinds together; a mailbox has three."""
        return self.pages + self.static + self.open + self.parts + self.state + self.finish + 3 * self.mailbox


class Retention(Section):
    """How long things are kept, in days that the server itself has seen."""

    days: int = Field(default=90, ge=1, le=90)
    """Envelopes that not every organisation has carried. No longer: desks destroy the keys that open them."""
    draft_days: int = Field(default=14, ge=1, le=14)
    """Uploads that were begun and not finished."""
    reply_days: int = Field(default=90, ge=1, le=3650)
    """Replies that wait for their source."""


class Quota(Section):
    """How much is taken in. What is stored stays safe when any of these is reached."""

    drafts: int = Field(default=10_000, ge=1)
    """Unfinished uploads at a time. When they are too many, those of earlier days give way (quota.py)."""
    draft_bytes: int = Field(default=32 * GB, ge=1)
    """What unfinished uploads have announced, all together."""
    letters_per_day: None = None
    """Of earlier versions: refused with what replaces it (REPLACED)."""
    letters_per_second: float = Field(default=5, gt=0, le=10_000)
    """Envelopes without files that come in for good; more of them empty the bucket (buckets.py)."""
    letters_burst: int = Field(default=20_000, ge=1)
    """What the bucket of letters holds; below half of it, openings have a price."""
    long_letter_bytes: int = Field(default=256 * MB, ge=1)
    """What the bucket of letters above LONG_LETTER holds: they cannot fill the room for common ones."""
    long_letter_bytes_per_second: float = Field(default=64 * KIB, gt=0)
    arriving_letter_bytes: int = Field(default=256 * MB, ge=1)
    """What has come of long letters that are not complete yet, over all connections."""
    arriving_bytes: int = Field(default=4 * GB, ge=1)
    """The same of parts of bodies."""
    carry_capacity: int = Field(default=64 * GB, ge=1)
    """Bytes of bodies that wait for the couriers at a time: what they can carry."""
    reply_bytes: int = Field(default=8 * GB, ge=1)
    """Bytes of all replies together; each organisation may use an equal share."""
    reserve_percent: int = Field(default=20, ge=1, le=90)
    """Part of the disk that bodies leave free for Envelopes without files, up to LARGEST_RESERVE."""


class Server(Section):
    """The processes."""

    workers: int = Field(default=2, ge=1, le=64)
    connections: int = Field(default=4000, ge=64, le=100_000)
    """Open connections of each worker."""
    proxy_protocol: Literal["auto", "on"] = "auto"
    """auto: Tor's circuit line is demanded on ``unix:`` binds. on: on TCP too."""
    language: str = Field(default="en", pattern=r"^[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*$")
    """Of the start page, where no site list says it."""


class Plain(Section):
    """The form that needs no script. It can ask nobody for work, so it opens few uploads; what is open goes on."""

    bind: str = Field(default="", pattern=r"^(unix:/[^\s]+|[^\s/]+:[0-9]{1,5})?$")
    """Where it listens; empty: there is none."""
    requests: int = Field(default=60, ge=1)
    """Requests of one circuit per minute, of each kind."""
    openings_per_hour: float = Field(default=60, gt=0, le=100_000)
    """Uploads that it opens for good; more of them empty its bucket, and then it opens none."""
    openings_burst: int = Field(default=60, ge=1)
    """What that bucket holds."""
    bytes_per_hour: float = Field(default=512 * MB, gt=0)
    """The same, of bytes that these announce."""
    bytes_burst: int = Field(default=4 * GB, ge=1)
    arriving_bytes: int = Field(default=256 * MB, ge=1)
    """What has come of parts and long letters that are not complete yet, over all connections."""


class Config(BaseSettings):
    """The whole configuration."""

    model_config = {
        "frozen": True,
        "extra": "forbid",
        "hide_input_in_errors": True,
        "env_prefix": PREFIX,
        "env_nested_delimiter": "_",
        "env_nested_max_split": 1,
    }

    database: Database = Database()
    blobs: Blobs = Blobs()
    limits: Limits = Limits()
    retention: Retention = Retention()
    quota: Quota = Quota()
    server: Server = Server()
    plain: Plain = Plain()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """The environment wins over the file, which comes as arguments; nothing else is read."""
        del settings_cls, dotenv_settings, file_secret_settings
        if not isinstance(init_settings, InitSettingsSource) or not isinstance(env_settings, EnvSettingsSource):
            raise TypeError("pydantic-settings gave other sources than it documents")
        return env_settings, init_settings


def load(home: Path, environ: Mapping[str, str] | None = None) -> Config:
    """The configuration of the server in ``home``.

    Args:
        home: the server's folder.
        environ: what to look for unknown keys and systemd's folder in; the process's own by default.

    Raises:
        Usage: a key is unknown or has a value that it cannot have; the key is named.
    """
    environ = os.environ if environ is None else environ
    _refuse_unknown(environ)
    path = home / FILE
    values = _read(path)
    for table, keys in _read_handed(environ).items():
        own = values.get(table)
        values[table] = own | keys if isinstance(own, dict) and isinstance(keys, dict) else keys
    try:
        return Config(**values)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        key = ".".join(str(part) for part in first["loc"])
        what = "there is no such key" if first["type"] == "extra_forbidden" else _without_capital(first["msg"])
        what = REPLACED.get(key, what)
        raise Usage(f"reading the configuration ({path} and the environment): {key}: {what}; correct it") from None


def _without_capital(sentence: str) -> str:
    return sentence[:1].lower() + sentence[1:]


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        # Where, and nothing of what stands there: it may be a password.
        where = re.search(r"\(at (line [0-9]+), column [0-9]+\)$", str(error))
        raise Usage(f"reading {path}{', ' + where[1] if where else ''}: this is not TOML; correct the file") from None


def _read_handed(environ: Mapping[str, str]) -> dict[str, Any]:
    folder = environ.get(_CREDENTIALS)
    return _read(Path(folder) / HANDED) if folder else {}


def _refuse_unknown(environ: Mapping[str, str]) -> None:
    known = {
        f"{PREFIX}{section}_{key}".upper()
        for section, field in Config.model_fields.items()
        if isinstance(field.annotation, type) and issubclass(field.annotation, Section)
        for key in field.annotation.model_fields
    }
    for name in sorted(environ):
        if name.upper().startswith(PREFIX) and name.upper() not in known:
            raise Usage(f"reading the configuration from the environment: there is no key {name}; correct it")


LONG_LETTER: Final = 20 * KIB
"""Plaintext bytes of the largest common letter: a text of 16 KiB, several pages, and what belongs to it."""
SMALL_FREE: Final = 64 * MIB
"""Bytes of disk below which nothing at all is taken in: the database needs room to delete."""
LARGEST_RESERVE: Final = 4 * GIB
"""Bytes that bodies leave to texts at most: some 100,000 of them, however large the disk is."""
LARGEST_VOLUME: Final = GIB
"""Bytes of a volume's contents at which the next one begins; one Envelope may be larger."""
