"""The whole sandbox in one process: proxy, phones and control API, until it is told to end.

Run by `python -m tests.sandbox serve`, and in the tests by `harness`.
"""

import asyncio
import json
import signal
import sys
from dataclasses import dataclass
from pathlib import Path

from aiohttp import web

from tests.sandbox.control.api import application
from tests.sandbox.control.house import House
from tests.sandbox.control.people import People
from tests.sandbox.server import Sandbox
from tests.sandbox.world import Settings

LOOPBACK = "127.0.0.1"
PATIENCE = 1.0  # seconds that requests in progress get at the end; a long poll may be cut


@dataclass(frozen=True, slots=True)
class Options:
    """How to serve. Port 0 is a free one; `follow_stdin` ends the service when standard input closes.

    `host` is the proxy's address; the control API stays on loopback.
    """

    folder: Path
    port: int = 0
    control_port: int = 0
    follow_stdin: bool = False
    host: str = LOOPBACK


async def serve(options: Options, settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT (or the end of standard input).

    Writes the launchers' file once both ports are open, and then one JSON line about them on standard output.
    """
    options.folder.mkdir(parents=True, exist_ok=True)
    sandbox = Sandbox(settings, options.folder)
    loop = asyncio.get_running_loop()
    house = House(sandbox.router, People(sandbox.world, sandbox.router, later=loop.call_later))
    runner = web.AppRunner(application(house), access_log=None, shutdown_timeout=PATIENCE)
    await runner.setup()
    site = web.TCPSite(runner, LOOPBACK, options.control_port)
    await site.start()
    sandbox.control = f"http://{LOOPBACK}:{runner.addresses[0][1]}"
    try:
        await sandbox.start(port=options.port, host=options.host)
        ready = {"config": str(sandbox.config), "control": sandbox.control}
        sys.stdout.write(json.dumps(ready) + "\n")
        sys.stdout.flush()
        await _told_to_end(follow_stdin=options.follow_stdin)
    finally:
        await runner.cleanup()
        await sandbox.stop()


async def _told_to_end(*, follow_stdin: bool) -> None:
    loop, end = asyncio.get_running_loop(), asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, end.set)
    if follow_stdin:
        reader = asyncio.StreamReader()
        await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
        closed = asyncio.create_task(reader.read())
        closed.add_done_callback(lambda _task: end.set())
    await end.wait()
