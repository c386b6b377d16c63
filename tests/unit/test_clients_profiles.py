"""The clients' profiles: signed in, asking nothing, apart from each other and from the machine."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.clients import profiles
from tests.clients.layout import HOST, User

ALICE = User("alice", resource="desk", password="planted")
DINO_TABLE = """CREATE TABLE account (id INTEGER PRIMARY KEY, bare_jid TEXT NOT NULL UNIQUE, resourcepart TEXT,
password TEXT, alias TEXT, enabled INTEGER)"""


def test_gajim_signs_in_by_itself() -> None:
    """Names account, server and password, and is told to connect at once."""
    account = profiles.gajim_seed(Path("/home/g"), ALICE)["account"]
    assert isinstance(account, dict)
    found = [account[key] for key in ("name", "hostname", "resource", "password", "savepass", "autoconnect", "active")]
    assert ["alice", HOST, "desk", "planted", True, True, True] == found


def test_gajim_asks_nothing() -> None:
    """Switches off what would open a window or look for the world outside."""
    asked = ("use_keyring", "check_for_update", "plugins_update_check", "sounds_on", "show_notifications")
    assert not any(profiles.GAJIM_SETTINGS[name] for name in asked)


def test_gajim_is_as_its_users_have_it() -> None:
    """Does not switch on previews that are off by default, so that the lab sees what an owner sees."""
    assert "preview_allow_all_images" not in profiles.GAJIM_SETTINGS


def test_the_seed_is_json() -> None:
    """Can be handed to Gajim's own Python on standard input, where no password shows in a process list."""
    seed = profiles.gajim_seed(Path("/home/g"), ALICE)
    assert seed == json.loads(json.dumps(seed))
    assert "planted" not in profiles.GAJIM_SEED


def test_the_seeding_program_is_python() -> None:
    """Compiles; it runs with another interpreter, so nothing else would notice."""
    compile(profiles.GAJIM_SEED, "seed", "exec")


@pytest.fixture
def database(tmp_path: Path) -> Path:
    """A database as Dino's first start leaves it."""
    path = tmp_path / "dino.db"
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(DINO_TABLE)
    return path


def test_dino_is_ready_when_its_table_is_there(tmp_path: Path, database: Path) -> None:
    """Waits for the file and for the table in it."""
    empty = tmp_path / "empty.db"
    sqlite3.connect(empty).close()
    looks = [profiles.dino_ready(path) for path in (tmp_path / "none.db", empty, database)]
    assert [False, False, True] == looks


def test_looking_does_not_make_a_database(tmp_path: Path) -> None:
    """Leaves it to Dino to create its file."""
    profiles.dino_ready(tmp_path / "none.db")
    assert [] == list(tmp_path.iterdir())


def test_dino_gets_one_enabled_account(database: Path) -> None:
    """Adds a row that Dino connects at its next start."""
    profiles.seed_dino(database, ALICE)
    with closing(sqlite3.connect(database)) as connection:
        rows = connection.execute("SELECT bare_jid, resourcepart, password, alias, enabled FROM account").fetchall()
    assert [(f"alice@{HOST}", "desk", "planted", "", 1)] == rows


def test_a_client_lives_in_its_own_home() -> None:
    """Gives every folder that a desktop program writes to below the home, and none of ours."""
    home = Path("/lab/homes/gajim")
    environ = profiles.environ(home, ":7")
    folders = {value for name, value in environ.items() if name.startswith("XDG_")} | {environ["HOME"]}
    assert all(Path(folder).is_relative_to(home) for folder in folders)
    assert environ["DBUS_SESSION_BUS_ADDRESS"].startswith(f"unix:path={home}/")
    assert ":7" == environ["DISPLAY"]
