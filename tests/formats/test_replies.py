"""Replies: whom they are from, and that either side could have made all that the two have said (format.md, 4.6)."""

from __future__ import annotations

import io
from dataclasses import replace

import pytest

from tipbox.errors import InputRefused, Malformed, NotAddressed, NotForYou, Tampered, UnknownKey
from tipbox.formats.access_code import AccessCode, Secrets, thread_id
from tipbox.formats.base.limits import ID_SIZE, KEY_SIZE
from tipbox.formats.base.primitives import new_seed, random_bytes, xwing_public
from tipbox.formats.envelopes.envelope import Reading, Recipient, Sealed, read_envelope, seal
from tipbox.formats.envelopes.header import OpenedSlot, open_slot
from tipbox.formats.envelopes.letter import Letter, open_letter
from tipbox.formats.envelopes.reply import OpenedReply, mailbox_id, open_reply, seal_reply
from tipbox.formats.manifest import key_id

SOURCE = AccessCode.generate().secrets()
STRANGER = AccessCode.generate().secrets()
KIBHR, ILI, FIDH = (random_bytes(ID_SIZE) for _ in range(3))
SEEDS = {one: new_seed() for one in (KIBHR, ILI, FIDH)}
KNOWN = (KIBHR, ILI, FIDH)


def letter(kind: str = "reply", message: bytes = b"When was this?", source: Secrets | None = None) -> Letter:
    made = Letter(message, (), random_bytes(KEY_SIZE), random_bytes(ID_SIZE), kind)
    return replace(made, mailbox=source.mailbox_address, reply_key=source.reply_public) if source else made


def reading(sealed: Sealed) -> Reading:
    return read_envelope(io.BytesIO(sealed.header.encoded + sealed.letter))


def reply(pair_key: bytes, what: Letter | None = None) -> Sealed:
    return seal_reply(SOURCE.mailbox_address, SOURCE.reply_public, pair_key, what or letter())


def read(sealed: Sealed, secrets: Secrets = SOURCE) -> OpenedReply:
    return open_reply(reading(sealed), secrets, KNOWN)


def tip(pair_keys: dict[bytes, bytes], what: Letter) -> Sealed:
    """A tip to those with a pair key, fillers for the others."""
    return seal(
        [
            Recipient(one, key_id(xwing_public(SEEDS[one])), xwing_public(SEEDS[one]), pair_keys.get(one))
            for one in KNOWN
        ],
        what,
    )


def at_desk(sealed: Sealed, organisation: bytes) -> tuple[OpenedSlot, Letter]:
    """What an organisation's desk opens with its receiving key."""
    found = reading(sealed)
    slot = open_slot(found.header, organisation, lambda _: SEEDS[organisation])
    return slot, open_letter(found.header, slot.content_key, found.letter)


def test_a_reply_is_from_whoever_holds_the_pair_key() -> None:
    for organisation in KNOWN:
        found = read(reply(SOURCE.pair_key(organisation)))
        assert found.organisation == organisation
        assert found.letter.message == b"When was this?"


def test_who_is_not_known_to_the_source_is_not_named() -> None:
    sealed = reply(SOURCE.pair_key(KIBHR))
    assert open_reply(reading(sealed), SOURCE, (ILI, FIDH)).organisation is None
    assert open_reply(reading(sealed), SOURCE, ()).organisation is None


def test_another_organisation_cannot_speak_for_kibhr() -> None:
    """ILI, or a thief of ILI's vault, has all that the tip gave to ILI: letter, its own pair key, its receiving key."""
    sent = tip({one: SOURCE.pair_key(one) for one in KNOWN}, letter("tip", source=SOURCE))
    slot, found = at_desk(sent, ILI)
    foreign = next(one for one in sent.header.slots if one.organisation == KIBHR)
    claims = [slot.pair_key, slot.content_key, foreign.sealed[:KEY_SIZE], foreign.sealed[-KEY_SIZE:], bytes(KEY_SIZE)]
    claims += [thread_id(slot.pair_key) * 2, found.mailbox, found.body_key, KIBHR * 2]
    named = {read(seal_reply(found.mailbox, found.reply_key, claim, letter())).organisation for claim in claims}
    assert named == {ILI, None}
    with pytest.raises(Tampered):
        open_slot(sent.header, KIBHR, lambda _: SEEDS[ILI])


def test_the_server_cannot_write_to_a_source() -> None:
    """It has the mailbox address, and every reply as sealed bytes; the reply key lies in sealed letters only."""
    kept = reply(SOURCE.pair_key(KIBHR))
    own = xwing_public(new_seed())
    with pytest.raises(UnknownKey):
        read(seal_reply(SOURCE.mailbox_address, own, random_bytes(KEY_SIZE), letter()))
    named = [Recipient(mailbox_id(SOURCE.mailbox_address), key_id(SOURCE.reply_public), own, random_bytes(KEY_SIZE))]
    with pytest.raises(Tampered):
        read(seal(named, letter()))
    other = reply(random_bytes(KEY_SIZE), letter(message=b"Come to the square."))
    with pytest.raises(Tampered):
        read(replace(kept, letter=other.letter))
    with pytest.raises(NotForYou):
        read(replace(kept, header=replace(kept.header, salt=other.header.salt)))
    assert read(kept).organisation == KIBHR, "the true one still opens"


def test_a_reply_to_another_source_does_not_open() -> None:
    with pytest.raises(NotAddressed):
        read(reply(SOURCE.pair_key(KIBHR)), STRANGER)


def test_a_tip_is_no_reply() -> None:
    """Nor is what an organisation seals to a mailbox with the letter of a tip."""
    key = SOURCE.reply_public
    source = [Recipient(mailbox_id(SOURCE.mailbox_address), key_id(key), key, SOURCE.pair_key(KIBHR))]
    for what in (letter("tip"), letter("reply", source=SOURCE)):
        with pytest.raises(Malformed):
            read(seal(source, what))
        with pytest.raises(Malformed):
            reply(SOURCE.pair_key(KIBHR), what)
    half = letter("reply")
    for what in (replace(half, mailbox=SOURCE.mailbox_address), replace(half, reply_key=key)):
        with pytest.raises(Malformed):
            reply(SOURCE.pair_key(KIBHR), what)
    with pytest.raises(Malformed, match="one slot"):
        read(tip({KIBHR: SOURCE.pair_key(KIBHR)}, letter("tip", source=SOURCE)))
    with pytest.raises(InputRefused):
        reply(SOURCE.pair_key(KIBHR), letter(message=b""))


def shape(sealed: Sealed) -> tuple[object, ...]:
    """All that a third party sees of an Envelope beside bytes that look random to it."""
    header = sealed.header
    places = [(slot.organisation, slot.key, len(slot.sealed)) for slot in header.slots]
    return len(header.encoded), header.letter_size, header.body_size, places, len(sealed.letter)


def test_a_desk_could_have_written_every_line_of_its_source() -> None:
    """With what it has after the first tip and without the access code, a desk makes a follow-up in the same thread."""
    slot, first = at_desk(tip({KIBHR: SOURCE.pair_key(KIBHR)}, letter("tip", source=SOURCE)), KIBHR)
    words = replace(letter("tip", b"It was on the fifth."), mailbox=first.mailbox, reply_key=first.reply_key)
    forged = tip({KIBHR: slot.pair_key}, words)
    honest = tip({KIBHR: SOURCE.pair_key(KIBHR)}, letter("tip", b"It was on the fifth.", SOURCE))
    opened, found = at_desk(forged, KIBHR)
    true, told = at_desk(honest, KIBHR)
    assert thread_id(opened.pair_key) == thread_id(slot.pair_key) == thread_id(true.pair_key)
    assert opened.pair_key == true.pair_key
    assert shape(forged) == shape(honest)
    # Letter and keys of the two differ in nothing but random numbers.
    assert replace(found, id=told.id, body_key=told.body_key) == told


def test_a_source_could_have_written_every_line_of_an_organisation() -> None:
    """With its access code and public ids alone, a source makes a reply that its own inbox shows as from KIBHR."""
    forged = seal_reply(
        SOURCE.mailbox_address, SOURCE.reply_public, SOURCE.pair_key(KIBHR), letter(message=b"We never wrote this.")
    )
    slot, first = at_desk(tip({KIBHR: SOURCE.pair_key(KIBHR)}, letter("tip", source=SOURCE)), KIBHR)
    honest = seal_reply(first.mailbox, first.reply_key, slot.pair_key, letter(message=b"We never wrote this."))
    assert read(forged).organisation == read(honest).organisation == KIBHR
    assert shape(forged) == shape(honest)
    assert replace(read(forged).letter, id=b"", body_key=b"") == replace(read(honest).letter, id=b"", body_key=b"")
