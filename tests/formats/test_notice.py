"""Notices: how they are signed, for how long they are shown, and their bounds from within."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

from support.organisations import refused
from tipbox.formats.base import canonical, labels
from tipbox.formats.base.limits import MAX_LANGUAGES, MAX_NOTICE, MAX_NOTICE_TEXT
from tipbox.formats.base.primitives import SigningKey, verify
from tipbox.formats.notice import Notice

KEY = SigningKey(bytes(32))
DAY = date(2026, 11, 23)


def notice(**change: Any) -> Notice:
    """The smallest: for one day, in one language, of one letter."""
    values = {"organisation": bytes(16), "start": DAY, "end": DAY + timedelta(1), "text": {"ru": "я"}}
    return Notice(**{**values, **change})


def test_a_desk_key_signs_it() -> None:
    made = notice(desk=b"another", signature=b"of before").signed_by(KEY)

    assert made == Notice.parse(made.encode())
    assert made.desk == KEY.verify_key.encode()
    verify(labels.NOTICE, canonical.encode(made.unsigned()), made.signature, made.desk)
    assert (made.organisation, made.start, made.end, made.text) == (bytes(16), DAY, DAY + timedelta(1), {"ru": "я"})


def test_it_is_shown_from_its_first_day_to_its_last() -> None:
    made = notice(end=DAY + timedelta(3)).signed_by(KEY)

    assert [made.shows(DAY + timedelta(at)) for at in (-2, -1, 0, 2, 3)] == [False, True, True, True, False]
    assert refused(lambda: made.check(made.end)) == "expired"
    assert refused(lambda: made.check(DAY - timedelta(2))) == "not-yet-valid"


def test_one_as_large_as_it_may_be_is_read() -> None:
    """A line feed takes two bytes in JSON."""

    def lines(feeds: int) -> dict[str, str]:
        each = [feeds // MAX_LANGUAGES + (at < feeds % MAX_LANGUAGES) for at in range(MAX_LANGUAGES)]
        words = ["\n" * count + "a" * (MAX_NOTICE_TEXT - count) for count in each]
        return dict(zip(map("a{}".format, "abcdefghijklmnop"), words, strict=True))

    size = len(notice(text=lines(0), desk=bytes(32), signature=bytes(64)).encode())
    made = notice(text=lines(MAX_NOTICE - size)).signed_by(KEY)

    assert len(made.encode()) == MAX_NOTICE
    assert refused(lambda: notice(text=lines(MAX_NOTICE - size + 1)).signed_by(KEY)) == "limit"
