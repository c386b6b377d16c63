"""What a WhatsApp library does when it meets what it did not expect. `python -m tests.bench.panics [--short]`.

At the port, with a journal behind it, both drivers one after the other: odd stanzas by the hundred, then panics, each
with a message under way in both directions, and a library that is stopped. A panic of neonize takes its whole process
along, which is counted until it is connected again; who finds a neonize that hangs is not its driver's business.
"""

import asyncio
import random
import signal
import tempfile
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final

from ponton_bridge.model.states import Reason
from ponton_bridge.whatsapp import port
from ponton_bridge.whatsapp.core_driver import place
from tests.bench.drivers import APART, CHILD, back_after, signalled
from tests.bench.figures import Line, at_most, distribution, holds
from tests.bench.report import Result, alone
from tests.integration.driver_bed import KINDS, Scene, scene, who
from tests.integration.odd_stanzas import odd
from tests.sandbox.client import SandboxClient
from tests.sandbox.harness import running_sandbox

NAME: Final = "panics"
ODD, EACH = 1500, 50  # stanzas, and how many of them come before each look
PANICS, STOPS = 30, 3
SEED: Final = 7
PATIENCE: Final = 20.0  # seconds
TOLD: Final = 99  # the last part of a text that the child tells of (`journaled_child.TELL`)
DOWN: Final = frozenset({Reason.EVENTS_STALLED, Reason.FAILED, Reason.CONNECTION_LOST, Reason.CONNECTION_REFUSED})
MEDIAN, TAIL, STOPPED = 0.1, 1.0, 10.0  # seconds until connected again


async def _heard(here: Scene, name: str, since: int = 0, patience: float = PATIENCE) -> bool:
    """Whether this text of the contact has come, or does in time."""
    text = port.Text(f"{name}.{TOLD}")
    try:
        await here.driver.hear(port.Message, lambda m: m.content == text, since=since, patience=patience)
    except AssertionError:
        return False
    return True


async def _say(here: Scene, name: str) -> None:
    """Let the contact write it."""
    await here.bob.send_text(here.alice, f"{name}.{TOLD}")


async def _odd(here: Scene, count: int) -> tuple[int, int]:
    """Send odd stanzas; gives how often the library was down after some of them, and how many texts were lost."""
    chance, ends, lost = random.Random(SEED), 0, 0
    for first in range(0, count, EACH):
        before, core = len(here.driver.heard), here.driver.core
        for _ in range(min(EACH, count - first)):
            await here.sandbox.stanza(here.alice, odd(chance, here.bob.lid), here.device)
        await _say(here, f"behind {first}")
        came = await _heard(here, f"behind {first}", before, PATIENCE / 4)
        down = any(isinstance(one, port.Link) and one.reason in DOWN for one in here.driver.heard[before:])
        if down or not came or core != here.driver.core:
            ends += 1
            await here.driver.again()
            await here.driver.link(Reason.CONNECTED)
            # WhatsApp brings with the new connection what nobody has acknowledged.
            lost += not (came or await _heard(here, f"behind {first}", patience=PATIENCE / 4))
    return ends, lost


async def _panic(here: Scene, number: int) -> float:
    """Let the library panic while a text comes and one goes; gives the seconds until it is connected again."""
    core = here.driver.kind == place.CORE
    name = f"3EB0{number:018X}" if core else None
    send = partial(here.driver.call, "send_kept", who(here.bob), f"out {number}", name)
    coming = asyncio.create_task(_say(here, f"in {number}"))
    going = asyncio.create_task(send()) if core else None  # else nobody would be left to answer it
    took = await back_after(here, partial(here.driver.call, "panic"))
    await (going or send())
    await coming
    return took


async def _panics(here: Scene, panics: int, stops: int, apart: float) -> dict[str, Any]:
    """Play them; gives figures."""
    arrived, took = 0, []
    for number in range(panics):
        await asyncio.sleep(apart)  # that long without an end is what makes the next one a first one
        since = len(here.driver.heard) if here.driver.kind == place.CORE else 0
        took.append(await _panic(here, number))
        arrived += await _heard(here, f"in {number}", since)
    stopped = []
    for _ in range(stops if here.driver.kind == place.CORE else 0):
        await asyncio.sleep(apart)
        stopped.append(await back_after(here, partial(signalled, here, signal.SIGSTOP)))
    await here.bob.texts(panics)  # as soon as they are all there
    out = {(record["text"], record["id"]) for record in await here.bob.inbox(kinds="message")}
    once = {text for text, _ in out}
    return {
        "panics": panics,
        "connected_again_s": distribution(took, 3),
        "stopped_connected_again_s": distribution(stopped, 2) if stopped else None,
        "lost_in": panics - arrived,
        "lost_out": panics - len(once),
        "under_two_ids_out": len(out) - len(once),
    }


async def _one(sandbox: SandboxClient, folder: Path, kind: str, *, short: bool) -> dict[str, Any]:
    """Measure one driver."""
    async with scene(sandbox, folder, kind, program=CHILD) as here:
        await here.link()
        odd_count = ODD // 10 if short else ODD
        ends, lost = await _odd(here, odd_count)
        found = await _panics(here, 3 if short else PANICS, 1 if short else STOPS, 1.0 if short else APART)
    return {"odd_stanzas": odd_count, "down_after_odd_stanzas": ends, "texts_lost_behind_them": lost, **found}


def judged(core: Mapping[str, Any]) -> Sequence[Line]:
    """Judge the core by what it must reach."""
    again, stopped = core["connected_again_s"], core["stopped_connected_again_s"]
    return [
        holds("core: goes on after odd stanzas", "each time", core["down_after_odd_stanzas"]),
        holds("core: texts behind odd stanzas arrive", "all", core["texts_lost_behind_them"]),
        at_most("core: panic to connected again, p50", MEDIAN, again["p50"], "s"),
        at_most("core: panic to connected again, p99", TAIL, again["p99"], "s"),
        at_most("core: stopped to connected again, longest", STOPPED, stopped["max"], "s"),
        holds("core: texts during panics arrive, both ways", "all", core["lost_in"] + core["lost_out"]),
        holds("core: a text sent again keeps its id", "each", core["under_two_ids_out"]),
    ]


async def measure(*, short: bool) -> Result:
    """Measure both."""
    found = {}
    with tempfile.TemporaryDirectory(prefix="ponton-panics-") as folder:
        async with running_sandbox(Path(folder), fresh_count=100) as sandbox:
            for kind in KINDS:
                found[kind] = await _one(sandbox, Path(tempfile.mkdtemp(dir=folder)), kind, short=short)
    told = [Line(f"neonize: {name}", "told", str(value), met=True) for name, value in found[place.NEONIZE].items()]
    return Result(NAME, found, [*judged(found[place.CORE]), *told])


if __name__ == "__main__":
    raise SystemExit(alone(measure, __doc__))
