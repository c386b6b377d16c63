"""Many real clients at once, in both directions and through interruptions: what was lost, doubled or swapped."""

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.integration.phones_bed import Phones, people, processes
from tests.sandbox.client import SandboxClient
from tests.sandbox.probing import Probe
from tests.sandbox.tally import PERFECT, tally

pytestmark = pytest.mark.asyncio(loop_scope="module")

CLIENTS = 8
EACH = 25  # messages per client and direction


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def box(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[tuple[SandboxClient, Probe]]:
    """The two processes."""
    async with processes(tmp_path_factory.mktemp("many")) as box:
        yield box


@pytest_asyncio.fixture(loop_scope="module")
async def bed(box: tuple[SandboxClient, Probe]) -> AsyncIterator[Phones]:
    """Alice with a linked client, and Bob."""
    bed = await people(*box)
    await bed.link()
    yield bed
    await bed.sandbox.clear_faults()


def series(prefix: str, count: int = EACH) -> list[str]:
    """The texts of a burst."""
    return [f"{prefix}{number}" for number in range(count)]


async def write(bed: Phones, texts: list[str]) -> None:
    """Send texts with a client, one after the other as the bridge does."""
    for text in texts:
        await bed.send(text)


async def test_clients_and_contacts_write_at_once(box: tuple[SandboxClient, Probe]) -> None:
    """Eight clients and their contacts write to each other in the same chats; nothing is lost or doubled."""
    beds = [await people(*box) for _ in range(CLIENTS)]
    await asyncio.gather(*(bed.link() for bed in beds))
    await asyncio.gather(
        *(bed.bob.burst(to=bed.alice, count=EACH, rate=40, prefix="in ") for bed in beds),
        *(write(bed, series("out ")) for bed in beds),
    )
    for bed in beds:
        shown = await bed.shown(EACH)
        assert PERFECT == tally(sorted(series("in ")), sorted(shown))
        at_bob = await bed.bob.texts(EACH)
        assert PERFECT == tally(sorted(series("out ")), sorted(at_bob))
        copies = await bed.alice.texts(EACH, from_me=True)
        assert PERFECT == tally(sorted(series("out ")), sorted(copies))


async def test_one_direction_keeps_its_order(bed: Phones) -> None:
    """Two hundred texts of a contact are shown in order, and two hundred of the client are read in order."""
    await bed.bob.burst(to=bed.alice, count=200, prefix="in ")
    assert PERFECT == tally(series("in ", 200), await bed.shown(200))
    await write(bed, series("out ", 200))
    assert PERFECT == tally(series("out ", 200), await bed.bob.texts(200))


async def test_cuts_in_the_middle_lose_nothing(bed: Phones) -> None:
    """While a contact writes, the connection is cut again and again; every text is shown once."""
    burst = asyncio.create_task(bed.bob.burst(to=bed.alice, count=100, rate=100, prefix="in "))
    while not burst.done():
        await bed.shown(min(len(bed.texts()) + 20, 100))
        await bed.sandbox.fault("drop", bed.alice)
    await burst
    found = tally(series("in ", 100), await bed.shown(100))
    assert PERFECT == found._replace(swapped=0)  # a cut may swap the last before it with the first after it


@pytest.mark.parametrize("knob", ["restart", "unavailable"])
async def test_the_servers_own_interruptions_lose_nothing(bed: Phones, knob: str) -> None:
    """A stream error in the middle of a series is followed by the rest."""
    await bed.bob.burst(to=bed.alice, count=10, prefix="before ")
    await bed.sandbox.fault(knob, bed.alice)
    await bed.bob.burst(to=bed.alice, count=10, prefix="after ")
    shown = await bed.shown(20)
    assert PERFECT == tally(series("before ", 10) + series("after ", 10), shown)


async def test_a_slow_line_keeps_order(bed: Phones) -> None:
    """Stanzas that are held for a while arrive in order."""
    await bed.sandbox.fault("delay", bed.alice, value=20)
    await bed.bob.burst(to=bed.alice, count=20, prefix="in ")
    assert PERFECT == tally(series("in ", 20), await bed.shown(20))


async def test_replaced_sessions_are_heard_no_more(box: tuple[SandboxClient, Probe], bed: Phones) -> None:
    """After all of this not one stanza was accepted from a session that had been replaced."""
    await bed.sandbox.fault("replaced", bed.alice)
    await bed.event("StreamReplaced")
    stats = await box[0].stats()
    assert 0 == stats["counts"].get("accepted_late", 0)
    assert {} == stats["unimplemented"]
