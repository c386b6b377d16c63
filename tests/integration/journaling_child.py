"""A process that journals in a loop until it is killed; run by test_store_kill with folder and epoch.

It goes on from the cursor that it finds. For each number n it takes one stanza from "Prosody", gives one stanza to
"Prosody" and remembers n as seen, in one function; several are under way at once. A number is printed when its
transaction is committed, and only then.
"""

import asyncio
import sys
from pathlib import Path

from ponton_bridge.store.journal import Journal
from ponton_bridge.store.opening import open_store
from ponton_bridge.store.worker import JournalWorker

AT_ONCE = 8


def journal_one(journal: Journal) -> int:
    """All effects of the next number."""
    n = journal.cursor()[1] + 1
    (row,) = journal.take("gen", n, [("chat", f"<m n='{n}'/>")])
    journal.emit(f"<s n='{n}'/>")
    if not journal.seen("a@lid", "a@lid", str(n), "message"):
        raise AssertionError("It was here before.")
    if n % 3 == 0:
        journal.chosen(row, f"ID{n}")
    return n


async def go_on(worker: JournalWorker) -> None:
    """Journal and report for ever."""
    while True:
        n = await worker.run(journal_one)
        sys.stdout.write(f"{n}\n")
        sys.stdout.flush()


async def main() -> None:
    """Open, then go on in several tasks."""
    worker = JournalWorker(open_store(Path(sys.argv[1]), int(sys.argv[2])))
    await asyncio.gather(*(go_on(worker) for _ in range(AT_ONCE)))


asyncio.run(main())
