"""Profiles of the clients, filled so that each starts signed in and asks nothing; called by `programs`.

Settings are plain data. Gajim's are stored by Gajim's own code (its schema is its business), Dino's account
is one row in the database that Dino made at its first start.
"""

import sqlite3
from contextlib import closing
from pathlib import Path

from tests.clients.layout import HOST, User

GAJIM_ACCOUNT = "Lab"

GAJIM_SETTINGS: dict[str, bool | int | str] = {
    "use_keyring": False,
    "check_for_update": False,
    "plugins_update_check": False,
    "show_main_window_on_startup": "always",
    "sounds_on": False,
    "show_notifications": False,
    "dark_theme": 0,
}

# Run by Debian's own python3, which has Gajim's modules. One JSON object on standard input.
GAJIM_SEED = """
import json, sys
wanted = json.load(sys.stdin)
from gajim.common import app, configpaths
configpaths.set_config_root(wanted["root"])
configpaths.init()
configpaths.create_paths()
from gajim.common.settings import Settings
app.settings = Settings()
app.settings.init()
for name, value in wanted["settings"].items():
    app.settings.set_app_setting(name, value)
account = wanted["account"]["account_label"]
app.settings.add_account(account)
for name, value in wanted["account"].items():
    app.settings.set_account_setting(account, name, value)
app.settings.save()
"""


def gajim_seed(root: Path, user: User) -> dict[str, object]:
    """What `GAJIM_SEED` reads: the profile folder, the application's settings and the one account."""
    account = {
        "account_label": GAJIM_ACCOUNT,
        "name": user.name,
        "hostname": HOST,
        "resource": user.resource,
        "savepass": True,
        "password": user.password,
        "active": True,
        "autoconnect": True,
    }
    return {"root": str(root), "settings": GAJIM_SETTINGS, "account": account}


def dino_ready(database: Path) -> bool:
    """Whether Dino's first start has come as far as the table of accounts."""
    if not database.exists():
        return False
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
        try:
            connection.execute("SELECT count(*) FROM account")
        except sqlite3.OperationalError:
            return False
    return True


def seed_dino(database: Path, user: User) -> None:
    """Add the account to the database that Dino's first start has made."""
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute(
            "INSERT INTO account (bare_jid, resourcepart, password, alias, enabled) VALUES (?, ?, ?, '', 1)",
            (user.jid, user.resource, user.password),
        )


def environ(home: Path, display: str) -> dict[str, str]:
    """The whole environment of a graphical client: its own folders, software drawing, no desktop around it."""
    return {
        "PATH": "/usr/bin:/bin:/usr/games",
        "HOME": str(home),
        "XDG_CONFIG_HOME": str(home / "config"),
        "XDG_DATA_HOME": str(home / "data"),
        "XDG_CACHE_HOME": str(home / "cache"),
        "XDG_RUNTIME_DIR": str(home / "run"),
        "DBUS_SESSION_BUS_ADDRESS": f"unix:path={home}/run/bus",
        "DISPLAY": display,
        "GDK_BACKEND": "x11",
        "LANG": "C.UTF-8",
        "NO_AT_BRIDGE": "1",
        "LIBGL_ALWAYS_SOFTWARE": "1",
        "GSK_RENDERER": "cairo",
    }
