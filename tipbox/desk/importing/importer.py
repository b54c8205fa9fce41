"""Importing: Bundles, .tip files, pieces and photographed QR codes into the vault.

It may be killed at any moment and started again: what is recorded is on the disk, what is not is read again, and
nothing is kept or acknowledged twice. Every complete Envelope that came in a Bundle will be acknowledged, whatever
became of it, so the acknowledgements of all desks are equal: they mean *carried*, never *opened*.
"""

from __future__ import annotations

import errno
import io
import os
import stat
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from functools import partial
from pathlib import Path
from typing import BinaryIO, Final, TypeVar

from tipbox.desk import replies, sentences
from tipbox.desk.custody.chain import note
from tipbox.desk.desk_errors import VaultDamaged
from tipbox.desk.importing.photos import Photos, QrTip, is_picture
from tipbox.desk.importing.piece_files import PieceFiles, TipInPieces
from tipbox.desk.importing.receive import DUPLICATE, FOR_OTHERS, MINE, ReceivedEnvelope, receive
from tipbox.desk.inbox.file_kinds import HEAD
from tipbox.desk.inbox.tip_index import TipIndex
from tipbox.desk.pinned_server import server_digits
from tipbox.desk.vault.records import (
    Copy,
    EnvelopeRecord,
    ForgedEnvelope,
    KeptHeads,
    Organisation,
    Reply,
    SentOutbox,
    Server,
    Stamp,
    Thread,
    Tip,
    Traffic,
    outbox_key,
)
from tipbox.desk.vault.vault import KEY_FILE, STORE_FILE, TIPS, VAULT_FILES, VAULT_FOLDERS, Vault
from tipbox.desk.whole import holds_whole, put_back
from tipbox.errors import (
    NO_ROOM,
    TOO_LARGE_A_FILE,
    BadSignature,
    DamagedItem,
    Forged,
    Full,
    Incomplete,
    InputRefused,
    Malformed,
    NotFound,
    NotTipbox,
    Tampered,
    TipboxError,
    TooLate,
    UnknownKey,
    WrongReader,
    WrongSender,
)
from tipbox.files.durable import TEMPORARY_SUFFIX, fsync_file, fsync_folder
from tipbox.files.plain_file import open_plain
from tipbox.files.printable import printable
from tipbox.formats.base.primitives import sha256
from tipbox.formats.bundles import bundle as bundle_format
from tipbox.formats.bundles.bundle import Head, Index, Receipt
from tipbox.formats.bundles.bundle_read import Bundle, Item, damaged
from tipbox.formats.bundles.report import Report
from tipbox.formats.bundles.stamps import check_head_stamp, check_stamp
from tipbox.formats.envelopes import header as envelope_format
from tipbox.formats.envelopes import pieces as piece_format
from tipbox.formats.envelopes.header import FindKey

MAX_CLOCK_DAYS: Final = 2
"""How many days the clocks of desk and server may be apart before a notice says so."""

MAX_AHEAD: Final = 10_000
"""How far a number may be ahead of the last one, unless staff say that it may."""

MAX_SEQUENCE: Final = 2**40
"""No server gets there. Above it a number is never taken: the sum of those of several servers must stay exact."""

MAX_STORED_DAYS: Final = 400
"""No server keeps an Envelope for so long: a day further back is no day on which it was stored."""

# A commit waits for the disk several times, so it serves many items; a killed import reads one batch again at most.
_BATCH_ITEMS: Final = 64
_BATCH_BYTES: Final = 16 << 20
_MAX_REPORT: Final = 1 << 20
"""Bytes of a report. It is read into memory, and a size that a server made up must not fill it."""
_MAX_VOLUMES: Final = 10_000
"""Above this, missing volumes are not listed: the number is made up, and the list would fill the screen."""
_SUFFIXES: Final = (".tip", ".bundle")
_QR_CODES: Final = "QR codes"
"""What stands in the place of a file's name where codes of several pictures do not make a tip."""
_NOT_ALLOWED: Final = frozenset({errno.EACCES, errno.EPERM})
_TRIED_AGAIN: Final = frozenset({TooLate.code, UnknownKey.code})
"""What did not open for lack of a key: another copy of the key stick may have it."""
_Dated = TypeVar("_Dated", bound=Tip | Copy)


@dataclass
class ImportOutcome:
    """What an import did.

    Attributes:
        counts: how many Envelopes came to each outcome; ``known`` are those that were here already.
        forged: of those that are ``forged``, how many came in the name of each thread (id) that is known here.
        notices: one-line remarks for staff.
        problems: what failed, each with the name of the file as it was given.
        replies: those that a server's report decided: delivered or refused.
        pinned: the digits of the server that this import pinned; empty when one was pinned before.
        canaries: the numbers of those that were ticked off.
        put_back: how many tips were damaged in the vault, and are whole again.
        damaged: ids of tips that are to be acknowledged, and are not, because the vault's file is damaged.
    """

    counts: Counter[str] = field(default_factory=Counter)
    forged: Counter[bytes] = field(default_factory=Counter)
    notices: list[str] = field(default_factory=list)
    problems: list[tuple[str, TipboxError]] = field(default_factory=list)
    unconfirmed: int = 0
    replies: list[Reply] = field(default_factory=list)
    pinned: str = ""
    canaries: list[int] = field(default_factory=list)
    put_back: int = 0
    damaged: list[bytes] = field(default_factory=list)

    @property
    def done(self) -> int:
        """How many Envelopes were read whole, or known."""
        return sum(self.counts.values())


@dataclass(frozen=True)
class _InputFile:
    """A file to read: ``named`` itself or found in a folder; ``expected`` when it claims to be tipbox's."""

    path: Path
    named: bool
    expected: bool


class _LooseFiles:
    """The transaction that .tip files share: a commit for each would wait for the disk several times for each.

    Within ``with``, it is committed at the end, and given up at an error.
    """

    def __init__(self, committing: Callable[[], AbstractContextManager[Callable[[], None]]]) -> None:
        self._committing = committing
        self._stack: ExitStack | None = None
        self._commit: Callable[[], None] = lambda: None

    @contextmanager
    def writing(self) -> Iterator[Callable[[], None]]:
        """Write records into the transaction, which is begun if there is none; yields what commits."""
        if self._stack is None:
            stack = ExitStack()
            self._commit = stack.enter_context(self._committing())
            self._stack = stack
        try:
            yield self._commit
        except BaseException as error:
            self._leave(error)
            raise

    def end(self) -> None:
        """Commit, if there is anything."""
        self._leave(None)

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        self._leave(error)

    def _leave(self, error: BaseException | None) -> None:
        stack, self._stack = self._stack, None
        if stack is None:
            return
        if error is None:
            stack.close()
        else:
            stack.__exit__(type(error), error, error.__traceback__)


class Importer:
    """One run of an import into a vault that is open for writing."""

    def __init__(
        self,
        vault: Vault,
        organisation: Organisation,
        find_key: FindKey,
        *,
        today: date,
        enough_copies: bool = False,
        far_ahead: bool = False,
        photos: bool = False,
        progress: Callable[[int], None] = lambda _: None,
    ) -> None:
        """Prepare a run.

        Args:
            vault: the vault.
            organisation: whose it is.
            find_key: finds private receiving keys.
            today: the day, in UTC.
            enough_copies: acknowledge all that the vault holds; without it, nothing new is acknowledged.
            far_ahead: take a Bundle although its number is far ahead of all that came before.
            photos: read the QR codes in pictures, each in a sandbox.
            progress: called with the number of bytes read since its last call.
        """
        self._vault = vault
        self._organisation = organisation
        self._find_key = find_key
        self._today = today
        self._enough = enough_copies
        self._far_ahead = far_ahead
        self._progress = progress
        self._batch: list[int] = []
        self._unsynced: list[Path] = []
        self._loose = _LooseFiles(self._committing)
        self._pieces = PieceFiles()
        self._photos = Photos() if photos else None
        self._volumes: dict[int, set[int]] = {}
        self._whole: set[bytes] = set()
        self.outcome = ImportOutcome()

    def run(self, paths: Iterable[Path]) -> ImportOutcome:
        """Import files and the files of folders. What fails is in the outcome; the others go on."""
        self._sweep()
        with self._loose:
            # All names before the first file: what an import writes may lie below the folders that it reads.
            for source in list(self._sources(paths)):
                self._try(source.path, partial(self._file, source), named=source.named)
            for tip in self._pieces.tips():
                self._try(tip.opening.path or Path(), partial(self._joined, tip), named=True)
            for read in self._photos.tips() if self._photos else ():
                self._try(Path(_QR_CODES), partial(self._photographed, read), named=True)
        # After all files, in a transaction of its own: what is confirmed here is on the disk, whatever failed above.
        with self._vault.transaction():
            if self._enough:
                self._confirm()
        for sequence, missing in self._volumes.items():
            if missing:
                numbers = ", ".join(map(str, sorted(missing)))
                self.outcome.notices.append(f"of Bundle {sequence}, volume {numbers} is not among these files")
        replies.sweep(self._vault)  # those that were delivered, now that this is recorded
        TipIndex.of(self._vault).save(always=True)
        self.outcome.unconfirmed = sum(
            carried.by_bundle and not carried.confirmed and not carried.taken
            for carried in EnvelopeRecord.all(self._vault)
        )
        return self.outcome

    def _try(self, path: Path, work: Callable[[], None], *, named: bool) -> None:
        """Import one file; what is wrong with it is noted. Full when the vault's disk is."""
        try:
            work()
        except TipboxError as error:
            if isinstance(error, WrongReader) and not named:
                self.outcome.notices.append(f"{printable(path.name)}: a Bundle for another reader, passed over")
            else:
                self.outcome.problems.append((path.name, error))
        except OSError as error:
            if error.errno in NO_ROOM:
                raise Full("importing: the disk of the vault is full; make room and import again") from error
            if error.errno == errno.EFBIG:  # a vault on a stick: another copy of the file would not help
                what = TOO_LARGE_A_FILE.format(self._vault.path)
                self.outcome.problems.append((path.name, InputRefused(what)))
                return
            self._cannot_read(error, path)

    def _pass_over(self, vault: Path) -> None:
        self.outcome.notices.append(f"{printable(vault.name)} holds a vault, or its second copy, which was passed over")

    def _no_file(self) -> None:
        self.outcome.notices.append(sentences.NO_FILE)

    def _cannot_read(self, error: OSError, path: Path) -> None:
        """A file or a folder that the system does not give: the rest goes on, and it is named."""
        why = (
            "you may not read it: it is another user's; run chmod -R a+rX on it where it was written, or here as root"
            if error.errno in _NOT_ALLOWED
            else f"reading it failed ({error.strerror}); copy it again from another stick"
        )
        self.outcome.problems.append((path.name, InputRefused(why)))

    def _confirm(self) -> None:
        """What is whole may be acknowledged: staff say that this copy is enough."""
        count = 0
        for carried in EnvelopeRecord.all(self._vault):
            if not carried.by_bundle or carried.confirmed or carried.taken:
                continue
            if self._is_kept(carried):
                replace(carried, confirmed=True).save(self._vault)
                count += 1
            else:
                self.outcome.damaged.append(carried.id)
        if count:
            note(self._vault, "confirm", after=f"{count} without a second copy")

    # --- files ------------------------------------------------------------------------------------------------------

    def _sweep(self) -> None:
        """Remove what an import that was killed left behind: half-read files, and files without a record."""
        replies.sweep(self._vault)
        known = {self._vault.tip_path(tip.id).name for tip in Tip.all(self._vault)}
        for path in (self._vault.path / TIPS).iterdir():
            if path.name not in known:
                path.unlink()
        for path in self._vault.path.glob(f".*{TEMPORARY_SUFFIX}"):
            path.unlink()

    def _sources(self, paths: Iterable[Path]) -> Iterator[_InputFile]:
        for path in paths:
            if path.is_dir():
                for found in _files_below(path, self._cannot_read, self._pass_over, self._no_file):
                    # macOS lays a file ._NAME beside each NAME on a stick.
                    claims = found.suffix.lower() in _SUFFIXES and not found.name.startswith("._")
                    yield _InputFile(found, named=False, expected=claims)
            else:
                yield _InputFile(path, named=True, expected=True)

    def _file(self, source: _InputFile) -> None:
        try:
            file = open_plain(source.path)
        except FileNotFoundError as error:
            raise NotFound("opening a file to import: it is not there; check its name") from error
        with file:
            # By its first bytes: names and endings get lost on sticks.
            head = file.read(HEAD)
            magic = head[: len(bundle_format.MAGIC)]
            file.seek(0)
            if magic == bundle_format.MAGIC:
                self._loose.end()
                self._bundle(file)
            elif magic == envelope_format.MAGIC:
                self._tip(file)
                self._progress(file.tell())
            elif magic == piece_format.MAGIC:
                self._pieces.add(source.path, file)
                self._progress(file.tell())
            elif source.expected and not magic:
                raise NotTipbox(sentences.EMPTY)
            elif self._photos is not None and is_picture(head):
                self._photo(self._photos, file)
            elif source.named and is_picture(head):
                raise NotTipbox("this is a picture; with --photos, QR codes in pictures are read")
            elif source.expected:
                raise NotTipbox("this is neither a Bundle nor a .tip file, or its start is damaged; copy it again")
            else:
                self.outcome.notices.append(sentences.FOREIGN_FILE)

    # --- .tip files -------------------------------------------------------------------------------------------------

    def _tip(self, file: BinaryIO) -> None:
        """A .tip file: whole or an error. It did not come from the server, so it is not acknowledged to it."""
        received = self._receive(file)  # before any record is written: a file that cannot be read spoils no other
        if received.error is not None and received.outcome not in FOR_OTHERS:
            raise received.error
        carried = EnvelopeRecord.find(self._vault, received.id)
        if carried is None or (carried.outcome in _TRIED_AGAIN and received.error is None):
            with self._loose.writing() as commit:
                if carried is None:
                    self._keep(received)
                else:
                    self._open_late(carried, received)
                self._batch.append(file.tell())
                if len(self._batch) >= _BATCH_ITEMS or sum(self._batch) >= _BATCH_BYTES:
                    commit()
            return
        if not self._is_kept(replace(carried, id=received.id)):
            self._loose.end()
            with self._committing():
                file.seek(0)
                self._put_back(received.id, file)
        self._known(received)

    def _photo(self, photos: Photos, file: BinaryIO) -> None:
        """A picture: what its QR codes say is kept until all pictures were read."""
        size = os.fstat(file.fileno()).st_size
        try:
            if not photos.add(file, size):
                self.outcome.notices.append(sentences.NO_CODE)
        finally:
            self._progress(size)

    def _photographed(self, tip: QrTip) -> None:
        """A tip in QR codes, as the .tip file that they are together. Incomplete when too few were read."""
        self._tip(io.BytesIO(tip.envelope()))

    def _joined(self, tip: TipInPieces) -> None:
        """A tip in pieces, as the .tip file that they are together. Incomplete when some are missing."""
        if tip.missing:
            raise Incomplete(tip.what_is_missing())
        with tip.open() as file:
            self._tip(file)

    # --- Bundles ----------------------------------------------------------------------------------------------------

    def _bundle(self, file: BinaryIO) -> None:
        bundle = Bundle(file, self._organisation.id, self._find_key)
        index = bundle.index
        if index.direction != bundle_format.OUTWARD:
            raise WrongReader("this Bundle goes to the server; import it there")
        if index.organisation != self._organisation.id:
            raise Malformed("this Bundle names another organisation inside than outside")
        server = Server.find(self._vault)
        if server is not None and (server.sender, server.server_key) != (index.sender, index.server_key):
            raise WrongSender("this Bundle is from another server than the one that this vault knows; ask its operator")
        self._check_sequence(index.sequence)
        if odd := sum(item.receipt is not None and not _is_stored_day(item.receipt.day, index) for item in index.items):
            self.outcome.notices += [sentences.ODD_DAYS] * odd
        broken: list[DamagedItem] = []
        with self._committing() as commit:
            # In the transaction of the first items: an import that is killed before they are kept pins nothing.
            if server is None:
                server = Server(index.sender, index.server_key)
                server.save(self._vault)
                self.outcome.pinned = server_digits(server)
            self._note_traffic(index)
            self._note_heads(index)
            note(self._vault, "import", after=f"Bundle {index.sequence}, volume {index.volume}")
            for item in bundle.items:
                try:
                    self._item(bundle, item)
                except DamagedItem as error:  # the items after it have places of their own, and may be whole
                    broken.append(error)
                self._progress(item.entry.size)
                self._batch.append(item.entry.size)
                if len(self._batch) >= _BATCH_ITEMS or sum(self._batch) >= _BATCH_BYTES:
                    commit()
        name = Path(file.name).name
        self.outcome.problems += [(name, error) for error in broken]
        if not broken and (bundle.index_damage or not bundle.check_padding()):
            spot = f"its {' and its '.join(bundle.index_damage)}" if bundle.index_damage else "its padding"
            self.outcome.problems.append(
                (
                    name,
                    DamagedItem(f"{spot} is damaged; nothing in it is lost, but the stick or the copy may be failing"),
                )
            )

    def _check_sequence(self, sequence: int) -> None:
        """A server that lies must not use up numbers; its first Bundle may have any, as no other came before."""
        if sequence > MAX_SEQUENCE:
            raise Malformed("this Bundle has a number that no server reaches; ask the server's operator")
        seen = dict(Traffic.of(self._vault).seen)
        if seen and not self._far_ahead and sequence > max(seen) + MAX_AHEAD:
            raise Malformed(
                "this Bundle has a number far ahead of all that came before; ask the server's operator whether that "
                "many were exported, then import it again with --far-ahead"
            )

    def _item(self, bundle: Bundle, item: Item) -> None:
        if item.entry.kind == "report":
            self._report(bundle, item)
            return
        # What is known is not opened again: a Bundle repeats all that is not acknowledged yet.
        carried = EnvelopeRecord.find(self._vault, item.entry.hash)
        if carried is not None and carried.outcome not in _TRIED_AGAIN:
            if not self._is_kept(replace(carried, id=item.entry.hash)):
                with bundle.open(item) as stream:
                    if not self._put_back(item.entry.hash, stream):
                        raise damaged(item, "not what the index says")
            self._see_again(carried, item, bundle)
            return
        try:
            with bundle.open(item) as stream:
                received = self._receive(stream)
        except (DamagedItem, VaultDamaged):  # a record that does not open is no fault of the stick
            raise
        except TipboxError as error:
            raise damaged(item, "not a whole Envelope") from error
        if received.id != item.entry.hash:
            received.drop()
            raise damaged(item, "not what the index says")
        if item.entry.receipt is not None:
            received = replace(
                received,
                tip=received.tip and self._dated(received.tip, item.entry.receipt, bundle.index),
                copy=received.copy and self._dated(received.copy, item.entry.receipt, bundle.index),
            )
        if carried is None:
            self._keep(received, bundle)
        elif received.error is None:
            self._open_late(carried, received)
        else:
            self._see_again(carried, item, bundle)

    def _is_kept(self, carried: EnvelopeRecord) -> bool:
        """Whether what should lie in the vault does, whole. What is for others never did."""
        if carried.outcome != MINE or carried.id in self._whole:
            return True
        tip = Tip.find(self._vault, carried.id)
        if tip is not None and not holds_whole(self._vault, tip):
            return False
        self._whole.add(carried.id)
        return True

    def _put_back(self, ident: bytes, stream: BinaryIO) -> bool:
        """Put back what was lost from the vault; whether that is what ``stream`` has."""
        tip = Tip.find(self._vault, ident)
        if tip is None:
            raise VaultDamaged
        try:
            put_back(self._vault, tip, stream)
        except Tampered:
            return False
        note(self._vault, "import", ident, before="damaged", after="put back")
        self._whole.add(ident)
        self.outcome.put_back += 1
        return True

    def _open_late(self, carried: EnvelopeRecord, received: ReceivedEnvelope) -> None:
        """An Envelope whose key was missing when it came first. What was acknowledged stays so.

        What no outbox has acknowledged yet was confirmed when there was nothing to keep; now there is one copy of it.
        """
        self._place(received)
        sure = carried.confirmed and bool(carried.outbox or carried.taken)
        found = replace(carried, id=received.id, outcome=received.outcome, confirmed=sure)
        if found.taken:
            found.save_taken(self._vault, found.taken)
        else:
            found.save(self._vault)
        note(self._vault, "import", received.id, before=carried.outcome, after=received.outcome)
        self._count(received)

    def _see_again(self, carried: EnvelopeRecord, item: Item, bundle: Bundle) -> None:
        """An Envelope that was here before; the server still has it."""
        self.outcome.counts["known"] += 1
        if not carried.by_bundle:
            replace(carried, by_bundle=True).save(self._vault)
        # A Bundle later than the report: the server was restored from a backup, so it is acknowledged once more.
        elif carried.taken and self._number(bundle) > carried.taken:
            replace(carried, id=item.entry.hash, confirmed=True, outbox=0, taken=0).save(self._vault)
        if item.entry.receipt is not None:
            self._date_again(carried.outcome, item.entry.hash, item.entry.receipt, bundle.index)

    def _date_again(self, outcome: str, ident: bytes, receipt: Receipt, index: Index) -> None:
        """The server's day of a tip that came as a file first, or whose day could not be believed before."""
        kinds: dict[str, type[Tip | Copy]] = {MINE: Tip, DUPLICATE: Copy}
        known = kinds[outcome].find(self._vault, ident) if outcome in kinds else None
        if known is None:
            return
        if not known.dated:
            self._dated(known, receipt, index).save(self._vault)
        elif receipt.day != known.received and _is_stored_day(receipt.day, index):
            self.outcome.notices.append(sentences.OTHER_DAY)

    def _dated(self, record: _Dated, receipt: Receipt, index: Index) -> _Dated:
        """A tip, or the note of a copy, with what the server says of it; as it was when its day cannot be one."""
        if not _is_stored_day(receipt.day, index):
            return record
        stamp = Stamp(receipt.day, receipt.stamp, index.sender)
        try:
            check_stamp(record.hash, stamp.day, stamp.signature, stamp.server)
        except BadSignature:
            self.outcome.notices.append(sentences.BAD_STAMP)
            return replace(record, received=receipt.day, dated=True)
        return replace(record, received=receipt.day, dated=True, stamp=stamp)

    def _report(self, bundle: Bundle, item: Item) -> None:
        if item.entry.size > _MAX_REPORT:
            raise damaged(item, "too large")
        data = b"".join(bundle.read(item))
        if sha256(data) != item.entry.hash:
            raise damaged(item, "not what the index says")
        try:
            report = Report.parse(data)
        except TipboxError as error:
            raise damaged(item, "not a report") from error
        traffic = Traffic.of(self._vault)
        if max((taken.sequence for taken in report.bundles), default=0) > traffic.sent + MAX_AHEAD:
            raise damaged(item, "of outboxes that this desk never wrote")
        newest, doubted = 0, False
        for taken in report.bundles:
            sent = SentOutbox.find(self._vault, outbox_key(taken.sequence))
            if sent is None:
                # Written after the copy was made from which this vault was restored. It has no hash to compare here:
                # above one that is disputed it decides nothing, and what it may have carried goes once more.
                newest = newest if doubted else taken.sequence
            elif taken.indexes == (sent.index,):
                newest = taken.sequence
            else:
                doubted = True
                if not sent.disputed:
                    replace(sent, disputed=True).save(self._vault)
                    self.outcome.notices.append(sentences.disputed(taken.sequence))
        for carried in EnvelopeRecord.all(self._vault):
            # Confirmed or not: one that was found damaged later was acknowledged all the same.
            if carried.by_bundle and not carried.taken and 0 < carried.outbox <= newest:
                carried.save_taken(self._vault, self._number(bundle))
        decided = replies.note_report(self._vault, newest, dict(report.refused))
        for decision in decided:
            note(self._vault, "import", decision.id, before="sent", after=decision.state)
        self.outcome.replies += decided
        # The server knows later outboxes than this vault, which was restored from a copy: no number is used twice.
        if report.bundles and report.bundles[-1].sequence > traffic.sent:
            replace(traffic, sent=report.bundles[-1].sequence).save(self._vault)

    def _number(self, bundle: Bundle) -> int:
        """A number that grows from Bundle to Bundle, also from one server to the next."""
        return Traffic.of(self._vault).base + bundle.index.sequence

    def _note_traffic(self, index: Index) -> None:
        if index.volumes <= _MAX_VOLUMES:
            self._volumes.setdefault(index.sequence, set(range(1, index.volumes + 1))).discard(index.volume)
        traffic = Traffic.of(self._vault)
        seen = dict(traffic.seen)
        last = max(seen, default=0)
        if index.sequence > last + 1 and last:
            missing = f"{last + 1} to {index.sequence - 1}" if index.sequence > last + 2 else f"{last + 1}"
            self.outcome.notices.append(
                f"Bundle {missing} never came here; what you have not acknowledged of it comes again in later ones"
            )
        if index.sequence > last and abs(index.day - self._today) > timedelta(days=MAX_CLOCK_DAYS):
            self.outcome.notices.append(
                f"the server made this on {index.day}, this machine has {self._today}: check both clocks"
            )
        seen[index.sequence] = index.day
        newest = tuple(sorted(seen.items())[-2:])  # two, for destroying a key compares the days of two
        if newest != traffic.seen:
            replace(traffic, seen=newest).save(self._vault)

    def _note_heads(self, index: Index) -> None:
        """Keep the heads that the newest Bundle names, where their stamps verify."""
        kept = KeptHeads.find(self._vault)
        number = Traffic.of(self._vault).base + index.sequence
        if kept is not None and kept.number >= number:
            return
        good = tuple(head for head in index.heads if _is_stamped(head, index.sender))
        if len(good) < len(index.heads):
            self.outcome.notices.append(sentences.BAD_HEAD)
        if kept is not None or good:
            KeptHeads(number, good).save(self._vault)

    # --- Envelopes --------------------------------------------------------------------------------------------------

    def _receive(self, stream: BinaryIO) -> ReceivedEnvelope:
        return receive(self._vault, self._organisation.id, self._find_key, stream, self._today)

    def _keep(self, received: ReceivedEnvelope, bundle: Bundle | None = None) -> None:
        """Keep an Envelope that is not known; ``bundle`` brought it, unless it was a file."""
        self._place(received)
        self._whole.add(received.id)  # as it was read, each of its parts was checked, and then synced
        EnvelopeRecord(received.id, received.outcome, bundle is not None).save(self._vault)
        if received.outcome == Forged.code and bundle is not None:
            number = self._number(bundle)
            ForgedEnvelope(received.id, self._today, number, received.thread).save(self._vault)
        if received.tip is not None:  # of others' nothing is noted: a vault is no archive of the server's traffic
            note(self._vault, "import", received.id, after=received.outcome)
        self._count(received)

    def _place(self, received: ReceivedEnvelope) -> None:
        received.keep(self._vault)
        if received.tip is not None and not received.synced:
            self._unsynced.append(self._vault.tip_path(received.id))

    def _count(self, received: ReceivedEnvelope) -> None:
        self.outcome.counts[received.outcome] += 1
        self.outcome.notices += received.notices
        if received.outcome == Forged.code and Thread.find(self._vault, received.thread) is not None:
            self.outcome.forged[received.thread] += 1
        if (canary := received.canary) is not None:
            if canary.tip == received.id:
                self.outcome.canaries.append(canary.number)
            else:
                self.outcome.notices.append(
                    f"the token of canary {canary.number} came a second time: somebody else may have the list; "
                    "make a new one"
                )

    def _known(self, received: ReceivedEnvelope) -> None:
        received.drop()
        self.outcome.counts["known"] += 1

    @contextmanager
    def _committing(self) -> Iterator[Callable[[], None]]:
        """A transaction that ``commit`` ends and begins again; files are synced before the records that name them."""
        self._batch.clear()
        with self._vault.transaction():
            yield self._commit
            self._sync()

    def _commit(self) -> None:
        self._sync()
        self._vault.checkpoint()
        self._batch.clear()

    def _sync(self) -> None:
        """Make files and their names durable: nobody acknowledges what a power cut could still take."""
        for path in self._unsynced:
            fsync_file(path)
        self._unsynced.clear()
        fsync_folder(self._vault.path / TIPS)


def _is_stored_day(day: date, index: Index) -> bool:
    """Whether the server can have stored an Envelope of this Bundle on that day."""
    return 0 <= (index.day - day).days <= MAX_STORED_DAYS


def _is_stamped(head: Head, server: bytes) -> bool:
    try:
        check_head_stamp(head.organisation, head.head, head.day, head.stamp, server)
    except BadSignature:
        return False
    return True


def _files_below(
    folder: Path,
    cannot_read: Callable[[OSError, Path], None] = lambda *_: None,
    is_vault: Callable[[Path], None] = lambda _: None,
    is_no_file: Callable[[], None] = lambda: None,
) -> list[Path]:
    """All files of a folder and of those in it, by name. What cannot be read is told, and never passed over unseen.

    So is what belongs to a vault, which a stick may hold beside Bundles: a second copy. Its files are not what travels.
    """
    found: list[Path] = []
    for place, folders, names in os.walk(folder, onerror=lambda error: cannot_read(error, Path(str(error.filename)))):
        if {KEY_FILE, STORE_FILE} <= set(names):
            is_vault(Path(place))
            folders[:] = set(folders) - VAULT_FOLDERS
            names[:] = set(names) - VAULT_FILES
        for path in (Path(place, name) for name in folders + names):
            try:
                mode = path.lstat().st_mode
                if stat.S_ISREG(mode):
                    found.append(path)
                elif not stat.S_ISDIR(mode):  # a link on a stick could lead to any file of this machine
                    is_no_file()
            except OSError as error:
                cannot_read(error, path)
    return sorted(found)


def total_size(paths: Iterable[Path]) -> int:
    """Bytes of all files that an import will read, as far as they can be read, for a progress bar."""
    size = 0
    for path in paths:
        for file in _files_below(path) if path.is_dir() else [path]:
            with suppress(OSError):
                size += file.stat().st_size
    return size
