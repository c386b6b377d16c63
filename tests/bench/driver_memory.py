"""Memory of both WhatsApp drivers at the port, five of each side by side. `python -m tests.bench.driver_memory`.

Each is a process as the product starts it, with a journal behind it (`journaled_child`) and without XMPP, whose share
`tests.bench.memory` shows. PSS of the Python process and its core together, the median of five: what several processes
map is counted in equal shares, as on a host with several. Musts are those of the core.
"""

import asyncio
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Final

from ponton_bridge.whatsapp.core_driver import place
from tests.bench import usage
from tests.bench.drivers import CHILD, inbound, median, outbound, resumed_after, side_by_side
from tests.bench.figures import Line, at_most, growth, spread
from tests.bench.journaled_child import TELL as TOLD
from tests.bench.memory import MUST, SETTLE
from tests.bench.report import Result, alone
from tests.bench.soak import GROWTH
from tests.integration.driver_bed import KINDS, Scene, scene
from tests.sandbox.client import SandboxClient
from tests.sandbox.harness import running_sandbox

NAME: Final = "driver_memory"
PROCESSES: Final = 5
TEXTS: Final = 1000  # each way
LARGE, SIZE = 1000, 20_000  # messages each way, of so many bytes: 20 MB
MORE: Final = 10_000  # messages in all, half of them each way
LOOKS: Final = 10  # at memory meanwhile
REST: Final = 2.0  # seconds of silence before a look
WORKED: Final = 60.0  # MiB, at most; idle and growing it owes what a whole shard does


async def _look(scenes: Sequence[Scene], seconds: float = REST) -> list[usage.Memory]:
    await asyncio.sleep(seconds)  # rest is what is measured
    return [usage.memory(here.driver.pid) for here in scenes]


async def _both_ways(here: Scene, count: int, size: int = 0) -> None:
    await inbound(here, count, size)
    await outbound(here, count, [here.bob], size)


async def _grown(here: Scene, total: int) -> float:
    """Let so many messages go through one of them; gives the MiB by which its memory has grown."""
    samples = []
    for done in range(LOOKS):
        await _both_ways(here, total // LOOKS // 2)
        (now,) = await _look([here])
        samples.append((done, now.pss))
    return growth(samples, 0)


async def _kind(sandbox: SandboxClient, folder: Path, kind: str, *, short: bool) -> dict[str, object]:
    """Measure one driver."""
    settle = 3.0 if short else SETTLE
    texts, large, more = (TOLD, TOLD, 2 * TOLD * LOOKS) if short else (TEXTS, LARGE, MORE)
    async with AsyncExitStack() as stack:
        scenes = []
        for _ in range(PROCESSES):
            place_of_it = Path(tempfile.mkdtemp(dir=folder))
            scenes.append(await stack.enter_async_context(scene(sandbox, place_of_it, kind, program=CHILD)))
            await scenes[-1].link()
        looks = {"linked": await _look(scenes, settle)}
        for here in scenes:
            await resumed_after(here)
        looks["resumed"] = await _look(scenes, settle)
        for here in scenes:
            await _both_ways(here, texts)
        looks["after_messages"] = await _look(scenes)
        for here in scenes:
            await _both_ways(here, large, SIZE)
        looks["after_large_messages"] = await _look(scenes)
        grown = await _grown(scenes[0], more)
    found: dict[str, object] = {
        f"{kind_of}_{state}_mib": spread([getattr(one, kind_of) for one in each], 1)
        for state, each in looks.items()
        for kind_of in ("pss", "private")
    }
    return found | {"pss_grown_over_more_messages_mib": round(grown, 1)}


def judged(core: Mapping[str, object]) -> list[Line]:
    """Judge the core by what it must reach."""
    said = {name: median(value) for name, value in core.items()}
    return [
        at_most("core: PSS idle, just linked", MUST[place.CORE], said["pss_linked_mib"], "MiB"),
        at_most("core: PSS idle, resumed", MUST[place.CORE], said["pss_resumed_mib"], "MiB"),
        at_most("core: PSS after 2,000 messages", WORKED, said["pss_after_messages_mib"], "MiB"),
        at_most("core: PSS after 20 MB both ways", WORKED, said["pss_after_large_messages_mib"], "MiB"),
        at_most(f"core: PSS grown over {MORE:,} more", GROWTH, said["pss_grown_over_more_messages_mib"], "MiB"),
    ]


async def measure(*, short: bool) -> Result:
    """Measure both."""
    with tempfile.TemporaryDirectory(prefix="ponton-memory-") as folder:
        async with running_sandbox(Path(folder), fresh_count=100) as sandbox:
            found = {kind: await _kind(sandbox, Path(folder), kind, short=short) for kind in KINDS}
    return Result(NAME, {"processes": PROCESSES, **found}, [*side_by_side(found), *judged(found[place.CORE])])


if __name__ == "__main__":
    raise SystemExit(alone(measure, __doc__))
