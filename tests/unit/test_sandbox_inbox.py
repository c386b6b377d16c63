"""The inbox: numbers, the long poll, and its bound."""

import asyncio
from types import SimpleNamespace

from tests.sandbox.control import owner
from tests.sandbox.control.fields import Fields
from tests.sandbox.phones.inbox import LIMIT, Inbox, Json

ASKED = ("since", "wait", "kinds", "limit", "count", "details")


def test_numbers_records_and_gives_those_after_one() -> None:
    """Gives records after a number, in order, up to a limit."""
    inbox = Inbox()
    for text in ("a", "b", "c"):
        inbox.add(1.5, "message", text=text)
    assert [2, 3] == [record.n for record in inbox.since(1)]
    assert [1] == [record.n for record in inbox.since(0, limit=1)]
    assert [] == inbox.since(3) == inbox.since(99)
    assert {"n": 1, "at": 1.5, "kind": "message", "text": "a"} == inbox.since(0)[0].as_json()


def test_makes_details_only_when_read() -> None:
    """Asks for a record's detail when it is given out, not before."""
    asked: list[int] = []

    def detail() -> Json:
        asked.append(1)
        return {"message": {}}

    inbox = Inbox()
    inbox.add(0, "message", detail)
    assert [] == asked
    assert {"n": 1, "at": 0, "kind": "message"} == inbox.since(0)[0].as_json(details=False)
    assert [] == asked
    assert {"message": {}}.items() <= inbox.since(0)[0].as_json().items()
    assert [1] == asked


def test_forgets_the_oldest_beyond_its_bound() -> None:
    """Shows by the numbers that records are gone."""
    inbox = Inbox()
    for n in range(LIMIT + 5):
        inbox.add(n, "message")
    assert [6, 7] == [record.n for record in inbox.since(0, limit=2)]
    assert [LIMIT + 5] == [record.n for record in inbox.since(LIMIT + 4)]


async def test_waits_for_the_next_record() -> None:
    """Returns as soon as something happens, to everybody who waits."""
    inbox = Inbox()
    readers = [asyncio.create_task(inbox.wait(0, 30)) for _ in range(2)]
    await asyncio.sleep(0)
    inbox.add(0, "typing")
    assert [["typing"], ["typing"]] == [[r.kind for r in await reader] for reader in readers]
    assert [1] == [record.n for record in await inbox.wait(0, 30)]


async def test_waits_no_longer_than_told_and_leaves_nothing_behind() -> None:
    """Returns empty after its time, and forgets readers that went away."""
    inbox = Inbox()
    assert [] == await inbox.wait(0, 0.01)
    assert [] == await inbox.wait(0, 0)
    reader = asyncio.create_task(inbox.wait(0, 30))
    await asyncio.sleep(0)
    reader.cancel()
    await asyncio.gather(reader, return_exceptions=True)
    assert inbox._bell.waiting == []


async def test_answers_once_when_there_are_enough() -> None:
    """A reader who knows how many come is woken once: of the kinds asked for, with the number to go on from."""
    phone = SimpleNamespace(inbox=Inbox())
    fields = Fields({"wait": 30, "kinds": "message", "count": 2, "details": 0}, ASKED)
    reader = asyncio.create_task(owner.inbox(None, phone, fields))  # type: ignore[arg-type]  # its inbox is what is read
    for kind in ("message", "receipt", "message"):
        await asyncio.sleep(0)
        assert not reader.done()
        phone.inbox.add(0, kind)
    answer = await reader
    assert [1, 3] == [record["n"] for record in answer["records"]]  # type: ignore[attr-defined]
    assert answer["last"] == 3


async def test_gives_out_what_there_is_when_the_time_is_over() -> None:
    """Fewer than were asked for, and never more than the limit; what was left is found after `last`."""
    phone = SimpleNamespace(inbox=Inbox())
    for kind in ("message", "receipt", "message", "message"):
        phone.inbox.add(0, kind)

    async def asked(**given: object) -> tuple[list[int], object]:
        answer = await owner.inbox(None, phone, Fields(given, ASKED))  # type: ignore[arg-type]
        return [record["n"] for record in answer["records"]], answer["last"]  # type: ignore[attr-defined]

    assert ([1, 3, 4], 4) == await asked(kinds="message", count=9, wait=0.01)
    assert ([1, 3], 3) == await asked(kinds="message", limit=2, count=9)
    assert ([4], 4) == await asked(kinds="message", since=3)
