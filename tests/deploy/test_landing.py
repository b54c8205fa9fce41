"""The organisation's landing page: what the generator makes is well, and the linter finds each thing that is not."""

from __future__ import annotations

import base64
import hashlib
import html
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from support.world import ROOT

LANDING = ROOT / "deploy" / "landing" / "landing.py"


def landing(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run((sys.executable, LANDING, *arguments), capture_output=True, text=True, check=False)


def address(seed: int) -> str:
    key = hashlib.sha256(bytes([seed])).digest()
    checksum = hashlib.sha3_256(b".onion checksum" + key + b"\x03").digest()[:2]
    return base64.b32encode(key + checksum + b"\x03").decode().lower() + ".onion"


@pytest.fixture(scope="module", name="key")
def _key(tmp_path_factory: pytest.TempPathFactory) -> Path:
    key = tmp_path_factory.mktemp("key") / "key"
    subprocess.run(("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", key), check=True)
    key.with_name("signers").write_text(f"tipbox {key.with_suffix('.pub').read_text()}")
    return key


@pytest.fixture(scope="module", name="made")
def _made(key: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made") / "page"
    done = landing("make", "--name", "Bureau <i>&", "--onion", address(1), "--out", folder, "--sign", key)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(name="page")
def _page(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "page"))


def test_what_is_made_is_well_and_signed(made: Path, key: Path) -> None:
    signers = key.with_name("signers")
    assert landing("lint", made, "--signers", signers).stdout == "well\n"
    assert landing("lint", made, "--signers", os.path.relpath(signers)).stdout == "well\n"


def test_its_policy_is_one_that_webcat_enrols(made: Path) -> None:
    """Served as a header, byte for byte: one policy without a comma, and no script and no worker from anywhere."""
    text = html.unescape((made / "index.html").read_text())
    (policy,) = re.findall(r'http-equiv="content-security-policy" content="([^"]+)"', text, re.IGNORECASE)
    directives = {words[0]: words[1:] for words in (part.split() for part in policy.split(";")) if words}
    assert "," not in policy
    assert directives["default-src"] == ["'none'"]
    assert all(re.fullmatch(r"'sha256-[A-Za-z0-9+/]+='", source) for source in directives["style-src"])
    assert directives.keys() == {"default-src", "style-src", "base-uri", "form-action"}
    assert not re.search(r"<script|http-equiv=\"?refresh|<link", text, re.IGNORECASE)


def test_the_page_loads_nothing_and_links_to_no_onion(made: Path) -> None:
    text = (made / "index.html").read_text()
    assert len(text) < 10_000
    assert address(1) in text
    assert "Bureau &lt;i&gt;&amp;" in text
    assert not re.search(r"""(src|href)\s*=|<script|url\(|@import|https?:""", text)
    assert '<meta name="referrer" content="no-referrer">' in text


def test_a_typing_error_in_the_address_is_found_before_anything_is_made(tmp_path: Path) -> None:
    wrong = address(1).replace(address(1)[5], "z" if address(1)[5] != "z" else "y", 1)
    done = landing("make", "--name", "Bureau", "--onion", wrong, "--out", tmp_path / "page")
    assert done.returncode == 2
    assert "typing error" in done.stderr
    assert not (tmp_path / "page").exists()


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        ("</main>", '<img alt="x"></main>', "<img>"),
        ("</main>", "<script>1</script></main>", "<script>"),
        ("</main>", '<p onclick="1">x</p></main>', "no scripts"),
        ("</main>", '<a href="https://example.org/">x</a></main>', "pages of this folder only"),
        ("</main>", f'<a href="http://{address(1)}/">x</a></main>', "the onion address is a link"),
        ("</main>", f"<p>{address(2)}</p></main>", "2 onion addresses"),
        ("</main>", "<p>see https://example.org</p></main>", "an address of the web"),
        ("</main>", f"<p>{'long ' * 8000}</p></main>", "the worst line"),
        ('content="no-referrer"', 'content="origin"', "referrer"),
        ("default-src", "img-src", "policy"),
        ("body{margin:0", "body{background:url(x)", "it loads something"),
        ("body{margin:0", "body{margin:1px", "policy"),
    ],
)
def test_each_fault_is_found(page: Path, old: str, new: str, fault: str) -> None:
    path = page / "index.html"
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new, 1))
    done = landing("lint", page)
    assert done.returncode == 3
    assert fault in done.stderr
    assert "index.html: it is not what was signed" in done.stderr


def test_old_advice_and_other_files_are_found(page: Path, key: Path) -> None:
    path = page / "index.html"
    path.write_text(re.sub(r"\d{4}-\d{2}-\d{2}", "2020-01-01", path.read_text()))
    (page / "counter.js").write_text("1")
    sums = "".join(f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n" for path in [path])
    (page / "SHA256SUMS").write_text(sums)
    done = landing("lint", page, "--signers", key.with_name("signers"))
    assert "days old" in done.stderr
    assert "counter.js: it is not in SHA256SUMS" in done.stderr
    assert "the signature is missing or not right" in done.stderr


def test_headers_of_the_web_server_are_judged(page: Path, tmp_path: Path) -> None:
    good = tmp_path / "good"
    good.write_text(
        "HTTP/2 200\nContent-Security-Policy: default-src 'none'; style-src 'sha256-x'\nReferrer-Policy: no-referrer\n"
        "X-Content-Type-Options: nosniff\nStrict-Transport-Security: max-age=63072000\n"
    )
    bad = tmp_path / "bad"
    bad.write_text("HTTP/2 200\nReferrer-Policy: origin\nSet-Cookie: id=1\n")
    done = landing("lint", page, "--headers", bad)

    assert landing("lint", page, "--headers", good).returncode == 0
    assert done.returncode == 3
    assert [line.split(":")[1].strip() for line in done.stderr.splitlines()] == [
        "content-security-policy",
        "referrer-policy",
        "x-content-type-options",
        "strict-transport-security",
        "set-cookie",
    ]
