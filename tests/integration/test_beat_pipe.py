"""Heartbeats of played shards arrive at Redis as those of real ones do."""

import time
from pathlib import Path

import pytest

from ponton_bridge.coordination.client.door import DoorClient
from ponton_bridge.coordination.client.scripts import FENCED
from ponton_bridge.coordination.client.wire import RedisAway, Wires
from ponton_bridge.coordination.contract import Keys
from tests.cluster.beat_pipe import Pipe, packed
from tests.cluster.played_shards import Shard
from tests.harness.redis import running_redis


async def test_packed_heartbeats_are_read_like_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A thousand in one go, each with its time; those that are refused are noticed."""
    async with running_redis(tmp_path) as server:
        wires, pipe, door = Wires(server.url, 1), Pipe(server.url), DoorClient(server.url, "wa")
        script = await wires.call("SCRIPT", "LOAD", FENCED)
        shards = {f"acc-{n}": Shard(Keys("wa", f"acc-{n}"), "7", f"i-{n}", 0, 0) for n in range(1000)}
        for shard in shards.values():
            shard.reason, shard.since = "Connected", 5.0
        for now in (time.time(), time.time() + 1):
            await pipe.send([shard.beat_packed(script, now) for shard in shards.values()])
            beats = await door.heartbeats(list(shards))
            assert {(7, f"i-{n}", round(now, 6), "Connected", 5.0) for n in range(1000)} == {
                (beat.epoch, beat.instance, beat.time, beat.reason, beat.since) for beat in beats.values()
            }
        await wires.call("SCRIPT", "FLUSH")
        monkeypatch.setattr("tests.cluster.beat_pipe.ANSWER", 0.3)
        with pytest.raises(RedisAway):
            await pipe.send([packed(["EVALSHA", script, 0])])
        await pipe.close()
        await wires.close()
        await door.close()
