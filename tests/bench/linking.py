"""How long an owner waits: register -> code on the screen, scan -> "linked". `python -m tests.bench.linking [--short]`.

Each round is a new owner on the same stage (Prosody, Redis, sandbox, `ponton local`), one after the other, logged in
with a client that fetches the picture and reads the code from its pixels.
"""

import asyncio
import tempfile
import time
from pathlib import Path
from typing import Final

from ponton_bridge.model.states import TABLE, Reason
from tests.bench.figures import Line, at_most, distribution, quantile
from tests.bench.report import Result, alone
from tests.demo import picture
from tests.demo.say import Say
from tests.demo.stage import Stage, built
from tests.demo.story import OOB
from tests.harness.xmpp import Client, logged_in
from tests.sandbox.client import AccountHandle

NAME = "linking"
ROUNDS: Final = 20
MOST: Final = 0.95  # of the rounds, 19 of 20, have to be within WITHIN seconds, all codes within ALL
WITHIN: Final = 3.0
ALL: Final = 6.0
PATIENCE: Final = 60.0  # seconds until a step counts as failed: far beyond what must hold, so that misses have figures


async def link(stage: Stage, client: Client, phone: AccountHandle) -> tuple[float, float]:
    """Let the owner of this client register and scan; gives both waits in seconds."""
    gateway = stage.prosody.component
    begun = time.monotonic()
    client.say(gateway, "register")
    message = await client.message(lambda m: m.xml.find(OOB) is not None, timeout=PATIENCE)
    code = picture.read(await asyncio.to_thread(stage.fetch, str(message["body"])))
    shown = time.monotonic()
    scan = asyncio.create_task(phone.scan(code))
    await client.presence(lambda p: p["status"] == TABLE[Reason.CONNECTED].sentence, timeout=PATIENCE)
    linked = time.monotonic()
    await scan
    return shown - begun, linked - shown


async def _one(stage: Stage, number: int) -> tuple[float, float]:
    assert stage.sandbox is not None
    local, password = f"owner{number}", "pw"
    stage.prosody.add_user(local, password)
    phone = await stage.sandbox.account(push_name=local, contacts=["Bob"])
    async with logged_in(stage.prosody, local, password, resource="x") as client:
        return await link(stage, client, phone)


def judged(codes: list[float], links: list[float]) -> list[Line]:
    """Judge the waits."""
    return [
        at_most("register -> code, 19 of 20", WITHIN, quantile(codes, MOST), "s"),
        at_most("register -> code, the slowest", ALL, max(codes), "s"),
        at_most("scan -> linked, 19 of 20", WITHIN, quantile(links, MOST), "s"),
    ]


async def measure(*, short: bool) -> Result:
    """Play all rounds."""
    rounds = 3 if short else ROUNDS
    with tempfile.TemporaryDirectory(prefix="ponton-bench-") as folder:
        async with built(Path(folder), Say(lambda _line: None)) as stage:
            waits = [await _one(stage, number) for number in range(rounds)]
    codes, links = ([wait[part] for wait in waits] for part in (0, 1))
    figures = {
        "register_to_code_seconds": distribution(codes, 3),
        "scan_to_linked_seconds": distribution(links, 3),
    }
    return Result(NAME, figures, judged(codes, links))


if __name__ == "__main__":
    raise SystemExit(alone(measure, __doc__))
