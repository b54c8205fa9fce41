"""Replies: whom they are from, and that either side could have made all that the two have said (format.md, 4.6)."""

from __future__ import annotations

import io
from dataclasses import replace
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.organisations import QUICK, changed, read_files, refused
from tipbox.errors import InputRefused, Malformed, NotForYou, Tampered
from tipbox.formats.access_code import Secrets, thread_id
from tipbox.formats.base.limits import ID_SIZE, KEY_SIZE
from tipbox.formats.base.primitives import new_seed, random_bytes, sha256, xwing_public
from tipbox.formats.envelopes import reply as replies
from tipbox.formats.envelopes.envelope import Reading, Recipient, Sealed, read_envelope, seal
from tipbox.formats.envelopes.header import Kind, OpenedSlot, open_slot
from tipbox.formats.envelopes.letter import FileEntry, Letter, open_letter
from tipbox.formats.envelopes.reply import open_reply, seal_reply
from tipbox.formats.envelopes.seals import EnvelopeHash, check_seal, envelope_id
from tipbox.formats.manifest import key_id

SOURCE = Secrets(random_bytes(KEY_SIZE))
STRANGER = Secrets(random_bytes(KEY_SIZE))
KIBHR, ILI, FIDH = (random_bytes(ID_SIZE) for _ in range(3))
SEEDS = {one: new_seed() for one in (KIBHR, ILI, FIDH)}
KNOWN = (KIBHR, ILI, FIDH)
DAY = date(2026, 11, 23)


def letter(message: bytes = b"When was this?") -> Letter:
    """A letter of a reply."""
    return Letter(message, (), random_bytes(KEY_SIZE), random_bytes(ID_SIZE), day=DAY)


def words(message: bytes = b"It was on the fifth.") -> Letter:
    """A letter of a tip."""
    return replace(letter(message), day=None)


def reading(sealed: Sealed, kind: Kind = Kind.REPLY) -> Reading:
    return read_envelope(io.BytesIO(sealed.opening), kind)


def read(sealed: Sealed, organisation: bytes, secrets: Secrets = SOURCE) -> Letter:
    """As the source opens what lies in its mailbox of an organisation."""
    return open_reply(reading(sealed), secrets.pair_key(organisation))


def tip(secrets: Secrets, chosen: tuple[bytes, ...], what: Letter) -> Sealed:
    """A tip to those who are chosen, fillers for the others."""
    return seal(
        [
            Recipient(
                one,
                key_id(xwing_public(SEEDS[one])),
                xwing_public(SEEDS[one]),
                *((secrets.pair_key(one), secrets.mailbox_address(one)) if one in chosen else (None,)),
            )
            for one in KNOWN
        ],
        what,
    )


def at_desk(sealed: Sealed, organisation: bytes) -> tuple[OpenedSlot, Letter]:
    """What an organisation's desk opens with its receiving key, seal and all."""
    whole = sealed.opening + sealed.trailer(EnvelopeHash(sealed.header.encoded, sealed.letter).digest())
    found = read_envelope(io.BytesIO(whole))
    slot = open_slot(found.header, organisation, lambda _: SEEDS[organisation])
    opened = open_letter(found.header, slot.content_key, found.letter)
    check_seal(found.header, organisation, slot, found.end())
    return slot, opened


def test_a_reply_is_from_the_one_whose_pair_key_opens_it() -> None:
    for organisation in KNOWN:
        sealed = seal_reply(SOURCE.pair_key(organisation), letter())
        assert read(sealed, organisation).message == b"When was this?"
        for other in KNOWN:
            if other != organisation:
                with pytest.raises(NotForYou):
                    read(sealed, other)


def test_a_reply_to_another_source_does_not_open() -> None:
    with pytest.raises(NotForYou):
        read(seal_reply(SOURCE.pair_key(KIBHR), letter()), KIBHR, STRANGER)


def test_another_organisation_cannot_speak_for_kibhr() -> None:
    """ILI, or a thief of ILI's vault, has all that the tip gave to ILI, and what answers to it contain."""
    sent = tip(SOURCE, KNOWN, words())
    slot, found = at_desk(sent, ILI)
    foreign = next(one for one in sent.header.slots if one.organisation == KIBHR)
    answer = seal_reply(slot.pair_key, letter())
    claims = [slot.pair_key, slot.content_key, slot.seal_secret, slot.mailbox, found.body_key, KIBHR * 2]
    claims += [foreign.sealed[:KEY_SIZE], foreign.sealed[-KEY_SIZE:], bytes(KEY_SIZE), thread_id(slot.pair_key) * 2]
    claims += [answer.body_key, answer.header.salt, answer.header.content_commitment]
    for claim in claims:
        with pytest.raises(NotForYou):
            read(seal_reply(claim, letter()), KIBHR)
    with pytest.raises(Tampered):
        open_slot(sent.header, KIBHR, lambda _: SEEDS[ILI])


def test_one_mailbox_says_nothing_of_another() -> None:
    """What two organisations got from one source has no byte in common but the letter that both were sent."""
    one, other = (at_desk(tip(SOURCE, KNOWN, words()), organisation)[0] for organisation in (KIBHR, ILI))

    assert one.mailbox == sha256(SOURCE.mailbox_token(KIBHR)) != other.mailbox
    assert one.pair_key != other.pair_key
    assert one.seal_secret != other.seal_secret


def test_the_server_cannot_write_to_a_source() -> None:
    """It has the mailbox address, and every reply as sealed bytes."""
    kept = seal_reply(SOURCE.pair_key(KIBHR), letter())
    for key in (SOURCE.mailbox_address(KIBHR), random_bytes(KEY_SIZE)):
        with pytest.raises(NotForYou):
            read(seal_reply(key, letter()), KIBHR)
    other = seal_reply(random_bytes(KEY_SIZE), letter(b"Come to the square."))
    with pytest.raises(Tampered):
        read(replace(kept, letter=other.letter), KIBHR)
    for change in (
        {"salt": other.header.salt},
        {"content_commitment": other.header.content_commitment},
        {"salt": other.header.salt, "content_commitment": other.header.content_commitment},
    ):
        with pytest.raises(NotForYou):
            read(replace(kept, header=replace(kept.header, **change)), KIBHR)  # type: ignore[arg-type]
    assert read(kept, KIBHR).message == b"When was this?", "the true one still opens"


@QUICK
@given(st.data())
def test_a_reply_refuses_every_change(data: st.DataObject) -> None:
    """Its hash and id need no key, and change with each byte."""
    pair_key, contents = SOURCE.pair_key(KIBHR), b"form" * 300
    made = replace(letter(), files=(FileEntry("form.pdf", len(contents)),))
    sealed = seal_reply(pair_key, made)
    parts = list(sealed.parts([(io.BytesIO(contents), len(contents))]))

    def open_whole(written: bytes) -> tuple[Letter, list[bytes], bytes]:
        found = read_envelope(io.BytesIO(written), Kind.REPLY)
        opened = open_reply(found, pair_key)
        files, _ = read_files(found, opened)
        return opened, files, found.end().id

    whole = sealed.opening + b"".join(parts)
    told = EnvelopeHash(sealed.header.encoded, sealed.letter)
    for part in parts:
        told.add(part)
    assert open_whole(whole) == (made, [contents], envelope_id(told.digest()))
    assert sealed.trailer(told.digest()) == b""
    refused(lambda: open_whole(data.draw(changed(whole))))


def test_a_tip_is_no_reply_and_a_reply_is_no_tip() -> None:
    sent, answered = tip(SOURCE, KNOWN, words()), seal_reply(SOURCE.pair_key(KIBHR), letter())
    with pytest.raises(Malformed, match="no reply"):
        read(sent, KIBHR)
    with pytest.raises(Malformed, match="belongs to a source"):
        reading(answered, Kind.TIP)
    # Nor is one with the kind of the other in its header: its letter's key comes from that header.
    slot, _ = at_desk(sent, KIBHR)
    with pytest.raises(Tampered):
        open_letter(replace(sent.header, kind=Kind.REPLY, slots=()), slot.content_key, sent.letter)
    for what in (words(), replace(letter(), day=None)):
        with pytest.raises(Malformed):
            seal_reply(SOURCE.pair_key(KIBHR), what)
    with pytest.raises(InputRefused):
        seal_reply(SOURCE.pair_key(KIBHR), letter(b""))


def test_a_machine_put_back_to_an_earlier_moment_seals_no_two_letters_under_one_key(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The same random bytes again: the salt, and so every key, hangs on the letter too."""
    pair_key = SOURCE.pair_key(KIBHR)
    one, other = (replace(letter(text), id=bytes(16), body_key=bytes(32)) for text in (b"one", b"two"))
    monkeypatch.setattr(replies, "random_bytes", bytes)
    first, second, again = (seal_reply(pair_key, what) for what in (one, other, one))

    assert first.header.salt != second.header.salt
    assert first.header.content_commitment != second.header.content_commitment
    assert again.opening == first.opening


def shape(sealed: Sealed) -> tuple[object, ...]:
    """All that a third party sees of an Envelope beside bytes that look random to it."""
    header = sealed.header
    places = [(slot.organisation, slot.key, len(slot.sealed)) for slot in header.slots]
    return header.kind, len(header.encoded), header.letter_size, header.body_size, places, len(sealed.letter)


def test_a_desk_could_have_written_every_line_of_its_source() -> None:
    """With what it has after the first tip and without the access code, a desk makes a follow-up in the same thread."""
    slot, _ = at_desk(tip(SOURCE, (KIBHR,), words()), KIBHR)
    others = [Recipient(one, key_id(xwing_public(SEEDS[one])), xwing_public(SEEDS[one]), None) for one in (ILI, FIDH)]
    public = xwing_public(SEEDS[KIBHR])
    forged = seal([Recipient(KIBHR, key_id(public), public, slot.pair_key, slot.mailbox), *others], words())
    honest = tip(SOURCE, (KIBHR,), words())
    opened, found = at_desk(forged, KIBHR)
    true, told = at_desk(honest, KIBHR)

    assert thread_id(opened.pair_key) == thread_id(slot.pair_key) == thread_id(true.pair_key)
    assert (opened.pair_key, opened.mailbox) == (true.pair_key, true.mailbox)
    assert shape(forged) == shape(honest)
    # Letter and keys of the two differ in nothing but random numbers.
    assert replace(found, id=told.id, body_key=told.body_key) == told


def test_a_source_could_have_written_every_line_of_an_organisation() -> None:
    """With its access code and public ids alone, a source makes a reply that its own inbox shows as from KIBHR."""
    forged = seal_reply(SOURCE.pair_key(KIBHR), letter(b"We never wrote this."))
    slot, _ = at_desk(tip(SOURCE, (KIBHR,), words()), KIBHR)
    honest = seal_reply(slot.pair_key, letter(b"We never wrote this."))

    assert shape(forged) == shape(honest)
    one, other = read(forged, KIBHR), read(honest, KIBHR)
    assert replace(one, id=b"", body_key=b"") == replace(other, id=b"", body_key=b"")
