"""The driver in a process of its own, played by a test: pickles on standard streams, both ways.

Started by `driver_bed.Driven` through the sandbox's launcher: `driver_child.py FOLDER DRIVER`. It reads (number,
method, arguments, keywords) and writes ("event", event), ("answer", number, value) or ("error", number, error).
"""

import asyncio
import base64
import os
import pickle
import sys
from functools import partial
from pathlib import Path

from ponton_bridge.model.errors import PontonError
from ponton_bridge.shard import program
from ponton_bridge.whatsapp.core_driver import place
from ponton_bridge.whatsapp.neonize_driver import stdio


class Child:
    """One driver, and what it is asked; OWN is what we answer ourselves."""

    OWN = frozenset({"hold"})

    def __init__(self, folder: Path, driver: str) -> None:
        found = place.program()
        make = program.neonize if driver == place.NEONIZE else partial(program.core, found or Path("missing"))
        self.driver = make(folder / "whatsapp.db")
        self.tasks: set[asyncio.Task[None]] = set()
        self.holding = False

    def say(self, *line: object) -> None:
        """Write one line."""
        sys.stdout.write(base64.b64encode(pickle.dumps(line)).decode() + "\n")
        sys.stdout.flush()

    async def tell_events(self) -> None:
        """Pass all events on."""
        try:
            async for delivery in self.driver.events():
                self.say("event", delivery.event)
                if delivery.token is not None and not self.holding:
                    self.driver.acknowledge(delivery.token)
        except PontonError as error:
            self.say("event", error)
        self.say("end")

    async def hold(self, *, on: bool) -> None:
        """Keep what comes unacknowledged, as a shard does whose disk is slow."""
        self.holding = on

    async def do(self, number: int, method: str, arguments: tuple[object, ...], keywords: dict[str, object]) -> None:
        """Carry out one call."""
        try:
            asked = self if method in self.OWN else self.driver
            self.say("answer", number, await getattr(asked, method)(*arguments, **keywords))
        except PontonError as error:
            self.say("error", number, error)

    async def serve(self) -> None:
        """Carry out calls side by side until the parent closes the pipe."""
        listening = asyncio.create_task(self.tell_events())
        reader = asyncio.StreamReader(limit=1 << 24)
        await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
        while line := await reader.readline():
            task = asyncio.create_task(self.do(*pickle.loads(base64.b64decode(line))))  # noqa: S301 - from our own test
            self.tasks.add(task)
            task.add_done_callback(self.tasks.discard)
        listening.cancel()


if __name__ == "__main__":
    stdio.keep_apart(Path(sys.argv[1]) / "last-words")

    async def main() -> None:
        """Serve on the standard streams."""
        await Child(Path(sys.argv[1]), sys.argv[2]).serve()

    asyncio.run(main())
    os._exit(0)
