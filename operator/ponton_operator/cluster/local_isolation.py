"""User ids of accounts: as root each account's processes run as a user of their own, so that none can touch another.

The ids come from a range that nobody else uses, and stay with their account as long as it exists. Whether it works on
this machine is tried once, with a real child. Called by `local_runtime`.
"""

import asyncio
import json
import os
import stat
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from ponton_bridge.model.errors import HostError
from ponton_operator.cluster.local_files import make_private, remove, write_whole
from ponton_operator.cluster.local_spawn import Spawn, SpawnOptions

# Above what distributions give to people and to systemd's dynamic users, below what containers usually map.
DEFAULT: Final = range(200_000, 265_536)
_PROBE_SECONDS: Final = 20.0  # an interpreter starts in 0.1 s; a busy machine is slower


class UidsUsedUp(HostError):
    """There are more accounts than user ids in the range."""


@dataclass(slots=True)
class Uids:
    """Which account has which user id; kept in a file. `ids` empty: everybody runs as we do."""

    file: Path
    ids: range = range(0)
    _given: dict[str, int] = field(default_factory=dict)

    def load(self) -> None:
        """Read what was given before; what lies outside the range is given anew."""
        try:
            given = json.loads(self.file.read_text())
            self._given = {str(name): int(uid) for name, uid in given.items() if int(uid) in self.ids}
        except (OSError, ValueError, TypeError, AttributeError):
            self._given = {}

    def of(self, name: str) -> int | None:
        """Give the account's user id, a new one if it has none. Raises UidsUsedUp."""
        if not self.ids:
            return None
        if name not in self._given:
            taken = set(self._given.values())
            free = next((uid for uid in self.ids if uid not in taken), None)
            if free is None:
                raise UidsUsedUp(f"All {len(self.ids)} user ids are taken: give --uids a larger range.")
            self._given[name] = free
            self._save()
        return self._given[name]

    def free(self, name: str) -> None:
        """Give back the id of an account that is gone."""
        if self._given.pop(name, None) is not None:
            self._save()

    def _save(self) -> None:
        write_whole(self.file, json.dumps(self._given))


async def probe(spawn: Spawn, env: Mapping[str, str], folder: Path, uid: int) -> str:
    """Try whether a child with this user id can run our program and reach folders in `folder`; '' or what was wrong."""
    if closed := await asyncio.to_thread(_closed, folder):
        return f"others may not enter {closed}"
    place = folder / "probe"
    try:
        await asyncio.to_thread(make_private, place, uid)
        null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
        try:
            child = spawn(program("help"), dict(env), SpawnOptions(place, null, uid))
        finally:
            os.close(null)
        code = await asyncio.wait_for(child.wait(), _PROBE_SECONDS)
    except TimeoutError:
        return "a trial process did not end"
    except OSError as error:
        return f"a trial process could not start ({error.strerror})"
    else:
        return "" if code == 0 else f"a trial process ended with {code}"
    finally:
        await asyncio.to_thread(remove, place)


def _closed(folder: Path) -> Path | None:
    """Give the outermost folder on the way that other users may not pass, None if they may pass all."""
    return next((path for path in reversed(folder.absolute().parents) if not path.stat().st_mode & stat.S_IXOTH), None)


def program(name: str) -> list[str]:
    """Give the command line of one of our programs; `-P` keeps the working folder off the module path."""
    return [sys.executable, "-P", "-m", "ponton_bridge.cli", name]
