"""One Redis user per account, confined to the account's own keys, and one for each door. Called by `door.DoorClient`.

Needs the selectors of Redis 7: besides its own keys a shard may add to the gateway's stream of states, and nothing
else there. It can still fill or cut that stream, or name another account in it: so readers take the stream as a
hint and read the state where only its account can write (`Keys.state`).
"""

import hashlib
from typing import Final

from ponton_bridge.coordination.client.wire import RedisAway, RedisRefused, Reply, Wires
from ponton_bridge.coordination.contract import FRONT_DESK, Door, Keys
from ponton_bridge.model.errors import HostError

# What a shard's client really calls, held to it by a test: nothing else is allowed.
COMMANDS: Final = (
    "del", "eval", "evalsha", "expire", "get", "hmget", "hset", "pexpire", "rpush", "select", "set", "time", "xdel",
    "xread",
)  # fmt: skip
# What the portal does with the keys that are its own.
KEEPING: Final = (
    "+del", "+expire", "+get", "+getdel", "+getex", "+hset", "+incr", "+sadd", "+set", "+smembers", "+srem",
)  # fmt: skip


class NoAcl(HostError):
    """This Redis has no users with selectors (before 7.0), or does not let us make them."""

    def __init__(self) -> None:
        super().__init__("This Redis does not let the bridge make users, so accounts cannot be confined to their keys.")


def user_name(gateway: str, account: str) -> str:
    """Give the name of an account's Redis user.

    >>> user_name("gw", "acc-1")
    'ponton-gw-acc-1'
    """
    return f"ponton-{gateway}-{account}"


def rules(keys: Keys, password: str) -> list[str]:
    """Give the ACL rules of an account's user; the password goes as its hash."""
    secret = hashlib.sha256(password.encode()).hexdigest()
    allowed = [f"+{command}" for command in COMMANDS]
    return ["reset", "on", f"#{secret}", f"~{keys.prefix}*", *allowed, f"(+xadd ~{keys.states})"]


def door_user_name(gateway: str, door: Door) -> str:
    """Give the name of a door's Redis user; no account's name holds a dot, so it is nobody else's.

    >>> door_user_name("gw", Door.FRONT_DESK)
    'ponton-gw.frontdesk'
    """
    return f"ponton-{gateway}.{door}"


def door_rules(gateway: str, door: Door, password: str) -> list[str]:
    """Give the ACL rules of a door's user: leave commands, await results, read what is known of accounts, and its own.

    The front desk also reads and answers the commands that the portal leaves for itself. The portal reads live codes,
    adds to histories what the host's people did, and keeps its sessions.
    """
    secret = hashlib.sha256(password.encode()).hexdigest()
    keys, own = Keys(gateway, ""), Keys(gateway, FRONT_DESK)
    every = keys.everybody
    more = {
        Door.FRONT_DESK: [f"(+xread +xdel +del +rpush +expire ~{own.prefix}*)"],
        Door.PORTAL: [
            f"(+get +pttl %R~{every}code)",
            f"(+xadd +expire ~{keys.history}*)",
            f"({' '.join(KEEPING)} ~{keys.portal}*)",
        ],
    }
    return [
        "reset",
        "on",
        f"#{secret}",
        "+select",
        "+time",
        f"(+xadd +expire ~{every}cmd)",
        f"(+blpop ~{every}res:*)",
        f"(+hgetall %R~{every}hb %R~{every}state)",
        f"(+get %R~{every}day)",
        f"(+xrevrange %R~{keys.history}*)",
        *more[door],
    ]


async def acl(wires: Wires, *words: str) -> Reply:
    """Call ACL; raises NoAcl when Redis has it not or forbids it, RedisAway."""
    try:
        return await wires.call("ACL", *words)
    except RedisRefused as error:
        raise NoAcl from error
    except RedisAway as error:
        if error.why == "rights":
            raise NoAcl from error
        raise
