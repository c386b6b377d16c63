"""Planted words that must never be found where others can read: numbers, JIDs, bodies, codes, secrets.

    canaries = Canaries({"owner": "kanarie7"})
    async with watched(canaries, town.processes):
        ...                                     # command lines and environments are read all the while
    canaries.look("shard log", text)
    assert [] == canaries.hits

A canary is found as it is, in other case, percent-encoded, backslash-escaped, in base64 and in hex.
"""

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from urllib.parse import quote, quote_plus

SHORTEST = 5  # characters; anything shorter is found by chance
EVERY = 0.02  # seconds between two looks at the processes


class Canaries:
    """What was planted, kind -> text, and where it was found."""

    def __init__(self, planted: Mapping[str, str]) -> None:
        self.hits: list[str] = []
        self.looked: dict[str, int] = {}  # place -> characters read there
        self._forms: dict[str, set[str]] = {}
        for kind, text in planted.items():
            self.plant(kind, text)

    def plant(self, kind: str, text: str) -> None:
        """Add one; it counts for everything that is looked at from now on."""
        if len(text) < SHORTEST:
            raise ValueError("a canary this short would be found by chance")
        data = text.encode()
        forms = {text, quote(text), quote_plus(text), json.dumps(text)[1:-1], data.hex()}
        # Base64 depends on what stands before: the part that does not, for each of the three places.
        for shift in range(3):
            inner = base64.b64encode(b"\0" * shift + data).decode()
            forms.add(inner[(0, 2, 3)[shift] : -4 or None])
        self._forms[kind] = {form.casefold() for form in forms if len(form) >= SHORTEST}

    @property
    def kinds(self) -> set[str]:
        """What was planted."""
        return set(self._forms)

    def look(self, place: str, text: str, *, but: Iterable[str] = ()) -> None:
        """Search a text for all canaries `but` some kinds; what is found is in `hits`, with place and kind alone."""
        self.looked[place] = self.looked.get(place, 0) + len(text)
        folded = text.casefold()
        for kind in self._forms.keys() - set(but):
            if any(form in folded for form in self._forms[kind]):
                hit = f"{kind} in {place}"
                self.hits += [hit] * (hit not in self.hits)

    def look_at_names(self, place: str, folder: Path) -> None:
        """Search the names of all files and folders below a folder."""
        self.look(place, "\n".join(str(path.relative_to(folder)) for path in folder.rglob("*")))


@asynccontextmanager
async def watched(canaries: Canaries, processes: Callable[[], Iterable[int]]) -> AsyncIterator[None]:
    """Read command line and environment of every process, also of those that live shortly, until the block ends."""
    task = asyncio.create_task(_watch(canaries, processes))
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def _watch(canaries: Canaries, processes: Callable[[], Iterable[int]]) -> None:
    while True:
        with suppress(OSError):  # a process that has just ended
            _look_at(canaries, processes())
        await asyncio.sleep(EVERY)


def _look_at(canaries: Canaries, pids: Iterable[int]) -> None:
    for pid in pids:
        for name in ("cmdline", "environ"):
            canaries.look(name, Path(f"/proc/{pid}/{name}").read_bytes().decode(errors="replace"))
