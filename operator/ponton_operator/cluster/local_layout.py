"""Where the local runtime keeps things below its state folder, and what it puts there before a process starts.

    STATE/lock                       held while the runtime runs: one runtime for one state
    STATE/uids.json                  user ids of accounts (as root)
    STATE/shards/NAME/store/         the account's own database, keys and last-state.json; it is what moves to a cluster
    STATE/shards/NAME/secrets/       owner, component-secret, redis-url, authorities; written anew for each epoch
    STATE/shards/NAME/pid, shard.log
    STATE/frontdesk/, STATE/portal/  the same for the doors; epoch.json holds the last epoch

Called by `local_shards` and `local_desk`.
"""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from ponton_operator.cluster.local_files import empty, make_private, remove, write_whole
from ponton_operator.cluster.local_pulse import still

_LAST_STATE_BYTES: Final = 4096  # it is written by the shard: read no more than it can need


@dataclass(frozen=True, slots=True)
class Home:
    """The folder of one process."""

    path: Path
    uid: int | None = None

    @property
    def store(self) -> Path:
        """The account's own data."""
        return self.path / "store"

    @property
    def secrets(self) -> Path:
        """What the process is told in confidence."""
        return self.path / "secrets"

    @property
    def pidfile(self) -> Path:
        """Which process runs, for a later run of the runtime."""
        return self.path / "pid"

    @property
    def lock(self) -> Path:
        """The lock that a shard holds on its store."""
        return self.store / "lock"

    def furnish(self, secrets: Mapping[str, str], *, wipe: bool = False) -> None:
        """Make the folders and write the secrets, all for the eyes of the process's user only. Raises OSError."""
        self.path.mkdir(parents=True, exist_ok=True)
        self.path.chmod(0o711 if self.uid is not None else 0o700)  # its user passes through, sees nothing
        make_private(self.store, self.uid)
        if wipe:
            empty(self.store)
        still(self.lock)
        make_private(self.secrets, self.uid)
        empty(self.secrets)
        for name, value in secrets.items():
            write_whole(self.secrets / name, value, uid=self.uid, durable=False)  # written anew for each start

    def last_state(self) -> dict[str, Any]:
        """Give what the process wrote last about its link; {} when there is nothing readable."""
        try:
            number = os.open(self.store / "last-state.json", os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError:
            return {}
        try:
            value = json.loads(os.read(number, _LAST_STATE_BYTES))
        except (OSError, ValueError):
            return {}
        finally:
            os.close(number)
        return value if isinstance(value, dict) else {}

    def remove_store(self) -> None:
        """Remove the account's own data. Raises OSError when something stays."""
        remove(self.store)

    def remove(self) -> None:
        """Remove everything. Raises OSError when something stays."""
        remove(self.path)
