"""Ending uploads to a bucket that a killed process has left half sent: nobody sees them, and they take room for ever.

obstore, which all else goes through, can neither list nor end uploads that it did not begin, and S3's other clients are
larger than this server. So these two requests are signed and sent here (AWS Signature Version 4).
"""

from __future__ import annotations

import hashlib
import hmac
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from typing import Final
from urllib.parse import quote, urlsplit
from xml.etree import ElementTree as ET

from tipbox.errors import NetworkFailed
from tipbox.formats.base.limits import MIB
from tipbox.server.config import Blobs as BlobsConfig
from tipbox.server.storage.blobs import NAME, S3_ABANDONED

_SECONDS: Final = 20
_PAGE: Final = "1000"
_LARGEST: Final = 4 * MIB
"""Bytes of an answer: a thousand uploads have less than half a megabyte."""
_MOST_PAGES: Final = 1000
_XMLNS: Final = "{http://s3.amazonaws.com/doc/2006-03-01/}"
_NOTHING: Final = hashlib.sha256(b"").hexdigest()
_FAILED: Final = "ending uploads that were cut off: the blob store"


@dataclass(frozen=True)
class _Upload:
    """An upload that was begun: the object's whole name, S3's name for the upload, and since when it is."""

    key: str
    ident: str
    begun: datetime


def abort_unfinished(config: BlobsConfig, now: datetime | None = None) -> int:
    """End the uploads below this server's prefix that were begun more than a day before ``now``; how many.

    0 where the configuration names no key: then obstore has found one of the machine's by itself, and the bucket's
    own rule has to end them.

    Raises:
        NetworkFailed: the store does not answer, refuses, or answers what S3 does not.
    """
    if not config.access_key.get_secret_value():
        return 0
    before = (now or datetime.now(UTC)) - S3_ABANDONED
    bucket = _Bucket(config)
    old = [upload for upload in bucket.uploads() if upload.begun < before]
    for upload in old:
        bucket.abort(upload)
    return len(old)


class _Bucket:
    def __init__(self, config: BlobsConfig) -> None:
        where = urlsplit(config.url)
        self._config = config
        self._path = f"/{where.netloc}"
        self._prefix = where.path.strip("/")
        self._address = urlsplit(config.endpoint or f"https://s3.{config.region}.amazonaws.com")

    def uploads(self) -> Iterator[_Upload]:
        """All that were begun below the prefix, a page at a time."""
        prefix = f"{self._prefix}/" if self._prefix else ""
        after: dict[str, str] = {}
        for _ in range(_MOST_PAGES):
            page = self._ask(
                "GET", self._path, {"uploads": "", "max-uploads": _PAGE, "prefix": prefix, **after}, (200,)
            )
            try:
                tree = ET.fromstring(page)  # noqa: S314 (bounded; expat bounds what entities make)
                for found in tree.iter(f"{_XMLNS}Upload"):
                    upload = _Upload(
                        found.findtext(f"{_XMLNS}Key", ""),
                        found.findtext(f"{_XMLNS}UploadId", ""),
                        datetime.fromisoformat(found.findtext(f"{_XMLNS}Initiated", "")),
                    )
                    # Whatever it answers: another server's uploads may be beside these.
                    is_ours = upload.key.startswith(prefix) and NAME.fullmatch(upload.key.removeprefix(prefix))
                    if is_ours and upload.begun.tzinfo is not None:
                        yield upload
            except (ET.ParseError, ValueError):
                raise NetworkFailed(f"{_FAILED} answers what is no list of uploads; check blobs.endpoint") from None
            if tree.findtext(f"{_XMLNS}IsTruncated") != "true":
                return
            after = {
                "key-marker": tree.findtext(f"{_XMLNS}NextKeyMarker", ""),
                "upload-id-marker": tree.findtext(f"{_XMLNS}NextUploadIdMarker", ""),
            }

    def abort(self, upload: _Upload) -> None:
        """End one; one that has ended meanwhile is no error."""
        self._ask("DELETE", f"{self._path}/{upload.key}", {"uploadId": upload.ident}, (200, 204, 404))

    def _ask(self, method: str, path: str, query: dict[str, str], well: tuple[int, ...]) -> bytes:
        written = "&".join(f"{name}={quote(value, safe='-_.~')}" for name, value in sorted(query.items()))
        path = quote(path, safe="/-_.~")
        headers = self._signed(method, path, written)
        connection = (
            HTTPConnection(self._address.hostname or "", self._address.port, timeout=_SECONDS)  # on this machine only
            if self._address.scheme == "http"
            else HTTPSConnection(
                self._address.hostname or "",
                self._address.port,
                timeout=_SECONDS,
                context=ssl.create_default_context(),
            )
        )
        try:
            connection.request(method, f"{path}?{written}", headers=headers)
            answer = connection.getresponse()
            data = answer.read(_LARGEST + 1)
        except (OSError, HTTPException):
            raise NetworkFailed(f"{_FAILED} does not answer; check that it runs, and blobs.endpoint") from None
        finally:
            connection.close()
        if answer.status not in well or len(data) > _LARGEST:
            raise NetworkFailed(
                f"{_FAILED} answers {answer.status}; let its key list and end uploads "
                "(s3:ListBucketMultipartUploads, s3:AbortMultipartUpload)"
            )
        return data

    def _signed(self, method: str, path: str, query: str) -> dict[str, str]:
        """The headers of a request without a body."""
        now = datetime.now(UTC)
        second, day = now.strftime("%Y%m%dT%H%M%SZ"), now.strftime("%Y%m%d")
        headers = {"host": self._address.netloc, "x-amz-content-sha256": _NOTHING, "x-amz-date": second}
        names = ";".join(sorted(headers))
        asked = [method, path, query, *(f"{name}:{headers[name]}" for name in sorted(headers)), "", names, _NOTHING]
        scope = f"{day}/{self._config.region}/s3/aws4_request"
        to_sign = ["AWS4-HMAC-SHA256", second, scope, hashlib.sha256("\n".join(asked).encode()).hexdigest()]
        key = b"AWS4" + self._config.secret_key.get_secret_value().encode()
        for part in scope.split("/"):
            key = hmac.digest(key, part.encode(), "sha256")
        signature = hmac.digest(key, "\n".join(to_sign).encode(), "sha256").hex()
        credential = f"{self._config.access_key.get_secret_value()}/{scope}"
        headers["authorization"] = (
            f"AWS4-HMAC-SHA256 Credential={credential}, SignedHeaders={names}, Signature={signature}"
        )
        return headers
