"""Fuzzes lists of sites, and entries alone."""

import atheris

with atheris.instrument_imports(include=["tipbox"]):
    from tipbox.formats.base.primitives import SigningKey
    from tipbox.formats.site_list import SiteEntry, SiteList

from harness import run


def target(data: bytes) -> None:
    kind = SiteList if b'"kind"' in data else SiteEntry
    assert kind.parse(data).encode() == data


KEY = SigningKey(bytes(range(32)))
UNSIGNED = SiteEntry("ili", "ILI", "", ("en",), KEY.verify_key.encode(), (f"{'a' * 56}.onion",))
ENTRY = UNSIGNED.signed_by(KEY)
run(target, [ENTRY.encode(), UNSIGNED.encode(), SiteList.of("ru", [ENTRY]).encode(), SiteList.of("en", []).encode()])
