"""Cases of kind ``notice`` (docs/format.md, section 11.1)."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta
from typing import Any

import oracle
from oracle import ALPHA, BETA, Case, Signer, b64, case

LABEL = b"tipbox/v1/notice"
DAY = date(2026, 11, 23)


def unsigned(**change: Any) -> dict[str, Any]:
    value = {
        "desk": b64(ALPHA.desk.public), "from": DAY.isoformat(), "id": oracle.sha256(
            b"tipbox/v1/organisation", ALPHA.identity.public)[:16].hex(), "kind": "notice",
        "text": {"kk": "Жаңа көпір", "ru": "Новый мост:\nobfs4 192.0.2.1:80"}, "until": "2026-12-07", "version": 1,
    }  # fmt: skip
    return {**value, **change}


def signed(value: dict[str, Any], signer: Signer = ALPHA.desk, label: bytes = LABEL) -> dict[str, Any]:
    return {**value, "signature": b64(signer.sign(label, oracle.compact(value)))}


def cases() -> Iterator[Case]:
    """Section 11.1."""

    def given(value: dict[str, Any] | bytes, day: str) -> dict[str, Any]:
        file = value if isinstance(value, bytes) else oracle.file_form(value)
        return {"file": b64(file), **({"day": day} if day else {})}

    def reads(name: str, comment: str, value: dict[str, Any], day: str = "") -> Case:
        said = dict(sorted(value["text"].items()))
        output = {member: value[member] for member in ("desk", "from", "id", "until")}
        output |= {"languages": list(said), "words": list(said.values())}
        return case(f"notice/{name}", "ok", comment, given(signed(value), day), output)

    def fails(name: str, expect: str, comment: str, value: dict[str, Any] | bytes, day: str = "") -> Case:
        return case(f"notice/{name}", expect, comment, given(value, day))

    def bad(name: str, comment: str, **change: Any) -> Case:
        return fails(name, "malformed", comment, signed(unsigned(**change)))

    tags = [f"aa-{one:08d}" for one in range(16)]
    yield reads("plain", "in two languages, one of them in two lines", unsigned())
    long = {**dict.fromkeys(tags[1:], "a"), tags[0]: "a" * 2000}
    most = (DAY + timedelta(91)).isoformat()
    yield reads("most", "16 languages, 2,000 bytes, 91 days", unsigned(text=long, until=most))
    yield reads("day-before", "the one day before its first, for clocks that are wrong", unsigned(), "2026-11-22")
    yield reads("day-last", "its last day", unsigned(), "2026-12-06")
    yield fails("day-after", "expired", "the day after its last", signed(unsigned()), "2026-12-07")
    yield fails("day-early", "not-yet-valid", "two days before its first", signed(unsigned()), "2026-11-21")
    yield bad("days-92", "shown for 92 days", until=(DAY + timedelta(92)).isoformat())
    yield bad("days-0", "it ends when it begins", until=DAY.isoformat())
    yield bad("no-words", "in no language", text={})
    yield bad("languages-17", "in 17 languages", text=dict.fromkeys([*tags, "ru"], "a"))
    yield bad("language", "a tag that is none", text={"r": "a"})
    yield bad("empty", "no words in a language", text={"ru": ""})
    yield bad("long", "2,001 bytes in one language", text={"ru": "a" * 2001})
    yield bad("turned", "a character that turns the direction of the text", text={"ru": "a\u202eb"})
    yield bad("return", "a carriage return", text={"ru": "a\r\nb"})
    yield bad("list", "a list of words", text=["a"])
    yield bad("other-kind", "another kind", kind="site")
    yield bad("more", "one member more", link="x")
    yield fails("less", "malformed", "one member less", signed({k: v for k, v in unsigned().items() if k != "desk"}))
    yield bad("desk-zero", "a desk key of small order", desk=b64(bytes(32)))
    yield fails("version", "version", "another version", signed(unsigned(version=2)))
    yield fails("of-another", "bad-signature", "signed by another desk", signed(unsigned(), BETA.desk))
    yield fails("as-manifest", "bad-signature", "signed as a manifest", signed(unsigned(), label=b"tipbox/v1/manifest"))
    changed = {**signed(unsigned()), "until": "2026-12-08"}
    yield fails("changed", "bad-signature", "a day was added", changed)
    yield fails("compact", "malformed", "in compact form", oracle.compact(signed(unsigned())))
