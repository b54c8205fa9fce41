"""What the tests of the core share: the cases of tests/vectors, and how each kind is read with tipbox."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Callable, Sequence
from datetime import date
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, assume, settings
from hypothesis import strategies as st

from support.pieces import envelope_bytes, expand
from support.qr.qr_codes import to_qr_codes
from tipbox.errors import DamagedItem, Malformed, TipboxError, WrongSender
from tipbox.formats import access_code, request_file, toll
from tipbox.formats import locked_file as locked
from tipbox.formats import mailbox_list as mailbox
from tipbox.formats import manifest as keys
from tipbox.formats.base import canonical, fields, padding
from tipbox.formats.base.limits import CAPSULE_PLACES, SALT_SIZE
from tipbox.formats.bundles import acknowledgement, bundle, bundle_read, report
from tipbox.formats.bundles.bundle import volume_class
from tipbox.formats.envelopes import header, letter, pieces, seals
from tipbox.formats.envelopes import reply as replies
from tipbox.formats.envelopes.capsule import Capsule
from tipbox.formats.envelopes.envelope import Reading, open_files, read_envelope
from tipbox.formats.envelopes.header import FindKey, KeyState
from tipbox.formats.envelopes.qr_codes import QrCode
from tipbox.formats.notice import Notice
from tipbox.formats.wordlists import PINS
from tipbox.server.backup import backup_records
from tipbox.server.backup import container as backup_file

VECTORS = Path(__file__).parents[1] / "vectors"
Case = dict[str, Any]


def b64(text: str) -> bytes:
    return base64.b64decode(text, validate=True)


@cache
def cases(kind: str = "*") -> list[Case]:
    """All cases of a kind, by name."""
    found = [json.loads(path.read_bytes()) for path in sorted(VECTORS.glob(f"{kind}/*.json"))]
    assert found, f"there are no vectors of kind {kind}"
    return found


def case(kind: str, name: str) -> Case:
    made: Case = json.loads((VECTORS / kind / f"{name}.json").read_bytes())
    return made


def find_key(given: Case) -> FindKey:
    """The reader's keys of a case."""
    seeds = {bytes.fromhex(key["id"]): bytes.fromhex(key["seed"]) for key in given["keys"]}
    destroyed = {bytes.fromhex(key) for key in given["destroyed"]}
    return lambda key: seeds.get(key, KeyState.DESTROYED if key in destroyed else KeyState.UNKNOWN)


def outcome(case: Case) -> tuple[str, Case | None]:
    """What running a case gives: the code, and what came out."""
    try:
        output = RUN[case["kind"]](case["input"])
    except TipboxError as error:
        return error.code, None
    return ("damaged-item" if output.get("damaged") else "ok"), output


def run_canonical(given: Case) -> Case:
    data, form = b64(given["data"]), given["form"] == "file"
    assert canonical.encode(canonical.decode(data, file_form=form), file_form=form) == data
    return {}


def run_padding(given: Case) -> Case:
    sizes = given["sizes"]
    return {
        "padme": [padding.padme(size) for size in sizes],
        "letter": [padding.letter_size(size) for size in sizes],
        "parts": [padding.parts(size) for size in sizes],
        "sealed": [padding.sealed_size(size) for size in sizes],
        "sealed_body": [padding.sealed_body_size(size) for size in sizes],
        "volume": [volume_class(size) for size in sizes],
    }


def run_passphrase(given: Case) -> Case:
    found = access_code.AccessCode.parse(given["text"])
    words = {language: " ".join(found.words(language)) for language in PINS}
    assert {access_code.AccessCode.parse(text) for text in (found.digits(), *words.values())} == {found}
    return {"passphrase": found.value.to_bytes(16).hex(), "digits": found.digits(), "words": words}


def run_toll(given: Case) -> Case:
    proof, token = toll.Proof.parse(given["written"]), bytes.fromhex(given["token"])
    assert proof.encode() == given["written"]
    holds = proof.holds(toll.password_of(bytes.fromhex(given["seed"]), sha256(token).digest()))
    if holds:
        assert toll.Solver(bytes.fromhex(given["seed"]), token).solve(proof.hour, proof.effort) == proof
    return {"hour": proof.hour, "effort": proof.effort, "nonces": [*proof.nonces], "holds": holds}


def run_derivations(given: Case) -> Case:
    found = access_code.AccessCode(int.from_bytes(bytes.fromhex(given["passphrase"])))
    secrets, organisation = found.secrets(), keys.organisation_id(b64(given["identity"]))
    pair = secrets.pair_key(organisation)
    return {
        "root": secrets.root.hex(),
        "mailbox_token": secrets.mailbox_token(organisation).hex(),
        "mailbox_address": secrets.mailbox_address(organisation).hex(),
        "mailbox_decoys": [secrets.mailbox_decoy(organisation, number).hex() for number in (0, 31)],
        "resume": secrets.resume.hex(),
        "organisation": organisation.hex(),
        "server_id": keys.server_id(b64(given["server"])).hex(),
        "key_id": keys.key_id(b64(given["public"])).hex(),
        "pair_key": pair.hex(),
        "thread_id": access_code.thread_id(pair).hex(),
    }


def run_notice(given: Case) -> Case:
    file = b64(given["file"])
    found = Notice.parse(file)
    assert found.encode() == file
    if "day" in given:
        found.check(date.fromisoformat(given["day"]))
    return {
        "desk": fields.to_base64(found.desk),
        "from": found.start.isoformat(),
        "id": found.organisation.hex(),
        "languages": list(found.text),
        "words": list(found.text.values()),
        "until": found.end.isoformat(),
    }


def run_manifest(given: Case) -> Case:
    file = b64(given["file"])
    found = keys.Manifest.parse(file)
    assert found.encode() == file
    output: Case = {
        "id": found.id.hex(),
        "serial": list(found.serial),
        "organisation": found.organisation,
        "name": found.name,
        "keys": [key.id.hex() for key in found.keys],
    }
    if "day" in given:
        today = date.fromisoformat(given["day"])
        found.check(today)
        if "holds" in given:
            found.check_replaces(keys.Manifest.parse(b64(given["holds"])))
        output["current_key"] = found.current_key(today).id.hex()
    return output


def run_envelope(given: Case) -> Case:
    data = envelope_bytes(given)
    organisation = bytes.fromhex(given["organisation"])
    reading = read_envelope(io.BytesIO(data))
    opened = header.open_slot(reading.header, organisation, find_key(given))
    found = letter.open_letter(reading.header, opened.content_key, reading.letter)
    files, sealed = read_files(reading, found)
    end = reading.end()
    seals.check_seal(reading.header, organisation, opened, end)
    _check_envelope_again(data, reading.header, opened.content_key, found, [*sealed, end.trailer])
    return {
        "id": end.id.hex(),
        "hash": end.hash.hex(),
        "header_hash": reading.header.hash.hex(),
        "content_key": opened.content_key.hex(),
        "pair_key": opened.pair_key.hex(),
        "mailbox": opened.mailbox.hex(),
        "seal_secret": opened.seal_secret.hex(),
        "thread_id": access_code.thread_id(opened.pair_key).hex(),
        "check_digits": seals.check_digits(opened, end.hash),
        "meta": _meta(found, header.Kind.TIP),
        "message_sha256": sha256(found.message).hexdigest(),
        "files": _files(found, files),
        "parts": reading.header.parts,
    }


def read_files(reading: Reading, found: letter.Letter) -> tuple[list[bytes], list[bytes]]:
    """The files of an Envelope, and its sealed parts."""
    files, sealed = [b""] * len(found.files), list[bytes]()
    for index, piece in open_files(reading, found, sealed.append):
        files[index] += piece
    return files, sealed


def _files(found: letter.Letter, files: Sequence[bytes]) -> list[Case]:
    return [
        {"name": file.name, "size": file.size, "type": file.type, "sha256": sha256(contents).hexdigest()}
        for file, contents in zip(found.files, files, strict=True)
    ]


def _meta(found: letter.Letter, kind: header.Kind) -> str:
    plaintext = found.encode(kind)
    return plaintext[4 : 4 + int.from_bytes(plaintext[:4])].decode()


def _check_envelope_again(
    data: bytes, head: header.Header, content_key: bytes, found: letter.Letter, rest: Sequence[bytes]
) -> None:
    """What was read gives the same bytes when it is encoded and sealed again under the same keys."""
    assert header.Header.parse(head.encoded) == head
    again = [head.encoded, letter.seal_letter(head, content_key, found.encode(head.kind))]
    assert b"".join([*again, *rest]) == data
    assert len(data) == head.envelope_size


@cache
def secrets_of(value: str) -> access_code.Secrets:
    """The secrets of an access code in hex; stretching takes a while."""
    return access_code.AccessCode(int.from_bytes(bytes.fromhex(value))).secrets()


def run_reply(given: Case) -> Case:
    data = envelope_bytes(given)
    reading = read_envelope(io.BytesIO(data), header.Kind.REPLY)
    found = replies.open_reply(reading, bytes.fromhex(given["pair_key"]))
    files, _ = read_files(reading, found)
    return {
        "id": reading.end().id.hex(),
        "meta": _meta(found, header.Kind.REPLY),
        "message_sha256": sha256(found.message).hexdigest(),
        "files": _files(found, files),
    }


def run_piece(given: Case) -> Case:
    data = expand(given["pieces"])
    stream = io.BytesIO(data)
    head = pieces.PieceHead.read(stream)
    assert head.encode() == data[: stream.tell()]
    parts = [*head.parts(stream)]
    end = head.end
    return {
        "token": head.token.hex(),
        "number": head.number,
        "count": head.count,
        "parts_each": head.parts_each,
        "family": head.family.hex(),
        "opening_sha256": sha256(head.opening).hexdigest(),
        "parts": [
            {"index": index, "sha256": "" if part is None else sha256(part).hexdigest()} for index, part in parts
        ],
        "hash": end.envelope_hash.hex() if end else "",
        "trailer": end.trailer.hex() if end else "",
        "damaged": [index for index, part in parts if part is None],
    }


def run_qr_code(given: Case) -> Case:
    data = expand(given["code"])
    found = QrCode.parse(data)
    assert found.encode() == data
    return {
        "number": found.number,
        "data": found.of.data,
        "parity": found.of.parity,
        "size": found.of.size,
        "set": found.of.ident.hex(),
        "sha256": sha256(found.block).hexdigest(),
    }


def run_qr_set(given: Case) -> Case:
    codes = to_qr_codes(expand(given["envelope"]))
    return {"codes": [sha256(code.encode()).hexdigest() for code in codes]}


def run_acknowledgement(given: Case) -> Case:
    found = acknowledgement.read_acknowledgement(b64(given["data"]), bytes.fromhex(given["desk"]))
    return {"envelopes": [envelope.hex() for envelope in found]}


def run_report(given: Case) -> Case:
    data = b64(given["data"])
    found = report.Report.parse(data)
    assert found.encode() == data
    return canonical.decode(data)  # type: ignore[return-value]


def run_locked(given: Case) -> Case:
    payload = locked.unlock(locked.Kind(given["holds"]), b64(given["passphrase"]), b64(given["file"]))
    return {"payload": base64.b64encode(payload).decode()}


def bundle_file(given: Case) -> bytes:
    """The file of a Bundle's case."""
    data = bytearray(expand(given["pieces"]))
    for offset in given.get("flip", []):
        data[offset] ^= 1
    return bytes(data[: given.get("size")])


def item_hash(kind: str, data: bytes) -> bytes:
    """The hash that an index must give for an item: an Envelope's id, or the SHA-256."""
    if kind != "envelope":
        return sha256(data).digest()
    return read_envelope(io.BytesIO(data)).end().id


def run_bundle(given: Case) -> Case:
    file = bundle_file(given)
    found = bundle_read.Bundle(io.BytesIO(file), bytes.fromhex(given["reader"]), find_key(given))
    # Who the sender is, and an item's hash, are compared by the caller: so they are here.
    if found.index.sender.hex() != given["sender"] or found.index.server_key != b64(given["server_key"]):
        raise WrongSender
    assert bundle.Index.parse(found.index.encode(), found.header.direction) == found.index
    assert found.header.encode() == file[:1280]
    items, damaged = [], []
    for item in found.items:
        try:
            data = b"".join(found.read(item))
        except DamagedItem:
            damaged.append(item.number)
            continue
        if item_hash(item.entry.kind, data) != item.entry.hash:
            damaged.append(item.number)
            continue
        entry = {"kind": item.entry.kind, "size": item.entry.size, "hash": item.entry.hash.hex()}
        items.append({**entry, "sha256": sha256(data).hexdigest()})
    return {
        "index": found.index.encode().decode(),
        "index_damage": found.index_damage,
        "items": items,
        "damaged": damaged,
        "padding": found.check_padding(),
        "sha256": sha256(file).hexdigest(),
    }


def run_mailbox(given: Case) -> Case:
    data = expand(given["pieces"])
    found = mailbox.MailboxList.parse(data)
    assert found.encode() == data
    return {
        "entries": [
            {
                "id": entry.id.hex(),
                "day": (entry.day - date(1970, 1, 1)).days,
                "size": entry.size,
                "opening_size": entry.opening_size,
                "place": entry.place,
            }
            for entry in found.entries
        ],
        "openings": [base64.b64encode(opening).decode() for opening in found.openings],
    }


def run_request(given: Case) -> Case:
    """As a server reads a request to a mailbox, which must have its size."""
    body = expand(given["pieces"])
    if given["of"] == "list" and len(body) != mailbox.LIST_REQUEST:
        raise Malformed("a request for the list of a mailbox has a wrong size")
    tokens = mailbox.parse_tokens(body)
    output: Case = {"tokens": [token.hex() for token in tokens]}
    if given["of"] == "list":
        again = mailbox.encode_tokens(tokens)
    elif given["of"] == "piece":
        reply, number = mailbox.parse_piece(body)
        output |= {"reply": reply.hex(), "number": number}
        again = mailbox.encode_piece(tokens, reply, number)
    else:
        replies_named = mailbox.parse_delete(body)
        output["replies"] = [one.hex() for one in replies_named]
        again = mailbox.encode_delete(tokens, replies_named)
    assert again == body
    return output


def run_request_file(given: Case) -> Case:
    if "file" in given:
        found = request_file.RequestFile.parse(b64(given["file"]))
        assert found.encode() == b64(given["file"])
    else:
        found = request_file.RequestFile.from_pasted(given["text"].encode())
    output: Case = {"tokens": [token.hex() for token in found.tokens]}
    return output if found.reply is None else output | {"reply": found.reply.hex(), "number": found.number}


def run_answer(given: Case) -> Case:
    data = expand(given["pieces"])
    found = request_file.AnswerPiece.parse(data)
    assert found.encode() == data
    return {"reply": found.reply.hex(), "number": found.number, "sha256": sha256(found.data).hexdigest()}


def run_backup(given: Case) -> Case:
    reader = backup_file.Reader(io.BytesIO(b64(given["file"])), bytes.fromhex(given["seed"]))
    records = []
    for record in reader.records():
        data = record.read()
        records.append({"kind": int(record.kind), "size": record.size, "sha256": sha256(data).hexdigest()})
        if record.kind is backup_file.Kind.SECRETS:
            assert backup_records.Secrets.parse(reader.open_secrets(data)).onion
    return {"records": records}


def run_capsule(given: Case) -> Case:
    secrets = access_code.AccessCode(int.from_bytes(bytes.fromhex(given["passphrase"]))).secrets()
    sealed = b64(given["capsule"])
    found = Capsule.open(secrets.resume, sealed)
    assert found.seal(secrets.resume, sealed[:SALT_SIZE]) == sealed
    opening = found.check(b64(given["opening"]))
    places = [secrets.place_token(number) for number in range(CAPSULE_PLACES)]
    return {
        "places": [place.hex() for place in places],
        "addresses": [sha256(place).hexdigest() for place in places],
        "token": found.token.hex(),
        "header_hash": found.header_hash.hex(),
        "letter_hash": found.letter_hash.hex(),
        "content_key": found.content_key.hex(),
        "secrets": [(secret or b"").hex() for secret in found.seal_secrets],
        "meta": _meta(opening.letter, header.Kind.TIP),
    }


RUN: dict[str, Callable[[Case], Case]] = {
    "canonical": run_canonical,
    "padding": run_padding,
    "passphrase": run_passphrase,
    "derivations": run_derivations,
    "toll": run_toll,
    "manifest": run_manifest,
    "notice": run_notice,
    "envelope": run_envelope,
    "reply": run_reply,
    "piece": run_piece,
    "qr-code": run_qr_code,
    "qr-set": run_qr_set,
    "capsule": run_capsule,
    "acknowledgement": run_acknowledgement,
    "report": run_report,
    "locked": run_locked,
    "bundle": run_bundle,
    "mailbox": run_mailbox,
    "request": run_request,
    "request-file": run_request_file,
    "answer": run_answer,
    "backup": run_backup,
}


# --- property tests --------------------------------------------------------------------------------------------------

# `make mutants` runs them three thousand times, in the copy of this tree that is named so.
_SHARE = 6 if Path(__file__).parents[2].name == "mutants" else 1
QUICK = settings(max_examples=100 // _SHARE, deadline=None, suppress_health_check=[HealthCheck.too_slow])
FEW = settings(max_examples=12 // _SHARE, deadline=None, suppress_health_check=[HealthCheck.too_slow])


class _Hidden:
    """Bytes that Hypothesis does not print."""

    def __init__(self, data: bytes) -> None:
        self.data = data


def changed(data: bytes) -> st.SearchStrategy[bytes]:
    """``data`` with a bit flipped, a byte replaced, cut, or with bytes put in, taken out, repeated or moved."""
    return _changed(_Hidden(data))


@st.composite
def _changed(draw: st.DrawFn, hidden: _Hidden) -> bytes:
    data = hidden.data
    at = draw(st.integers(0, max(0, len(data) - 1)))
    end = draw(st.integers(at, min(len(data), at + 70_000)))
    how = draw(st.sampled_from(("flip", "replace", "cut", "insert", "remove", "repeat", "append", "move")))
    some = draw(st.binary(min_size=1, max_size=20))
    result = {
        "flip": data[:at] + bytes([data[at] ^ 1 << draw(st.integers(0, 7))]) + data[at + 1 :],
        "replace": data[:at] + some + data[at + len(some) :],
        "cut": data[:at],
        "insert": data[:at] + some + data[at:],
        "remove": data[:at] + data[end:],
        "repeat": data[:end] + data[at:end] + data[end:],
        "append": data + some,
        "move": data[end:] + data[:end],
    }[how]
    assume(result != data)
    return result


def refused(read: Callable[[], object]) -> str:
    """The code of the error that ``read`` raises; anything but a TipboxError, and no error, fails the test."""
    try:
        read()
    except TipboxError as error:
        return error.code
    raise AssertionError("changed bytes were accepted")


def text(max_size: int, *, exclude: str = "") -> st.SearchStrategy[str]:
    """Text of at most ``max_size`` bytes in UTF-8, not empty."""
    letters = st.characters(exclude_categories=["Cs"], exclude_characters=exclude)
    return st.text(letters, min_size=1, max_size=max_size).filter(lambda made: len(made.encode()) <= max_size)


languages = st.from_regex(r"[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8}){0,3}", fullmatch=True).filter(lambda tag: len(tag) <= 35)
json_values: st.SearchStrategy[canonical.Json] = st.recursive(
    st.none() | st.booleans() | st.integers(1 - 2**53, 2**53 - 1) | text(20) | st.just(""),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(st.characters(max_codepoint=127), max_size=8), inner, max_size=4)
    ),
    max_leaves=12,
)
