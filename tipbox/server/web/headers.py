"""The headers of every answer (docs/protocol.md, section 1). Static files and errors are no exception."""

from __future__ import annotations

from base64 import b64encode
from hashlib import sha256
from typing import Final
from urllib.parse import urlsplit

from flask import Flask, Response

from tipbox.resources import static_dir

_OFF: Final = (
    "accelerometer", "autoplay", "camera", "clipboard-read", "clipboard-write", "compute-pressure",
    "cross-origin-isolated", "display-capture", "encrypted-media", "fullscreen", "gamepad", "geolocation", "gyroscope",
    "hid", "identity-credentials-get", "idle-detection", "keyboard-map", "local-fonts", "magnetometer", "microphone",
    "midi", "otp-credentials", "payment", "picture-in-picture", "publickey-credentials-create",
    "publickey-credentials-get", "serial", "storage-access", "sync-xhr", "unload", "usb",
    "window-management", "xr-spatial-tracking",
)  # fmt: skip

FIRST_STYLE: Final = (static_dir() / "first.css").read_text(encoding="utf-8")
"""What pages carry of their style, the only thing inline that the policy allows: first words wait for no other file."""
_FIRST_STYLE: Final = b64encode(sha256(FIRST_STYLE.encode()).digest()).decode()

HEADERS: Final[dict[str, str]] = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self' "
        f"'sha256-{_FIRST_STYLE}'; img-src data:; connect-src 'self'; "
        "worker-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "Referrer-Policy": "same-origin",
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Embedder-Policy": "require-corp",
    "Cross-Origin-Resource-Policy": "same-origin",
}
PAGE_HEADERS: Final[dict[str, str]] = {
    # The screen may be kept on while something is sent: phones stop the tabs of one that is off.
    "Permissions-Policy": ", ".join((*(f"{feature}=()" for feature in _OFF), "screen-wake-lock=(self)")),
}
"""Of HTML besides: documents alone have such a policy, and a third of a second of a bad line for each other answer."""
# What marks a visitor, tells when a file was made, or names the software.
_NEVER: Final = ("Set-Cookie", "ETag", "Last-Modified", "Expires", "Server", "X-Powered-By")


def strict_headers(app: Flask) -> None:
    """Put the headers on every answer of ``app``."""

    @app.after_request
    def set_headers(response: Response) -> Response:
        for name in _NEVER:
            response.headers.pop(name, None)
        for name, value in HEADERS.items():
            response.headers[name] = value
        if response.mimetype == "text/html" and not response.location:
            response.headers.update(PAGE_HEADERS)
        if response.location:  # a redirect stays here, and does not repeat the host that was asked for
            response.location = "/" + urlsplit(response.location).path.lstrip("/")
            # And has no words: what is HTML here is a file of the site, to the byte.
            response.set_data(b"")
            response.content_type = "text/plain; charset=utf-8"
        return response
