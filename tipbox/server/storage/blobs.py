"""Blobs: sealed parts, in a local folder or in an S3 store, behind one interface.

A blob is written once, under a random name, and is durable before its name is given away. obstore's own local store
does not fsync, so local files are written here. Until the row that names it is committed, a new local file is locked;
``sweep`` removes what is neither locked nor named by a row: what a crash left behind. The nightly settle copies a local
file into a second folder, and only then removes the first: a blob is looked for in both.
"""

from __future__ import annotations

import errno
import fcntl
import io
import os
import re
import secrets
import stat
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Protocol, Self, TypeAlias
from urllib.parse import urlsplit

from tipbox.errors import NetworkFailed
from tipbox.files.durable import fsync_folder, write_file
from tipbox.formats.base.limits import KIB, MIB
from tipbox.server.config import Blobs as BlobsConfig
from tipbox.server.home import Home
from tipbox.server.storage.database_errors import BAD_CERTIFICATE
from tipbox.server.storage.executors import Threads

if TYPE_CHECKING:
    from obstore.store import S3Store

PIECE: Final = MIB
_SLOW_PIECE: Final = 64 * KIB
"""Bytes read or written at a time when a blob is copied."""
SETTLED: Final = "settled"
"""The folder of files whose times and order tell nothing."""
READ_NEVER: Final = 4_102_444_800
"""Seconds since 1970, in the year 2100: when a file says that it was read last. Linux notes a reading only on a file
that was changed since the last one, or not read for a day (``relatime``): on this one, none. Else the file of a reply
would tell when its source opened it."""
NAME: Final = re.compile(r"[0-9a-f]{32}", re.ASCII)
_LABEL: Final = "label"
"""The name of what says whose blobs these are."""
_SWEPT_AT_ONCE: Final = 256
"""Each of them is an open file while it is locked."""
_S3_CHUNK: Final = 8 * MIB
_S3_MOST_CHUNKS: Final = 9_000
_S3_TIMEOUT: Final = timedelta(seconds=20)
S3_ABANDONED: Final = timedelta(days=1)
"""Age of what no row names, and of an upload that was not ended, before others may remove it."""
_S3_PART: Final = 5 * MIB
"""The least that S3 takes as one part of an upload; 10,000 of them are more than the largest Envelope."""
_S3_PARTS_AT_ONCE: Final = 2
_S3_PAGE: Final = 1000
_S3_MOST_PAGES: Final = 32
"""That are looked at for the sizes of some: three times as many as ten thousand of them may take in a full bucket."""
_NO_BUCKET: Final = "NoSuchBucket"
_NO_BUCKET_THERE: Final = "there is no such bucket; make it, or correct blobs.url"
_NO_ROOM_THERE: Final = ("InsufficientStorage", "507 ", "QuotaExceeded", "XMinioStorageFull")
_SHUT_OUT: Final = ("AccessDenied", "InvalidAccessKeyId", "SignatureDoesNotMatch", "403 Forbidden", "401 Unauthorized")
"""Codes of S3, where obstore has no error of its own for them."""


Span: TypeAlias = tuple[int, int]
"""First byte, and how many."""


Named: TypeAlias = Callable[[Sequence[str]], Collection[str]]
"""Which of some blobs a row names."""


class IncomingBlob(Protocol):
    """A blob on its way in. A context manager: what was not kept when it closes is gone."""

    size: int

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None: ...

    def write(self, data: bytes | memoryview) -> None:
        """Append."""

    def keep(self, size: int) -> str:
        """Cut to ``size`` bytes, make durable, and give the name to put into a row before this closes."""

    def reduce(self, spans: Sequence[Span]) -> None:
        """Drop all but these bytes, in order; then it is to be kept again. No row may name it."""

    def discard(self) -> None:
        """Undo ``keep``: no row names it."""


@contextmanager
def beside(threads: Threads, incoming: IncomingBlob) -> Iterator[IncomingBlob]:
    """A blob whose end runs beside the loop too: one that is not kept may be a way to a bucket and back."""
    try:
        yield incoming
    except BaseException as error:
        threads.disk(incoming.__exit__, type(error), error, error.__traceback__)
        raise
    threads.disk(incoming.__exit__, None, None, None)


class BlobStore(Protocol):
    """Where blobs lie."""

    local: bool

    def create(self, *, at_once: bool = False) -> IncomingBlob:
        """A new blob.

        ``at_once``: it is written from its begin to its end without a pause and is kept whole, so a bucket takes it as
        it comes. Else it lies in HOME until it is kept.
        """

    def read(self, name: str, start: int, size: int, *, slowly: bool = False) -> Iterator[bytes]:
        """``size`` bytes from ``start``, in pieces; FileNotFoundError or EOFError when they are not there.

        ``slowly``: in smaller ones, because somebody takes them over a slow line and they are held meanwhile.
        """

    def size(self, name: str) -> int | None:
        """Bytes of a blob; None when it is not there."""

    def sizes(self, names: Collection[str]) -> dict[str, int | None]:
        """``size`` of several; of a bucket only as far as a few pages of its list tell it."""

    def delete(self, names: Iterable[str]) -> None:
        """Remove blobs; what is not there is no error."""

    def delete_durably(self, names: Iterable[str]) -> None:
        """``delete``; what is removed stays so after a power cut."""

    def sweep(self, named: Named, after: str = "", swept: Callable[[str], None] = lambda _: None) -> int:
        """Remove what no row names and nobody is writing; how many. It goes through the store piece by piece.

        Args:
            named: which of some names rows name, now.
            after: of a bucket: only names behind this one.
            swept: of a bucket: told the last name of each piece that is done with.
        """

    def is_empty(self) -> bool:
        """Whether there is no blob; a label is none."""

    def label(self) -> bytes | None:
        """What was written last by ``set_label``; None when nothing was."""

    def set_label(self, data: bytes) -> None:
        """Say whose store this is, durably."""


def open_blobs(home: Home, config: BlobsConfig) -> BlobStore:
    """The blob store that the configuration names."""
    return S3Blobs(home.spool, config) if config.url else LocalBlobs(home.blobs)


class _IncomingFile:
    """A locked file in the folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._name = secrets.token_hex(16)
        # Never a file or a link that somebody else has put there.
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
        self._descriptor = os.open(folder / self._name, flags, 0o660)  # the umask is HOME's
        fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        self._kept = False
        self.size = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if not self._kept:
            (self._folder / self._name).unlink(missing_ok=True)
        if self._kept and error is not None and not isinstance(error, Exception):
            return  # killed while its row may yet be committed: the lock holds until the process is gone
        os.close(self._descriptor)

    def write(self, data: bytes | memoryview) -> None:
        view = memoryview(data)
        while view:
            view = view[os.write(self._descriptor, view) :]
        self.size += len(data)

    def keep(self, size: int) -> str:
        if size != self.size:
            os.ftruncate(self._descriptor, size)
        os.utime(self._descriptor, ns=(READ_NEVER * 10**9, os.fstat(self._descriptor).st_mtime_ns))
        # Bytes and name are durable before a row can name them.
        os.fsync(self._descriptor)
        fsync_folder(self._folder)
        self._kept = True
        return self._name

    def reduce(self, spans: Sequence[Span]) -> None:
        self.size = _reduce(self._descriptor, spans)

    def discard(self) -> None:
        self._kept = False


class NoBlob:
    """In place of a blob where nothing comes that is new: no file is made for it."""

    size = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing has to go."""

    def write(self, data: bytes | memoryview) -> None:
        """Nothing is written."""
        raise NotImplementedError

    def keep(self, size: int) -> str:
        """Nothing is kept."""
        raise NotImplementedError

    def reduce(self, spans: Sequence[Span]) -> None:
        """Nothing is there."""
        raise NotImplementedError

    def discard(self) -> None:
        """No row names it."""


class LocalBlobs:
    """Blobs as files of one folder, and of the one for settled files in it."""

    local = True

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def _places(self, name: str) -> tuple[Path, Path]:
        """Where a blob may lie. It is in the second before it leaves the first, so that is how to look.

        FileNotFoundError for what is no name of a blob: whoever can write rows must not name other files by them.
        """
        if not NAME.fullmatch(name):
            raise FileNotFoundError
        return self._folder / name, self._folder / SETTLED / name

    def _open(self, name: str) -> io.FileIO:
        first, second = self._places(name)
        try:
            return open_plain(first)
        except FileNotFoundError:
            return open_plain(second)

    def create(self, *, at_once: bool = False) -> IncomingBlob:
        """See BlobStore."""
        del at_once
        return _IncomingFile(self._folder)

    def read(self, name: str, start: int, size: int, *, slowly: bool = False) -> Iterator[bytes]:
        """See BlobStore."""
        with self._open(name) as file:
            file.seek(start)
            most = _SLOW_PIECE if slowly else PIECE
            while size:
                piece = file.read(min(most, size))
                if not piece:
                    raise EOFError
                size -= len(piece)
                yield piece

    def size(self, name: str) -> int | None:
        """See BlobStore."""
        with suppress(FileNotFoundError), self._open(name) as file:
            return os.fstat(file.fileno()).st_size
        return None

    def sizes(self, names: Collection[str]) -> dict[str, int | None]:
        """See BlobStore."""
        return {name: self.size(name) for name in names}

    def delete(self, names: Iterable[str]) -> None:
        """See BlobStore."""
        for name in names:
            with suppress(FileNotFoundError):
                for path in self._places(name):
                    path.unlink(missing_ok=True)

    def delete_durably(self, names: Iterable[str]) -> None:
        """See BlobStore."""
        self.delete(names)
        for folder in (self._folder, self._folder / SETTLED):
            with suppress(FileNotFoundError):  # nothing was settled yet
                fsync_folder(folder)

    def unsettled(self) -> list[Path]:
        """The files that were never settled, in no order."""
        return [path for path in self._folder.iterdir() if NAME.fullmatch(path.name)]

    def _settled(self) -> list[Path]:
        try:
            return [path for path in (self._folder / SETTLED).iterdir() if NAME.fullmatch(path.name)]
        except FileNotFoundError:
            return []

    def has_more_than(self, count: int) -> bool:
        """Whether more files are here; it looks at no more than that."""
        for folder in (self._folder, self._folder / SETTLED):
            with suppress(FileNotFoundError), os.scandir(folder) as entries:
                count -= sum(1 for _ in islice(entries, max(0, count) + 1))
        return count < 0

    def sweep(self, named: Named, after: str = "", swept: Callable[[str], None] = lambda _: None) -> int:
        """See BlobStore."""
        del after, swept
        found = iter({path.name for path in (*self.unsettled(), *self._settled())})
        removed = 0
        while names := list(islice(found, _SWEPT_AT_ONCE)):
            # Only to try few locks: what counts is asked again once they are held.
            there = named(names)
            removed += self._remove([name for name in names if name not in there], named)
        return removed

    def is_empty(self) -> bool:
        """See BlobStore."""
        return not self.unsettled() and not self._settled()

    def label(self) -> bytes | None:
        """See BlobStore."""
        with suppress(FileNotFoundError), open_plain(self._folder / _LABEL) as file:
            return file.read(MIB)
        return None

    def set_label(self, data: bytes) -> None:
        """See BlobStore."""
        write_file(self._folder / _LABEL, data, 0o660 & self._folder.stat().st_mode)

    def _remove(self, names: Sequence[str], named: Named) -> int:
        with ExitStack() as locks:
            locked = [name for name in names if self._lock(name, locks)]
            # Who held a lock has committed its row, or never will: what is unnamed now stays so.
            now = named(locked)
            unnamed = [name for name in locked if name not in now]
            self.delete(unnamed)
        return len(unnamed)

    def _lock(self, name: str, locks: ExitStack) -> bool:
        try:
            locks.enter_context(only_reader(self._open(name)))
        except (FileNotFoundError, BlockingIOError):
            return False
        return True


def open_plain(path: Path) -> io.FileIO:
    """A plain file, to read. A link is not followed: the sources' process can make some, to files that it cannot read.

    FileNotFoundError when there is none, or something else than a plain file.
    """
    try:
        # Not blocking: a named pipe would wait for somebody who writes into it.
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENXIO):
            raise FileNotFoundError from None
        raise
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise FileNotFoundError
    return io.FileIO(descriptor)


@contextmanager
def only_reader(file: io.FileIO) -> Iterator[io.FileIO]:
    """A blob's file, held so that nobody else writes, settles or sweeps it; BlockingIOError when somebody does."""
    with file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield file


def _reduce(descriptor: int, spans: Sequence[Span]) -> int:
    """Move the spans of a file to its begin, and cut it behind them; its new size."""
    end = 0
    for start, size in spans:
        at, stop = start, start + size
        while at < stop:
            # To the front, and from the front on: nothing is overwritten that is still to be moved.
            piece = os.pread(descriptor, min(PIECE, stop - at), at)
            if not piece:
                raise EOFError
            written = os.pwrite(descriptor, piece, end)
            at += written
            end += written
    os.ftruncate(descriptor, end)
    return end


class _IncomingObject:
    """A nameless file in HOME that is uploaded when it is whole."""

    def __init__(self, spool: Path, store: S3Store) -> None:
        # Nameless: it is gone with its process, however that ends.
        descriptor = os.open(spool, os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, 0o660)
        self._file = os.fdopen(descriptor, "w+b", buffering=0)
        self._store = store
        self._name = secrets.token_hex(16)
        self._kept = True
        self.size = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._file.close()
        if not self._kept:
            _s3_delete(self._store, [self._name])

    def write(self, data: bytes | memoryview) -> None:
        view = memoryview(data)
        while view:
            view = view[self._file.write(view) or 0 :]
        self.size += len(data)

    def keep(self, size: int) -> str:
        import obstore

        self._file.truncate(size)
        self._file.seek(0)
        # S3 takes 10,000 chunks of an object: larger objects come in larger chunks.
        chunk = max(_S3_CHUNK, -(-size // _S3_MOST_CHUNKS))
        with _s3_errors(names_object=False):
            obstore.put(self._store, self._name, self._file, chunk_size=chunk, max_concurrency=2)
        return self._name

    def reduce(self, spans: Sequence[Span]) -> None:
        self.size = _reduce(self._file.fileno(), spans)
        self._file.seek(self.size)

    def discard(self) -> None:
        self._kept = False


class _ObjectAtOnce:
    """An object that its bucket takes as it comes, in pieces of a multipart upload once it is larger than one.

    A bucket shows nothing of it before it is whole. What a process leaves half sent, when it is killed, the sweep ends.
    """

    def __init__(self, store: S3Store) -> None:
        import obstore

        self._store = store
        self._name = secrets.token_hex(16)
        self._writer = obstore.open_writer(store, self._name, buffer_size=_S3_PART, max_concurrency=_S3_PARTS_AT_ONCE)
        self._kept = False
        self.size = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._kept:
            return
        # obstore can only end an upload by making it an object. While the bucket is away, the sweep ends it later.
        with suppress(NetworkFailed):
            self._close()
        with suppress(NetworkFailed):
            _s3_delete(self._store, [self._name])

    def write(self, data: bytes | memoryview) -> None:
        with _s3_errors(names_object=False):
            self._writer.write(data)
        self.size += len(data)

    def keep(self, size: int) -> str:
        if size != self.size:
            raise ValueError("an object that is sent at once is kept whole")
        self._close()
        self._kept = True
        return self._name

    def _close(self) -> None:
        with _s3_errors(names_object=False):
            if not self._writer.closed():
                self._writer.close()

    def reduce(self, spans: Sequence[Span]) -> None:
        raise NotImplementedError

    def discard(self) -> None:
        self._kept = False


class S3Blobs:
    """Blobs as objects of a bucket."""

    local = False

    def __init__(self, spool: Path, config: BlobsConfig) -> None:
        from obstore.store import S3Store

        url = urlsplit(config.url)
        options: dict[str, Any] = {"region": config.region}
        if config.endpoint:
            options["endpoint"] = config.endpoint
        if config.access_key.get_secret_value():
            options["access_key_id"] = config.access_key.get_secret_value()
            options["secret_access_key"] = config.secret_key.get_secret_value()
        # Without TLS only on this machine (config.py).
        plain = config.endpoint.startswith("http://")
        self._spool = spool
        self._store = S3Store(
            url.netloc,
            prefix=url.path.strip("/") or None,
            client_options={"allow_http": plain},
            retry_config={"max_retries": 3, "retry_timeout": _S3_TIMEOUT},
            **options,
        )

    def create(self, *, at_once: bool = False) -> IncomingBlob:
        """See BlobStore."""
        return _ObjectAtOnce(self._store) if at_once else _IncomingObject(self._spool, self._store)

    def read(self, name: str, start: int, size: int, *, slowly: bool = False) -> Iterator[bytes]:
        """See BlobStore."""
        import obstore

        end, most = start + size, PIECE if slowly else _S3_CHUNK
        while start < end:
            with _s3_errors():
                piece = bytes(obstore.get_range(self._store, name, start=start, end=min(end, start + most)))
            if not piece:
                raise EOFError
            start += len(piece)
            yield piece

    def size(self, name: str) -> int | None:
        """See BlobStore."""
        import obstore

        try:
            with _s3_errors():
                return obstore.head(self._store, name)["size"]
        except FileNotFoundError:
            return None

    def sizes(self, names: Collection[str]) -> dict[str, int | None]:
        """See BlobStore. To ask for each by itself is a way to the bucket and back for each."""
        import obstore

        found: dict[str, int | None] = {}
        left = sorted(names)
        for _ in range(_S3_MOST_PAGES):
            if not left:
                break
            with _s3_errors(names_object=False):  # what is listed comes behind the offset: so not the whole name
                page = next(iter(obstore.list(self._store, offset=left[0][:-1] or None, chunk_size=_S3_PAGE)), [])
            there = {entry["path"]: entry["size"] for entry in page}
            last = max(there) if len(page) == _S3_PAGE else left[-1]
            found |= {name: there.get(name) for name in left if name <= last}
            left = [name for name in left if name > last]
        return found

    def delete(self, names: Iterable[str]) -> None:
        """See BlobStore."""
        _s3_delete(self._store, list(names))

    def delete_durably(self, names: Iterable[str]) -> None:
        """See BlobStore."""
        self.delete(names)

    def sweep(self, named: Named, after: str = "", swept: Callable[[str], None] = lambda _: None) -> int:
        """See BlobStore. An object is abandoned when it is a day old: others may have just written it."""
        import obstore

        # Not from the first row: that would hold all names of a large bucket in memory.
        before, removed = datetime.now(UTC) - S3_ABANDONED, 0
        with _s3_errors(names_object=False):
            for page in obstore.list(self._store, offset=after or None, chunk_size=_S3_PAGE):
                found = [entry for entry in page if NAME.fullmatch(entry["path"])]
                names = [entry["path"] for entry in found if entry["last_modified"] < before]
                # Asked after it was listed: who writes a day-old object's row has done so by now.
                there = named(names) if names else ()
                abandoned = [name for name in names if name not in there]
                self.delete(abandoned)
                removed += len(abandoned)
                if found:
                    swept(max(entry["path"] for entry in found))
        return removed

    def is_empty(self) -> bool:
        """See BlobStore."""
        import obstore

        with _s3_errors(names_object=False):
            # Names of blobs come before the label in the order of S3, so the first page says it.
            pages = obstore.list(self._store, chunk_size=2)
            return not any(NAME.fullmatch(entry["path"]) for page in pages for entry in page)

    def label(self) -> bytes | None:
        """See BlobStore."""
        import obstore

        try:
            with _s3_errors():
                return bytes(obstore.get_range(self._store, _LABEL, start=0, end=MIB))
        except FileNotFoundError:
            return None

    def set_label(self, data: bytes) -> None:
        """See BlobStore."""
        import obstore

        with _s3_errors(names_object=False):
            # Some services make a bucket for what is put into it; a misspelt name must not get one.
            next(iter(obstore.list(self._store, chunk_size=1)), None)
            obstore.put(self._store, _LABEL, data)


@contextmanager
def _s3_errors(*, names_object: bool = True) -> Iterator[None]:
    """The errors of the storage service, as a sentence: its own quote requests.

    ``names_object``: whether what is not found can be an object, and not only the bucket.
    """
    from obstore.exceptions import BaseError, NotFoundError, PermissionDeniedError, UnauthenticatedError

    try:
        yield
    except (BaseError, OSError) as error:  # what is not there, and a writer's errors, are OSErrors of Python's own
        said = str(error)
        if isinstance(error, NotFoundError | FileNotFoundError) and names_object and _NO_BUCKET not in said:
            raise FileNotFoundError from None
        if isinstance(error, NotFoundError | FileNotFoundError) or _NO_BUCKET in said:
            sentence = _NO_BUCKET_THERE
        elif isinstance(error, PermissionDeniedError | UnauthenticatedError) or any(word in said for word in _SHUT_OUT):
            sentence = (
                "it does not let this key in; check blobs.access_key and blobs.secret_key, "
                "that the key may read, write, list and delete in the bucket, and this machine's clock"
            )
        elif any(word in said for word in _NO_ROOM_THERE):
            sentence = "it has no room, or its quota is used up; make room there"
        elif "InvalidCertificate" in said:  # rustls's word
            sentence = f"it answers, but {BAD_CERTIFICATE}"
        else:
            sentence = "it does not answer; check that it runs, and blobs.endpoint"
        raise NetworkFailed(f"reaching the blob store: {sentence}") from None


def _s3_delete(store: S3Store, names: list[str]) -> None:
    import obstore

    if names:  # a thousand at a time; what is not there is no error
        with _s3_errors(names_object=False):
            obstore.delete(store, names)
