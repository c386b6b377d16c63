"""What an owner sees of a stanza that no library knows, on the whole system, by each driver.

To the core it is nothing; neonize's event stream dies of it, and is begun anew.
"""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from ponton_bridge.model.states import TABLE, Reason
from ponton_bridge.whatsapp.core_driver import place
from tests.integration.link_bed import Bed, Owner, built_bed
from tests.integration.test_link_troubles import back
from tests.sandbox.client import Json
from tests.sandbox.launch import DRIVER_VARIABLE

pytestmark = pytest.mark.asyncio(loop_scope="module")

ODD: dict[str, Json] = {
    "typing of a new kind": {"tag": "chatstate", "content": [{"tag": "composing", "attrs": {"media": "video"}}]},
    "receipt of a new kind": {"tag": "receipt", "attrs": {"type": "view", "id": "3EB0", "t": "1795000000"}},
}


@pytest_asyncio.fixture(loop_scope="module", scope="module", params=[place.CORE, place.NEONIZE])
async def bed(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Bed]:
    """A stage for each driver, for all tests of this module."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(DRIVER_VARIABLE, request.param)
        async with built_bed(tmp_path_factory.mktemp("bed")) as running:
            yield running


@pytest_asyncio.fixture(loop_scope="module")
async def owner(bed: Bed) -> AsyncIterator[Owner]:
    """An owner who is linked."""
    async with bed.owner() as made:
        await made.link()
        yield made


@pytest.mark.parametrize("name", ODD)
async def test_odd_stanza(owner: Owner, name: str, request: pytest.FixtureRequest) -> None:
    """Twice: nothing, or each time a new connection that is told once; what follows arrives in any case."""
    odd = ODD[name] | {"attrs": ODD[name].get("attrs", {}) | {"from": {"jid": owner.bob.lid}}}
    (device,) = await owner.devices()
    dies = place.NEONIZE in request.node.callspec.id
    for turn in range(2):
        await owner.bed.sandbox.stanza(owner.phone, odd, device)
        await owner.talk(f"behind {turn}")
        if dies:
            await back(owner, 2 + turn)
    assert ([TABLE[Reason.EVENTS_STALLED].sentence] if dies else []) == owner.told()
    assert (3 if dies else 1, [device]) == (await owner.logins(), await owner.devices())
