"""The server's configuration: one TOML file, the environment, and no key that is not known."""

from __future__ import annotations

from pathlib import Path

import pytest

from tipbox.errors import Usage
from tipbox.server.config import Config, load


@pytest.fixture(name="home")
def _home(tmp_path: Path) -> Path:
    return tmp_path


def write(home: Path, text: str) -> None:
    (home / "tipbox.toml").write_text(text, encoding="utf-8")


def test_everything_has_a_default(home: Path) -> None:
    config = load(home)

    assert (config.retention.days, config.retention.draft_days) == (90, 14)
    assert (config.quota.carry_capacity, config.quota.reserve_percent) == (64 * 10**9, 20)
    assert config.server.proxy_protocol == "auto"


def test_the_file_is_read(home: Path) -> None:
    write(home, "[retention]\ndays = 30\n[quota]\ndrafts = 5\n")

    config = load(home)

    assert (config.retention.days, config.quota.drafts) == (30, 5)


def test_the_environment_wins(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(home, "[quota]\ndraft_bytes = 1000\n")
    monkeypatch.setenv("TIPBOX_QUOTA_DRAFT_BYTES", "2000")
    monkeypatch.setenv("TIPBOX_DATABASE_URL", "postgresql:///tips")

    config = load(home)

    assert config.quota.draft_bytes == 2000
    assert config.database.url.get_secret_value() == "postgresql:///tips"


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("[quota]\ndraft = 5\n", "quota.draft:"),
        ("[quotas]\ndrafts = 5\n", "quotas:"),
        ("[quota]\ndrafts = 0\n", "quota.drafts:"),
        ('[retention]\ndays = "ninety-canary"\n', "retention.days:"),
        ('[server]\nproxy_protocol = "off"\n', "server.proxy_protocol:"),
        ('[blobs]\nurl = "/tmp/canary"\n', "blobs.url:"),
        ('[limits]\nurl = "http://canary"\n', "limits.url:"),
        ("[quota]\nletters_per_second = 0\n", "quota.letters_per_second:"),
        ("[quota\n", "tipbox.toml"),
        ("[quota]\ndrafts = canary\n", "line 2"),
        ('[limits]\nurl = "valkey://canary.example.org"\n', "without TLS"),
    ],
)
def test_a_wrong_key_in_the_file_is_named_and_its_value_is_not(home: Path, text: str, named: str) -> None:
    write(home, text)

    with pytest.raises(Usage) as raised:
        load(home)

    assert named in str(raised.value)
    assert "canary" not in str(raised.value)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("where", ["file", "environment"])
def test_the_letters_of_a_day_are_refused_with_what_replaces_them(
    home: Path, where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if where == "file":
        write(home, "[quota]\nletters_per_day = 20000\n")
    else:
        monkeypatch.setenv("TIPBOX_QUOTA_LETTERS_PER_DAY", "20000")

    with pytest.raises(Usage) as raised:
        load(home)

    assert "quota.letters_per_day: there is no bound of a day any more" in str(raised.value)
    assert "quota.letters_per_second and quota.letters_burst" in str(raised.value)


@pytest.mark.parametrize("name", ["TIPBOX_QUOTA_DRAFT", "TIPBOX_NOTHING", "TIPBOX_QUOTA", "tipbox_server_canary"])
def test_an_unknown_variable_is_named_and_its_value_is_not(
    home: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, "secret-value")

    with pytest.raises(Usage) as raised:
        load(home)

    assert name in str(raised.value)
    assert "secret-value" not in str(raised.value)


def test_what_systemd_hands_over_wins_key_by_key(home: Path, tmp_path: Path) -> None:
    write(home, '[limits]\npages = 7\nurl = "memory://"\n[retention]\ndays = 30\n')
    handed = tmp_path / "handed"
    handed.mkdir()
    (handed / "stores.toml").write_text('[limits]\nurl = "rediss://rates.example/"\n', encoding="utf-8")

    config = load(home, {"CREDENTIALS_DIRECTORY": str(handed)})

    assert (config.limits.url, config.limits.pages, config.retention.days) == ("rediss://rates.example/", 7, 30)


def test_a_folder_of_other_credentials_is_no_fault(home: Path, tmp_path: Path) -> None:
    assert load(home, {"CREDENTIALS_DIRECTORY": str(tmp_path)}) == load(home)


def test_a_key_that_is_not_known_is_refused_there_too(home: Path, tmp_path: Path) -> None:
    (tmp_path / "stores.toml").write_text('[blobs]\npassword = "hunter2"\n', encoding="utf-8")
    with pytest.raises(Usage, match=r"blobs\.password") as refused:
        load(home, {"CREDENTIALS_DIRECTORY": str(tmp_path)})
    assert "hunter2" not in str(refused.value)


def test_secrets_are_not_printed(home: Path) -> None:
    write(home, '[database]\nurl = "postgresql://user:hunter2@db/tips"\n[blobs]\nsecret_key = "hunter2"\n')

    assert "hunter2" not in repr(load(home))


def test_the_configuration_is_frozen(home: Path) -> None:
    config = load(home)

    with pytest.raises(ValueError, match="frozen"):
        config.quota.drafts = 7


def test_no_key_is_about_a_check() -> None:
    """Every key there is; a new one that lowers a check would have to be added here."""
    keys = {
        f"{section}.{key}"
        for section, field in Config.model_fields.items()
        for key in field.annotation.model_fields  # type: ignore[union-attr]
    }

    assert keys == {
        *("database.url", "blobs.url", "blobs.endpoint", "blobs.region", "blobs.access_key", "blobs.secret_key"),
        *("limits.url", "limits.pages", "limits.open", "limits.openings", "limits.parts", "limits.state"),
        *("limits.finish",),
        *(
            "limits.static",
            "limits.all_per_second",
            "retention.days",
            "retention.draft_days",
            "quota.drafts",
            "quota.draft_bytes",
        ),
        *("retention.reply_days", "limits.mailbox", "quota.reply_bytes"),
        *("quota.long_letter_bytes", "quota.arriving_letter_bytes", "quota.arriving_bytes"),
        *("quota.letters_per_day", "quota.carry_capacity", "quota.reserve_percent"),
        *("quota.letters_per_second", "quota.letters_burst", "quota.long_letter_bytes_per_second"),
        *("plain.bind", "plain.requests", "plain.openings_per_hour", "plain.openings_burst"),
        *("plain.bytes_per_hour", "plain.bytes_burst", "plain.arriving_bytes"),
        *("server.workers", "server.connections", "server.proxy_protocol", "server.language"),
    }, "a new key that lowers no check is added here"
