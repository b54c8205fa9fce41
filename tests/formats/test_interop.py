"""Live, between the two languages: what one seals the other opens, bit for bit. Vectors cannot show this."""

from __future__ import annotations

import base64
import io
import re
import string
from collections.abc import Callable, Iterator
from datetime import date, timedelta
from typing import Any

import pytest

from support.node import Node
from support.tree import ROOT
from tipbox.errors import NotForYou, TipboxError
from tipbox.formats import manifest as keys
from tipbox.formats.access_code import AccessCode, Secrets
from tipbox.formats.base import characters
from tipbox.formats.base.characters import ascii_digits, divide, has_unseen
from tipbox.formats.base.primitives import SigningKey, new_seed, random_bytes, xwing_public
from tipbox.formats.envelopes import envelope, header, letter, reply, seals
from tipbox.formats.envelopes.letter import FileEntry, Letter
from tipbox.formats.wordlists import fold

SIZES = (0, 1, 65535, 65536, 65537, 200_000)
DAY = date(2026, 11, 23)
DESK = SigningKey(bytes(32)).verify_key.encode()


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


@pytest.fixture(scope="module", name="node")
def _node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    node = Node.build(tmp_path_factory.mktemp("interop"))
    yield node
    node.close()


class Organisation:
    """An organisation with a receiving key."""

    def __init__(self) -> None:
        self.id, self.seed = random_bytes(16), new_seed()
        self.public = xwing_public(self.seed)
        self.key = keys.key_id(self.public)


class World:
    """Three organisations and a source, made once."""

    def __init__(self) -> None:
        self.organisations = [Organisation() for _ in range(3)]
        self.secrets: Secrets = AccessCode.generate().secrets()


@pytest.fixture(scope="module", name="world")
def _world() -> World:
    return World()


def files_of(size: int) -> list[tuple[FileEntry, bytes]]:
    """A file of ``size`` bytes between an empty one and a small one, named as people name files."""
    return [
        (FileEntry("пусто.txt", 0, "text/plain"), b""),
        (FileEntry("../фото 😀\n.jpg", size, "image/jpeg"), random_bytes(size)),
        (FileEntry("3", 3, ""), b"\x00\x01\x00"),
    ]


def open_in_python(
    data: bytes, organisation: bytes, seed: bytes
) -> tuple[Letter, list[bytes], header.OpenedSlot, seals.End]:
    """As a desk does it, the seal included."""
    reading = envelope.read_envelope(io.BytesIO(data))
    opened = header.open_slot(reading.header, organisation, lambda _: seed)
    found = letter.open_letter(reading.header, opened.content_key, reading.letter)
    files = [b""] * len(found.files)
    for index, piece in envelope.open_files(reading, found):
        files[index] += piece
    end = reading.end()
    seals.check_seal(reading.header, organisation, opened, end)
    return found, files, opened, end


def listed(files: list[tuple[FileEntry, bytes]]) -> list[dict[str, Any]]:
    """Files as the client's side of the test speaks of them."""
    return [
        {"name": entry.name, "type": entry.type, "size": entry.size, "data": b64(content)} for entry, content in files
    ]


@pytest.mark.parametrize("slots", [1, 3])
@pytest.mark.parametrize("size", SIZES)
def test_node_seals_python_opens(node: Node, world: World, size: int, slots: int) -> None:
    """The client's own way: BodyReader, then runs of parts. With three slots, one is a filler."""
    chosen = world.organisations[: max(1, slots - 1)]
    secrets = world.secrets
    to = [
        {
            "organisation": one.id.hex(),
            "key": one.key.hex(),
            "publicKey": b64(one.public),
            "pairKey": secrets.pair_key(one.id).hex() if one in chosen else None,
            "mailbox": secrets.mailbox_address(one.id).hex(),
        }
        for one in world.organisations[:slots]
    ]
    files, message = files_of(size), "Сообщение 😀\r\n\x00".encode()
    sealed = node.ask("seal", recipients=to, message=b64(message), files=listed(files), language="ru", run=2)
    data = base64.b64decode(sealed["envelope"])

    for one in chosen:
        found, contents, slot, end = open_in_python(data, one.id, one.seed)
        assert contents == [content for _, content in files]
        assert found.files == tuple(entry for entry, _ in files)
        assert (found.message, found.language) == (message, "ru")
        assert (slot.pair_key, slot.mailbox) == (secrets.pair_key(one.id), secrets.mailbox_address(one.id))
        assert (end.id.hex(), end.hash.hex()) == (sealed["id"], sealed["hash"])
        assert seals.check_digits(slot, end.hash) in sealed["digits"]
    for one in world.organisations[len(chosen) : slots]:
        with pytest.raises(NotForYou):
            open_in_python(data, one.id, one.seed)


@pytest.mark.parametrize("slots", [1, 3])
@pytest.mark.parametrize("size", SIZES)
def test_python_seals_node_opens(node: Node, world: World, size: int, slots: int) -> None:
    chosen = world.organisations[: max(1, slots - 1)]
    secrets = world.secrets
    to = [
        envelope.Recipient(one.id, one.key, one.public, secrets.pair_key(one.id), secrets.mailbox_address(one.id))
        if one in chosen
        else envelope.Recipient(one.id, one.key, one.public, None)
        for one in world.organisations[:slots]
    ]
    files, message = files_of(size), b"caf\xe9 \xff"
    made = Letter(message, tuple(entry for entry, _ in files), random_bytes(32), random_bytes(16), language="kk-Cyrl")
    sealed = envelope.seal(to, made)
    end = seals.EnvelopeHash(sealed.header.encoded, sealed.letter)
    parts = list(sealed.parts((io.BytesIO(content), entry.size) for entry, content in files))
    for part in parts:
        end.add(part)
    trailer = sealed.trailer(end.digest())
    data = sealed.opening + b"".join(parts) + trailer

    for one in chosen:
        found = node.ask("open", envelope=b64(data), organisation=one.id.hex(), seed=one.seed.hex())
        assert found == {
            "message": b64(message),
            "files": listed(files),
            "language": "kk-Cyrl",
            "pairKey": secrets.pair_key(one.id).hex(),
            "mailbox": secrets.mailbox_address(one.id).hex(),
            "id": seals.envelope_id(end.digest(), trailer).hex(),
            "digits": sealed.check_digits(one.id, end.digest()),
        }
    for one in world.organisations[len(chosen) : slots]:
        found = node.ask("open", envelope=b64(data), organisation=one.id.hex(), seed=one.seed.hex())
        assert found == {"error": "not-for-you"}


def test_reply_from_a_desk_opens_in_the_client(node: Node, world: World) -> None:
    """With the pair key alone, and with no other."""
    pair_key, files, answers = world.secrets.pair_key(world.organisations[0].id), files_of(70_000), random_bytes(16)
    made = Letter(
        "Спасибо.".encode(), tuple(entry for entry, _ in files), random_bytes(32), random_bytes(16), "ru", answers, DAY
    )
    sealed = reply.seal_reply(pair_key, made)
    parts = sealed.parts((io.BytesIO(content), entry.size) for entry, content in files)
    data = sealed.opening + b"".join(parts)

    assert node.ask("reply", envelope=b64(data), pairKey=pair_key.hex()) == {
        "message": b64("Спасибо.".encode()),
        "files": listed(files),
        "language": "ru",
        "answers": answers.hex(),
        "day": DAY.isoformat(),
    }
    assert node.ask("reply", envelope=b64(data), pairKey=random_bytes(32).hex()) == {"error": "not-for-you"}


@pytest.mark.parametrize("made_by", ["node", "python"])
def test_passphrase_is_the_same_person_in_both(node: Node, world: World, made_by: str) -> None:
    organisation = world.organisations[0].id
    digits = None if made_by == "node" else AccessCode.generate().digits()
    found = node.ask("passphrase", digits=digits, organisation=organisation.hex())
    passphrase = AccessCode.parse(found["digits"])
    secrets = passphrase.secrets()

    assert found == {
        "digits": passphrase.digits(),
        "mailboxAddress": secrets.mailbox_address(organisation).hex(),
        "pairKey": secrets.pair_key(organisation).hex(),
        "request": [token.hex() for token in secrets.mailbox_request([organisation])],
    }
    assert digits in (None, found["digits"])


def test_every_character_means_the_same_in_both(node: Node) -> None:
    """All code points: what people do not see, what divides, digits, and what can be a letter of a listed word."""
    every = [chr(code) for code in range(0x110000) if not 0xD800 <= code <= 0xDFFF]

    def where(holds: Callable[[str], object]) -> list[int]:
        return [ord(character) for character in every if holds(character)]

    letters = re.compile("[a-zа-я]*")  # noqa: RUF001
    folded = where(lambda character: letters.fullmatch(fold(character)))
    digits = where(lambda character: ascii_digits(character) in string.digits)

    assert node.ask("characters") == {
        "unseen": where(has_unseen),
        "dividers": where(lambda character: not divide(character)),
        "digits": digits,
        "values": [int(ascii_digits(chr(code))) for code in digits if ascii_digits(chr(code)) != "0"],
        "letters": folded,
        "folded": " ".join(fold(chr(code)) for code in folded),
    }


def test_the_lists_of_characters_are_those_of_the_page() -> None:
    page = " ".join((ROOT / "docs" / "format.md").read_text(encoding="utf-8").split())

    for listed in (characters.UNSEEN, characters.DIVIDERS, characters.ZEROS):
        assert f"``` {listed} ```" in page


def test_manifest_signed_in_python_reads_in_the_client(node: Node, world: World) -> None:
    receiving = [
        keys.ReceivingKey(DAY + timedelta(14 * at), DAY + timedelta(14 * at + 14), one.public)
        for at, one in enumerate(world.organisations)
    ]
    made = keys.Manifest(
        "alpha", "Альфа", "KZ", ("kk", "ru"), b"", DESK, DAY, DAY + timedelta(42), (1, 1), tuple(receiving)
    ).signed_by(SigningKey.generate())
    today = DAY + timedelta(20)
    found = node.ask("manifest", file=b64(made.encode()), day=today.isoformat())

    assert found == {"file": b64(made.encode()), "id": made.id.hex(), "key": made.current_key(today).id.hex()}
    late = node.ask("manifest", file=b64(made.encode()), day=(DAY + timedelta(42)).isoformat())
    assert late == {"error": "expired"}


@pytest.mark.parametrize("at", [9, 10, 11, 30, 200, 5000, -1])
def test_changes_have_the_same_name_in_both(node: Node, world: World, at: int) -> None:
    """A bit of the header, the salt, a slot, the letter, the trailer: the same code in both languages."""
    one = world.organisations[0]
    sealed = envelope.seal(
        [envelope.Recipient(one.id, one.key, one.public, random_bytes(32), random_bytes(32))],
        Letter(b"text", (), random_bytes(32), random_bytes(16)),
    )
    end = seals.EnvelopeHash(sealed.header.encoded, sealed.letter).digest()
    data = bytearray(sealed.opening + sealed.trailer(end))
    data[at] ^= 0x80
    found = node.ask("open", envelope=b64(bytes(data)), organisation=one.id.hex(), seed=one.seed.hex())
    with pytest.raises(TipboxError) as caught:
        open_in_python(bytes(data), one.id, one.seed)

    assert found == {"error": caught.value.code}
