"""The one Lua script through which a shard writes, and how its answer is read.

It holds the fence of DESIGN 4.3 on Redis' side: a smaller epoch than the highest seen writes nothing, nor does a second
instance of the same epoch while the first one's lease lives. What passes runs as a whole or not at all.
"""

import json
from collections.abc import Sequence
from typing import Final

from ponton_bridge.model.errors import HostError

# KEYS: fence, lease. ARGV: epoch, instance, lease time in ms (0: leave the lease alone), then commands as JSON lists.
FENCED: Final = """
local epoch = tonumber(ARGV[1])
local held = tonumber(redis.call('GET', KEYS[1]) or '0')
if held > epoch then return 'fenced' end
local lease = redis.call('HMGET', KEYS[2], 'epoch', 'instance')
if lease[1] and tonumber(lease[1]) == epoch and lease[2] ~= ARGV[2] then return 'held' end
if held < epoch then redis.call('SET', KEYS[1], ARGV[1]) end
if tonumber(ARGV[3]) > 0 then
  redis.call('DEL', KEYS[2])
  redis.call('HSET', KEYS[2], 'epoch', ARGV[1], 'instance', ARGV[2])
  redis.call('PEXPIRE', KEYS[2], ARGV[3])
end
for i = 4, #ARGV do redis.call(unpack(cjson.decode(ARGV[i]))) end
return 'done'
"""

RedisCommand = Sequence[str | int | float]


class EpochRefused(HostError):
    """A newer epoch, or another instance of this one, writes for this account: stop for good."""


def arguments(epoch: int, instance: str, lease: float, commands: Sequence[RedisCommand]) -> list[str]:
    """Give ARGV of the script; `lease` in seconds."""
    texts = [json.dumps([str(part) for part in command]) for command in commands]
    return [str(epoch), instance, str(int(lease * 1000)), *texts]
