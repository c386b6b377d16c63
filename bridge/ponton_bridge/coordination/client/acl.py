"""One Redis user per account, confined to the account's own keys, and one for the doors. Called by `door.DoorClient`.

Needs the selectors of Redis 7: besides its own keys a shard may add to the gateway's stream of states, and nothing
else there. It can still fill or cut that stream, or name another account in it: so readers take the stream as a
hint and read the state where only its account can write (`Keys.state`).
"""

import hashlib
from typing import Final

from ponton_bridge.coordination.client.wire import RedisAway, RedisRefused, Reply, Wires
from ponton_bridge.coordination.contract import FRONT_DESK, Keys
from ponton_bridge.model.errors import HostError

# What a shard's client really calls, held to it by a test: nothing else is allowed.
COMMANDS: Final = (
    "del", "eval", "evalsha", "expire", "get", "hmget", "hset", "pexpire", "rpush", "select", "set", "time", "xdel",
    "xread",
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


def desk_user_name(gateway: str) -> str:
    """Give the name of the front desk's Redis user; no account's name holds a dot, so it is nobody else's.

    >>> desk_user_name("gw")
    'ponton-gw.frontdesk'
    """
    return f"ponton-{gateway}.frontdesk"


def desk_rules(gateway: str, password: str) -> list[str]:
    """Give the ACL rules of the front desk's user: leave commands, await results, read what is known of accounts.

    It also reads and answers the commands that the portal leaves for itself.
    """
    secret = hashlib.sha256(password.encode()).hexdigest()
    every, own = Keys(gateway, "").everybody, Keys(gateway, FRONT_DESK)
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
        f"(+xrevrange %R~{Keys(gateway, '').history}*)",
        f"(+xread +xdel +del +rpush +expire ~{own.prefix}*)",
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
