"""PostgreSQL's roles as docs/scale.md gives them: the server at work changes rows and no table."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest

from support.client import bearer
from support.sealed import envelope, keys_folder, three
from support.services import new_database
from support.world import ROOT
from tipbox.server.bundles.export import write_volumes
from tipbox.server.home import Home
from tipbox.server.process.run import prepare_server
from tipbox.server.storage.database import make_engine
from tipbox.server.upkeep.check import check_server
from tipbox.server.upkeep.prune import prune_server
from tipbox.server.upkeep.settle import settle_server
from tipbox.server.web.app import create_app

pytestmark = pytest.mark.real_clock("PostgreSQL says which day it is, and is not ours to be told another")


def test_a_server_works_with_the_rights_of_the_page(
    postgresql: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    organisations = three()
    keys = keys_folder(tmp_path / "keys", organisations)
    name = urlsplit(new_database(postgresql)).path.strip("/")
    page = (ROOT / "docs" / "scale.md").read_text()
    (statements,) = re.findall(r"^```sql\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    with psycopg.connect(host=postgresql, user="tipbox", dbname=name, autocommit=True) as connection:
        for statement in statements.replace("tips", name).replace("PASSWORD '…'", "").split(";"):
            if statement.strip():
                connection.execute(statement.encode())
    monkeypatch.setenv("TIPBOX_DATABASE_URL", f"postgresql://line_owner@/{name}?host={postgresql}")
    prepare_server(tmp_path / "home", keys)

    monkeypatch.setenv("TIPBOX_DATABASE_URL", f"postgresql://line@/{name}?host={postgresql}")
    home = tmp_path / "home"
    config = prepare_server(home, keys)
    engine = make_engine(Home(home), config)
    sent = envelope(organisations)
    client = create_app(Home(home), config, engine=engine).test_client()
    assert client.put("/api/envelope", data=sent.start, headers=bearer(sent.token)).status_code == 201
    engine.dispose()
    assert write_volumes(home, organisations[0].name, tmp_path)
    prune_server(home)
    settle_server(home)
    assert [one for one in check_server(home) if not one.ok] == []
    with (
        psycopg.connect(host=postgresql, user="line", dbname=name, autocommit=True) as connection,
        pytest.raises(psycopg.errors.InsufficientPrivilege),
    ):
        connection.execute("CREATE TABLE more (id integer)")
