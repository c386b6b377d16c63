"""The two WhatsApp drivers side by side at the port, each in a process of its own. `python -m tests.bench.drivers`.

No XMPP: what is measured is the driver with a journal behind it (`journaled_child`), whose commits wait for the disk as
a shard's do. Both are measured in one run, since the machine's mood counts for both, and so does its pace. CPU is that
of the Python process and the core together. Musts are those of the core. Memory is looked at by `driver_memory`.
"""

import asyncio
import os
import random
import signal
import tempfile
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Final

from ponton_bridge.model.states import Reason
from ponton_bridge.whatsapp import port
from ponton_bridge.whatsapp.core_driver import place
from tests.bench import usage
from tests.bench.figures import Line, holds, quantile, spread
from tests.bench.latency import bare_client, echoes
from tests.bench.pace import Pace
from tests.bench.report import Result, alone
from tests.integration.driver_bed import KINDS, Scene, scene, who
from tests.sandbox.client import AccountHandle, SandboxClient
from tests.sandbox.harness import running_sandbox

NAME: Final = "core"
CHILD: Final = Path(__file__).with_name("journaled_child.py")
IN, OUT, RESTARTS, CRASHES = 2000, 500, 5, 5
APART: Final = 11.0  # seconds: after 10 of health a core's next end is a first one again
CHATS: Final = 5  # that are written to at once, beside the measurement with one
CONTACTS, KILLS = 200, 60  # that the phone writes meanwhile
AFTER: Final = 0.11  # seconds after CONNECTED within which a kill comes
SEED: Final = 7
PATIENCE: Final = 120.0  # seconds
BOOK_PATIENCE: Final = 15.0  # seconds; app state is fetched again 2 s after a connection


async def _code(here: Scene) -> float:
    """Give seconds from the process's start to the first code, which is then scanned."""
    begun = time.monotonic()
    await here.driver.open()
    await here.driver.call("start")
    code = await here.driver.hear(port.Code)
    took = time.monotonic() - begun
    here.device = await here.alice.scan(code.text)
    await here.driver.link(Reason.CONNECTED)
    await here.alice.synced(here.device)
    return took


async def resumed_after(here: Scene) -> float:
    """Give seconds from `start` on stored keys to CONNECTED, in a fresh process."""
    await here.driver.kill()
    here.driver.heard.clear()
    await here.driver.open()
    await here.driver.call("presence", available=False)  # the process has imported all it needs
    begun = time.monotonic()
    await here.driver.call("start")
    await here.driver.link(Reason.CONNECTED)
    return time.monotonic() - begun


async def signalled(here: Scene, number: signal.Signals) -> None:
    """Send the core a signal."""
    os.kill(here.driver.core, number)


async def back_after(here: Scene, end: Callable[[], Awaitable[object]]) -> float:
    """Give seconds from the `end` of a core to CONNECTED; neonize ends with the process that it lives in."""
    before, begun = len(here.driver.heard), time.monotonic()
    if here.driver.kind == place.CORE:
        await end()
    else:
        await here.driver.again()
        before = 0
    await here.driver.link(Reason.CONNECTED, since=before)
    return time.monotonic() - begun


async def _crashed(here: Scene) -> float:
    """Give seconds from the kill of a core that was healthy to CONNECTED."""
    await asyncio.sleep(APART)
    return await back_after(here, partial(signalled, here, signal.SIGKILL))


async def inbound(here: Scene, count: int, size: int = 0) -> float:
    """Give messages a second from a contact; `count` is a multiple of those of which the child tells."""
    before, begun = len(here.driver.heard), time.monotonic()
    prefix = "x" * size + "i."
    await here.bob.burst(here.alice, count, prefix=prefix)
    last = port.Text(f"{prefix}{count - 1}")
    await here.driver.hear(port.Message, lambda m: m.content == last, since=before, patience=PATIENCE)
    return count / (time.monotonic() - begun)


async def outbound(
    here: Scene, count: int, contacts: Sequence[AccountHandle], size: int = 0
) -> tuple[float, list[float]]:
    """Give messages a second, one after the other to each contact, and each one's milliseconds."""
    each, people = count // len(contacts), [who(one) for one in contacts]
    begun = time.monotonic()
    took: list[float] = await here.driver.call("send_many", people, each, size, patience=PATIENCE)
    return each * len(contacts) / (time.monotonic() - begun), took


async def _book(here: Scene, contacts: int, kills: int) -> int:
    """Kill the process while the phone writes contacts, some at each kill; gives how many the address book lacks."""
    names = [f"Person {number}" for number in range(contacts)]
    dice = random.Random(SEED)

    async def write(some: Sequence[str]) -> None:
        for name in some:
            await here.alice.add_contacts(name)

    for kill in range(kills):
        writing = asyncio.create_task(write(names[kill::kills]))
        await asyncio.sleep(dice.uniform(0, AFTER))  # moments of the kills are what is tried
        await here.driver.again()
        await here.driver.link(Reason.CONNECTED)
        await writing

    async def lacking() -> int:
        return len(set(names) - {entry.name for entry in (await here.driver.call("contacts")).entries})

    with suppress(TimeoutError):
        async with asyncio.timeout(BOOK_PATIENCE):
            while await lacking():  # noqa: ASYNC110 - nothing tells when the fetch is over
                await asyncio.sleep(1)
    return await lacking()


async def _one(sandbox: SandboxClient, folder: Path, kind: str, scale: Callable[[int], int]) -> dict[str, object]:
    """Measure one driver."""
    async with scene(sandbox, folder, kind, program=CHILD) as here:
        await here.driver.kill()
        code = await _code(here)
        resumed = [await resumed_after(here) for _ in range(scale(RESTARTS))]
        cpu = usage.cpu_seconds(here.driver.pid)
        came = await inbound(here, scale(IN))
        inbound_cpu = (usage.cpu_seconds(here.driver.pid) - cpu) / scale(IN) * 1000
        contacts = [here.bob, *[await sandbox.contact(f"{kind} {number}") for number in range(1, CHATS)]]
        await outbound(here, CHATS, contacts)  # makes the sessions of the encryption, which later ones need not
        cpu = usage.cpu_seconds(here.driver.pid)
        went, sends = await outbound(here, scale(OUT), contacts[:1])
        outbound_cpu = (usage.cpu_seconds(here.driver.pid) - cpu) / scale(OUT) * 1000
        several, _ = await outbound(here, scale(OUT), contacts)
        crashes = [await _crashed(here) for _ in range(scale(CRASHES))]
        lacking = await _book(here, scale(CONTACTS), scale(KILLS))
    return {
        "start_to_code_s": round(code, 3),
        "stored_link_to_connected_s": spread(resumed, 3),
        "crash_to_connected_s": spread(crashes, 3),
        "inbound_per_s": round(came),
        "inbound_cpu_ms": round(inbound_cpu, 2),
        "outbound_per_s": round(went),
        "outbound_to_several_chats_per_s": round(several),
        "outbound_cpu_ms": round(outbound_cpu, 2),
        "send_p50_ms": round(quantile(sends, 0.5), 2),
        "send_p99_ms": round(quantile(sends, 0.99), 2),
        "contacts_lost_in_kills": lacking,
    }


def side_by_side(found: Mapping[str, Mapping[str, object]]) -> list[Line]:
    """Give a line for each figure of each driver, both of one figure together."""
    told = [(f"{kind}: {name}", str(value)) for kind, measured in found.items() for name, value in measured.items()]
    told.sort(key=lambda one: one[0].partition(": ")[2])
    return [Line(name, "told", value, met=True) for name, value in told]


def median(figure: object) -> float:
    """Give the median of several rounds, or the one number that there is."""
    return float(figure["median"] if isinstance(figure, dict) else figure)  # type: ignore[arg-type]  # a number


def judged(core: Mapping[str, object], pace: Pace) -> list[Line]:
    """Judge the core by what it must reach."""
    said = {name: median(value) for name, value in core.items()}
    return [
        pace.line(),
        pace.at_least("core: inbound, journaled", 400, said["inbound_per_s"], "/s"),
        pace.at_least("core: outbound to one chat, journaled", 250, said["outbound_per_s"], "/s"),
        pace.at_most("core: CPU a message, inbound", 4, said["inbound_cpu_ms"], "ms"),
        pace.at_most("core: CPU a message, outbound", 4, said["outbound_cpu_ms"], "ms"),
        pace.at_most("core: exec to code", 0.6, said["start_to_code_s"], "s"),
        pace.at_most("core: stored link to connected", 0.1, said["stored_link_to_connected_s"], "s"),
        pace.at_most("core: killed to connected again", 0.1, said["crash_to_connected_s"], "s"),
        holds(f"core: {CONTACTS} contacts after {KILLS} kills", "all there", int(said["contacts_lost_in_kills"])),
    ]


async def measure(*, short: bool) -> Result:
    """Measure both."""

    def scale(count: int) -> int:
        return max(1, count // 5) if short else count

    with tempfile.TemporaryDirectory(prefix="ponton-drivers-") as folder:
        async with running_sandbox(Path(folder), fresh_count=100) as sandbox:
            async with bare_client(sandbox, Path(folder)) as bare:
                pace = await echoes(bare)
            found = {kind: await _one(sandbox, Path(tempfile.mkdtemp(dir=folder)), kind, scale) for kind in KINDS}
    lines = [*side_by_side(found), *judged(found[place.CORE], pace)]
    return Result(NAME, {"pace": pace.figures(), **found}, lines)


if __name__ == "__main__":
    raise SystemExit(alone(measure, __doc__))
