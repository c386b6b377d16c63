"""What an owner sees of neonize's own weakness, on the whole system: its event stream dies, and is begun anew."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from ponton_bridge.model.states import TABLE, Reason
from ponton_bridge.whatsapp.core_driver import place
from tests.integration.link_bed import Bed, Owner, built_bed
from tests.integration.test_link_troubles import ODD, back
from tests.sandbox.launch import DRIVER_VARIABLE

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def bed(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Bed]:
    """One stage for all tests of this module, whose shards use neonize."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(DRIVER_VARIABLE, place.NEONIZE)
        async with built_bed(tmp_path_factory.mktemp("bed")) as running:
            yield running


@pytest_asyncio.fixture(loop_scope="module")
async def owner(bed: Bed) -> AsyncIterator[Owner]:
    """An owner who is linked."""
    async with bed.owner() as made:
        await made.link()
        yield made


@pytest.mark.parametrize("name", ODD)
async def test_event_stream_dies(owner: Owner, name: str) -> None:
    """A stanza that the library cannot take, twice: each time a new connection, told once; what follows arrives."""
    odd = ODD[name] | {"attrs": ODD[name].get("attrs", {}) | {"from": {"jid": owner.bob.lid}}}
    (device,) = await owner.devices()
    for turn in range(2):
        await owner.bed.sandbox.stanza(owner.phone, odd, device)
        await owner.talk(f"behind {turn}")
        await back(owner, 2 + turn)
    assert [TABLE[Reason.EVENTS_STALLED].sentence] == owner.told()
    assert (3, [device]) == (await owner.logins(), await owner.devices())
