"""What a gateway that is gone leaves at a real Redis: no user of a door."""

from collections.abc import AsyncIterator

import pytest

from ponton_bridge.coordination.client.door import DoorClient
from ponton_bridge.coordination.contract import Door, Keys
from ponton_operator.operators import gateways
from tests.harness.kube_fake import kube_fake
from tests.harness.redis import RedisServer
from tests.integration.local_world import until
from tests.unit.test_gateways_operator import GATEWAY, Bed, settled

KEYS = Keys("wa", "")


@pytest.fixture
async def bed(server: RedisServer, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Bed]:
    """An operator that has begun, with that Redis."""
    monkeypatch.setattr(gateways, "LOOK", 0.3)
    with kube_fake() as fake:
        made = Bed(fake)
        made.secret("redis", url=server.url)
        yield made
        await made.operator.close()
        made.api.close()


async def test_the_doors_users_go_with_the_gateway(bed: Bed, door: DoorClient) -> None:
    """They are there while it is, and not after; a gateway that only moves out of sight keeps them."""
    gateway = bed.gateway()
    await bed.event(gateway)
    await settled(bed, lambda: bed.reason("RedisReachable") == "Reachable")
    assert await door.has_door_user(Door.FRONT_DESK)
    await bed.operator.left_out("bridges")
    assert await door.has_door_user(Door.FRONT_DESK)
    await bed.event(gateway)
    await settled(bed, lambda: bed.operator._known)
    bed.fake.objects.pop((GATEWAY, "bridges", "wa"))
    await bed.event(gateway, "DELETED")
    await until(lambda: not bed.operator._known)
    await until(lambda: not bed.operator.queue._busy)
    assert not await door.has_door_user(Door.FRONT_DESK)
