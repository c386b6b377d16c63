"""How long an owner waits: register -> code on the screen, scan -> "linked". `python -m tests.bench.linking [COUNT]`.

Each round is a new owner on the same stage (Prosody, Redis, sandbox, `ponton local`), one after the other.
Prints the figures and writes them to docs/figures/linking.json; the exit code is 1 when they miss what must hold.
"""

import asyncio
import json
import os
import platform
import statistics
import sys
import tempfile
import time
from pathlib import Path

from ponton_bridge.model.states import TABLE, Reason
from tests.demo import picture
from tests.demo.stage import Say, Stage, built
from tests.demo.story import OOB
from tests.harness.xmpp import logged_in

ROUNDS = 20
MOST = 0.95  # of the rounds have to be within WITHIN seconds, all codes within ALL
WITHIN = 3.0
ALL = 6.0
RESULT = Path("docs/figures/linking.json")


async def one(stage: Stage, number: int) -> tuple[float, float]:
    """Let one owner register and scan; gives both waits in seconds."""
    assert stage.sandbox is not None
    local, password = f"owner{number}", "pw"
    stage.prosody.add_user(local, password)
    phone = await stage.sandbox.account(push_name=local, contacts=["Bob"])
    gateway = stage.prosody.component
    async with logged_in(stage.prosody, local, password, resource="x") as client:
        begun = time.monotonic()
        client.say(gateway, "register")
        message = await client.message(lambda m: m.xml.find(OOB) is not None)
        code = picture.read(await asyncio.to_thread(stage.fetch, str(message["body"])))
        shown = time.monotonic()
        scan = asyncio.create_task(phone.scan(code))
        await client.presence(lambda p: p["status"] == TABLE[Reason.CONNECTED].sentence)
        linked = time.monotonic()
        await scan
    return shown - begun, linked - shown


def summary(values: list[float]) -> dict[str, float]:
    """Give median, 19th of 20 and worst, rounded to milliseconds."""
    ordered = sorted(values)
    most = ordered[max(0, int(len(ordered) * MOST + 0.5) - 1)]
    return {k: round(v, 3) for k, v in {"median": statistics.median(values), "p95": most, "max": ordered[-1]}.items()}


async def run(rounds: int) -> int:
    """Play all rounds."""
    with tempfile.TemporaryDirectory(prefix="ponton-bench-") as folder:
        async with built(Path(folder), Say(lambda _line: None)) as stage:
            waits = [await one(stage, number) for number in range(rounds)]
    figures = {
        "rounds": rounds,
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}",
        "load": round(os.getloadavg()[0], 1),
        "register_to_code_seconds": summary([code for code, _ in waits]),
        "scan_to_linked_seconds": summary([linked for _, linked in waits]),
    }
    print(json.dumps(figures, indent=2))  # noqa: T201
    await asyncio.to_thread(_keep, figures)
    code, linked = figures["register_to_code_seconds"], figures["scan_to_linked_seconds"]
    assert isinstance(code, dict)
    assert isinstance(linked, dict)
    return 0 if code["p95"] <= WITHIN and code["max"] <= ALL and linked["p95"] <= WITHIN else 1


def _keep(figures: dict[str, object]) -> None:
    RESULT.parent.mkdir(parents=True, exist_ok=True)
    RESULT.write_text(json.dumps(figures, indent=2) + "\n")


if __name__ == "__main__":
    raise SystemExit(asyncio.run(run(int(sys.argv[1]) if len(sys.argv) > 1 else ROUNDS)))
