"""The verdict on a run: a table of what must hold, and the same as JSON. Pure, but for what machine this is."""

import json
import os
import platform
import shutil
import subprocess
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

from ponton_bridge.whatsapp.core_driver import place
from tests.chaos.history import Direction, Outcome, judge, unexcused
from tests.chaos.recovery import Window, percentile, recovery, within
from tests.chaos.run import Books, Run
from tests.sandbox.launch import driver

HALF_BACK: Final = 3.0  # seconds until half of the crashed shards are bridged again
ALL_BACK: Final = 8.0  # seconds for 99 of 100
STORM: Final = 120.0  # seconds within which all are bridged again after a kill of the runtime
LIBRARIES: Final = ("neonize", "slixmpp", "redis")


@dataclass(frozen=True)
class Row:
    """One line of the table; without a bound `holds` is None and it only tells."""

    name: str
    value: int | float | str
    bound: str = ""
    holds: bool | None = None


def zero(name: str, found: Sequence[object] | int) -> Row:
    """Give a row for what must not be at all."""
    count = found if isinstance(found, int) else len(found)
    return Row(name, count, "0", count == 0)


def recoveries(run: Run) -> tuple[list[float], list[float]]:
    """Give how long single crashed shards were away, and how long all were after each kill of the runtime."""
    storms: list[Window] = []
    for kill in run.nemesis.storms:
        back = [recovery(kill, connected, ()) for connected in run.connections.values()]
        storms.append((kill, kill + max(back)))
    single = [
        recovery(kill, run.connections[owner], run.nemesis.away)
        for owner, kill in run.nemesis.alone
        if not within(kill, storms)
    ]
    return single, [end - begin for begin, end in storms]


def excess(outcome: Outcome, uncertain: Mapping[str, int]) -> int:
    """Count the doubled messages beyond the uncertain sends that the shard of their owner has counted."""
    doubled = Counter(token.owner for token in outcome.doubled)
    return sum(max(0, count - uncertain.get(owner, 0)) for owner, count in doubled.items())


def _out(books: Books, outcome: Outcome) -> list[Row]:
    return [
        Row("XMPP -> WhatsApp: sent", outcome.sent),
        Row("XMPP -> WhatsApp: delivered", outcome.delivered, str(outcome.sent), outcome.delivered == outcome.sent),
        zero("XMPP -> WhatsApp: lost in silence", outcome.lost),
        zero("XMPP -> WhatsApp: told by an error instead", outcome.told),
        zero("XMPP -> WhatsApp: delivered and told", outcome.both),
        Row("XMPP -> WhatsApp: doubled", len(outcome.doubled)),
        Row("XMPP -> WhatsApp: came again under the same id", len(outcome.again)),
        Row("XMPP -> WhatsApp: uncertain sends counted by shards", sum(books.uncertain.values())),
        zero("XMPP -> WhatsApp: doubled and not counted", excess(outcome, books.uncertain)),
        zero("XMPP -> WhatsApp: out of order", outcome.reordered),
        zero("XMPP -> WhatsApp: at another owner's or contact's", outcome.leaked),
        Row("XMPP -> WhatsApp: sent again by clients", books.resent),
        Row("XMPP -> WhatsApp: of these recognised by shards", books.repeated),
    ]


def _in(run: Run, outcome: Outcome) -> list[Row]:
    books, kind = run.books, driver()
    most = books.profile.most_lost if kind == place.NEONIZE else 0  # the core has no excuse
    # What came unreadable comes a second time, behind what was written meanwhile: on every WhatsApp device.
    late = [token for token in outcome.reordered if books.ids[token] in run.watch.asked_again]
    bad = unexcused(outcome.lost, books.ids, run.watch.acknowledged.at, run.nemesis.kills, books.journaled)
    return [
        Row("WhatsApp -> XMPP: sent", outcome.sent),
        Row("WhatsApp -> XMPP: delivered", outcome.delivered),
        Row(
            f"WhatsApp -> XMPP: lost inside the driver ({kind}) at a kill",
            len(outcome.lost),
            f"<= {most}",
            len(outcome.lost) <= most,
        ),
        zero("WhatsApp -> XMPP: lost in any other way", bad),
        zero("WhatsApp -> XMPP: doubled", outcome.doubled),
        Row("WhatsApp -> XMPP: unreadable at first, and so behind others", len(late)),
        zero("WhatsApp -> XMPP: out of order", len(outcome.reordered) - len(late)),
        zero("WhatsApp -> XMPP: at another owner's or contact's", outcome.leaked),
        zero("messages that nobody sent", len(outcome.strange)),
        Row("WhatsApp -> XMPP: shown live, in no archive", books.unarchived),
    ]


def _around(run: Run) -> list[Row]:
    watch, (single, storms) = run.watch, recoveries(run)
    half, all_ = percentile(single, 0.5), percentile(single, 0.99)
    return [
        zero("stanzas accepted from a replaced WhatsApp session", run.books.accepted_late),
        zero("heartbeats of an old epoch", watch.backwards),
        Row("looks at the heartbeats", watch.looks, "> 0", watch.looks > 0),
        zero("entries of the sandbox's trace not read in time", watch.acknowledged.blind),
        Row("shards killed one by one, and measured", len(single)),
        Row("crashed shard bridged again, p50, s", round(half, 2), f"<= {HALF_BACK:g}", half <= HALF_BACK),
        Row("crashed shard bridged again, p99, s", round(all_, 2), f"<= {ALL_BACK:g}", all_ <= ALL_BACK),
        *(Row("runtime killed, all bridged again, s", round(s, 1), f"<= {STORM:g}", s <= STORM) for s in storms),
        Row("questions to the front desk", len(watch.pings)),
        zero("of these unanswered while the servers were there", watch.unanswered(run.nemesis.away)),
    ]


def rows(run: Run) -> list[Row]:
    """Judge a run."""
    books = run.books
    told = set(books.told)
    out, in_ = (judge(books.sent[way], books.seen[way], told) for way in Direction)
    strange = zero("XMPP -> WhatsApp: messages that nobody sent", out.strange)
    planned = sum(books.profile.faults.values())
    struck = Row("faults", len(run.nemesis.done), str(planned), len(run.nemesis.done) == planned)
    return [struck, *_out(books, out), strange, *_in(run, in_), *_around(run)]


def evidence(run: Run) -> list[str]:
    """Tell what the rows count, for whoever looks into it: tokens with ids, and moments from the first ping on."""
    books, lines = run.books, []
    for way in Direction:
        outcome = judge(books.sent[way], books.seen[way], set(books.told))
        for kind in ("told", "lost", "both", "doubled", "reordered", "leaked", "strange"):
            lines += [f"{kind}: {t} ({books.ids.get(t)}) {books.told.get(t, '')}" for t in getattr(outcome, kind)]
    begun = min((at for at, _ in run.watch.pings), default=0.0)
    lines += [f"unanswered ping at {at - begun:.1f} s" for at, answer in run.watch.pings if answer is None]
    lines += [f"servers away from {begin - begun:.1f} to {end - begun:.1f} s" for begin, end in run.nemesis.away]
    return [*lines, *(f"{at - begun:.1f} s: {strike.fault} {strike.owner or ''}" for at, strike in run.nemesis.done)]


def table(found: Sequence[Row]) -> str:
    """Write rows for people."""
    width = max(len(row.name) for row in found)
    marks = {True: "holds", False: "FAILS", None: ""}
    return "\n".join(f"{r.name:<{width}}  {r.value!s:>8}  {r.bound:<9} {marks[r.holds]}".rstrip() for r in found)


def machine() -> dict[str, Any]:
    """Give what the figures depend on."""
    said = {}
    for program, flag in (("prosodyctl", "about"), ("redis-server", "--version")):
        path = shutil.which(program)
        if path:
            done = subprocess.run([path, flag], capture_output=True, text=True, check=False, timeout=10)
            said[program] = next((line for line in done.stdout.splitlines() if any(map(str.isdigit, line))), "")
    return {
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}",
        "load": round(os.getloadavg()[0], 1),
        "driver": driver(),
        "servers": said,
        "libraries": {name: version(name) for name in LIBRARIES},
    }


def keep(path: Path, run: Run, found: Sequence[Row], seen_on: Mapping[str, Any]) -> None:
    """Write the figures."""
    profile = asdict(run.books.profile)
    figures = {
        "seed": run.books.seed,
        "seconds": round(run.books.seconds),
        "profile": profile | {"faults": {str(k): n for k, n in run.books.profile.faults.items()}},
        **seen_on,
        "rows": [asdict(row) for row in found],
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(figures, indent=2) + "\n")
