"""Capsules: what one holds, and that only the header and the letter that it was made for are taken."""

from __future__ import annotations

from dataclasses import replace

import pytest

from continuing.uploads import Source, Upload
from support.organisations import refused
from support.sealed import Organisation
from tipbox.errors import Tampered
from tipbox.formats.base.primitives import sha256
from tipbox.formats.envelopes.capsule import Capsule


@pytest.fixture
def upload() -> Upload:
    """To one of three organisations."""
    three = [Organisation(name) for name in ("fidh", "kibhr", "ili")]
    return Source().seal(three, three[1:2])


def test_it_holds_what_continues_the_upload(upload: Upload) -> None:
    sealed = upload.sealed
    made = Capsule.of(sealed, upload.token)

    assert (made.token, made.header_hash, made.letter_hash) == (upload.token, sealed.header.hash, sha256(sealed.letter))
    ((at, chosen),) = ((at, slot) for at, slot in enumerate(sealed.slots) if slot is not None)
    assert made.content_key == chosen.content_key
    assert made.seal_secrets == tuple(chosen.seal_secret if one == at else None for one in range(3))
    assert Capsule.open(upload.source.secrets.resume, upload.capsule) == replace(
        made, seal_secrets=(*made.seal_secrets, *[None] * 29)
    )


def test_it_gives_back_the_header_and_the_letter_that_it_was_made_for(upload: Upload) -> None:
    found = Capsule.of(upload.sealed, upload.token).check(upload.sealed.opening)

    assert (found.header, found.sealed_letter) == (upload.sealed.header, upload.sealed.letter)
    assert [entry.name for entry in found.letter.files] == ["a.bin"]


def test_another_header_or_another_letter_is_refused(upload: Upload) -> None:
    made = Capsule.of(upload.sealed, upload.token)
    opening = upload.sealed.opening
    for other in (replace(made, header_hash=bytes(32)), replace(made, letter_hash=bytes(32))):
        with pytest.raises(Tampered):
            other.check(opening)
    header = upload.sealed.header.encoded
    assert refused(lambda: made.check(header)) == "tampered"  # and no letter
    assert refused(lambda: made.check(header[:-1])) == "truncated"
