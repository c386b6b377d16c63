"""The one Lua script through which a shard writes, and how its answer is read.

It holds the fence on Redis' side (`core.lease` says it in Python): a smaller epoch than the highest seen
writes nothing, nor does a second instance of the same epoch while the first one's lease lives. What passes runs in one
piece: nobody sees half of it.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from ponton_bridge.coordination.client.wire import RedisRefused, Wire
from ponton_bridge.coordination.contract import Keys
from ponton_bridge.core.lease import Verdict
from ponton_bridge.model.errors import HostError

# KEYS: fence, lease. ARGV: epoch, instance, lease time in ms (0: leave the lease alone), then commands as JSON lists.
# Answers: verdict, Redis' time in seconds and microseconds, 1 if the fence was raised by this call.
FENCED: Final = """
local now = redis.call('TIME')
local epoch = tonumber(ARGV[1])
local fence = tonumber(redis.call('GET', KEYS[1]) or '0')
if fence > epoch then return {'fenced', now[1], now[2], 0} end
local lease = redis.call('HMGET', KEYS[2], 'epoch', 'instance')
if lease[1] and tonumber(lease[1]) == epoch and lease[2] ~= ARGV[2] then return {'held', now[1], now[2], 0} end
if fence < epoch then redis.call('SET', KEYS[1], ARGV[1]) end
if tonumber(ARGV[3]) > 0 then
  redis.call('DEL', KEYS[2])
  redis.call('HSET', KEYS[2], 'epoch', ARGV[1], 'instance', ARGV[2])
  redis.call('PEXPIRE', KEYS[2], ARGV[3])
end
for i = 4, #ARGV do redis.call(unpack(cjson.decode(ARGV[i]))) end
return {'done', now[1], now[2], fence < epoch and 1 or 0}
"""
_DIGEST: Final = hashlib.sha1(FENCED.encode(), usedforsecurity=False).hexdigest()  # as Redis names scripts

RedisCommand = Sequence[str | float]


class EpochRefused(HostError):
    """A newer epoch, or another instance of this one, writes for this account: stop for good."""


@dataclass(frozen=True, slots=True)
class Written:
    """What a write tells: Redis' clock in seconds since 1970, and whether Redis had not known our epoch before."""

    time: float
    new: bool


@dataclass(frozen=True, slots=True)
class Pen:
    """Who writes for an account."""

    keys: Keys
    epoch: int
    instance: str

    async def write(self, wire: Wire, commands: Sequence[RedisCommand], *, lease: float = 0.0) -> Written:
        """Run the commands if we may, and take or renew the lease for `lease` seconds (0: leave it).

        Raises EpochRefused, with nothing written, or RedisAway, or RedisRefused.
        """
        texts = [json.dumps([str(part) for part in command]) for command in commands]
        rest: list[str | float] = [
            2,
            self.keys.fence,
            self.keys.lease,
            self.epoch,
            self.instance,
            int(lease * 1000),
            *texts,
        ]
        try:
            answer = await wire.call("EVALSHA", _DIGEST, *rest)
        except RedisRefused as error:
            if error.code != "NOSCRIPT":  # a Redis that was restarted has forgotten it
                raise
            answer = await wire.call("EVAL", FENCED, *rest)
        verdict, seconds, micros, new = answer
        if verdict != Verdict.DONE:
            raise EpochRefused("A newer process serves this account.")
        return Written(int(seconds) + int(micros) / 1e6, bool(new))
