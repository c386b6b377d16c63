"""What the portal keeps, all of it in Redis, so that replicas share it: sessions, logins under way, counts of tries.

Nothing of it is worth keeping over a loss of Redis: people log in again. Cookies are kept as hashes, so that who reads
Redis cannot use them; no key holds an address. Called by the pages; raises RedisAway.
"""

import hashlib
import hmac
import json
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from ponton_bridge.coordination.client.wire import RedisRefused, Reply, Wires
from ponton_bridge.coordination.contract import Keys
from ponton_bridge.model.errors import HostError
from ponton_operator.selfservice import words

IDLE: Final = 3600  # seconds that a session lives without a visit
LONGEST: Final = 12 * 3600  # seconds that it lives at all
NOTICE: Final = 600  # seconds that a notice waits to be read
LOGIN: Final = 600  # seconds that a code holds
ANSWER: Final = 1800  # seconds that a used token of a passkey's answer is remembered; its request lives 600
TRIES: Final = 5  # of codes, for one address in LOGIN seconds
CODES: Final = 5  # that are sent to one address in LOGIN seconds
DIGITS: Final = 8  # of a code: with TRIES tries one guess in 20 million logins succeeds
LETTERS: Final = "BCDFGHJKLMNPQRSTVWXZ23456789"  # of a transaction: none that look alike, and they make no words
CONNECTIONS: Final = 8  # as many as are kept open: Redis answers in 1 ms, and a new connection costs more than to wait


class TooManyTries(HostError):
    """More tries than a person needs; nothing was looked at."""


@dataclass(frozen=True, slots=True)
class Session:
    """Who is logged in, when that began (seconds since 1970), and whether the login made them one of the host's."""

    owner: str
    begun: float
    host: bool = False


def fresh() -> str:
    """Give the value of a new cookie: 256 bits."""
    return secrets.token_urlsafe(32)


def digest(*parts: str) -> str:
    """Give a name for something that shall not be read in Redis."""
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


class Keep:
    """One gateway's; `clock` gives seconds since 1970."""

    def __init__(self, url: str, gateway: str, clock: Callable[[], float] = time.time) -> None:
        self._wires = Wires(url, CONNECTIONS)
        self._prefix = Keys(gateway, "").portal
        self._clock = clock

    async def close(self) -> None:
        """Close the connections."""
        await self._wires.close()

    # ---- sessions --------------------------------------------------------------------------------------------

    async def open(self, owner: str, *, host: bool = False) -> str:
        """Begin a session; gives the new cookie, so that no cookie from before the login is worth anything."""
        cookie = fresh()
        session, mine = self._session(cookie), self._mine(owner)
        await self._calls([
            ["SET", session, json.dumps([owner, self._clock(), host]), "EX", IDLE],
            ["SADD", mine, session],
            ["EXPIRE", mine, LONGEST],
        ])  # fmt: skip
        return cookie

    async def session(self, cookie: str) -> Session | None:
        """Give the session of a cookie, and let it live on."""
        text = await self._wires.call("GETEX", self._session(cookie), "EX", IDLE)
        if not text:
            return None
        session = Session(*json.loads(text))
        if self._clock() - session.begun < LONGEST:
            return session
        await self.end(cookie, session.owner)
        return None

    async def end(self, cookie: str, owner: str) -> None:
        """End one session."""
        session = self._session(cookie)
        await self._calls([["DEL", session], ["SREM", self._mine(owner), session]])

    async def end_all(self, owner: str) -> None:
        """End all sessions of an owner."""
        mine = self._mine(owner)
        sessions = await self._wires.call("SMEMBERS", mine)
        await self._calls([["DEL", session] for session in [*sessions, mine]])

    async def leave(self, cookie: str, notice: str) -> None:
        """Leave a sentence for the next page that this session sees."""
        await self._wires.call("SET", self._prefix + "n:" + digest(cookie), notice, "EX", NOTICE)

    async def take(self, cookie: str) -> str:
        """Take the sentence that was left, '' when there is none."""
        return str(await self._wires.call("GETDEL", self._prefix + "n:" + digest(cookie)) or "")

    # ---- a passkey's answer ------------------------------------------------------------------------------------

    async def offer(self, cookie: str, request: str) -> str:
        """Give the token with which this session may bring an answer to this request; the next one once it was used."""
        return self._once(cookie, request, await self._brought(cookie, request))

    async def redeem(self, cookie: str, request: str, once: str) -> bool:
        """Take a token; whether it is the one that was offered, and was not used before."""
        number = await self._brought(cookie, request)
        if not hmac.compare_digest(self._once(cookie, request, number).encode(), once.encode()):
            return False
        key = self._answer(cookie, request)
        count, _ = await self._calls([["INCR", key], ["EXPIRE", key, ANSWER]])
        return int(count) == number + 1

    # ---- logins ----------------------------------------------------------------------------------------------

    async def begin(self, cookie: str, owner: str) -> tuple[str, str]:
        """Begin a login of this browser; gives the code, which is to be sent to the owner, and the transaction.

        The transaction is what the owner compares who is asked to agree. Raises TooManyTries.
        """
        if not await self.allows("codes", owner, CODES, LOGIN):
            raise TooManyTries(words.TOO_MANY_CODES)
        code = "".join(secrets.choice("0123456789") for _ in range(DIGITS))
        sign = "".join(secrets.choice(LETTERS) for _ in range(6))
        transaction = f"{sign[:3]}-{sign[3:]}"
        login = json.dumps([owner, digest(cookie, code), transaction])
        await self._wires.call("SET", self._login(cookie), login, "EX", LOGIN)
        return code, transaction

    async def begun(self, cookie: str) -> tuple[str, str] | None:
        """Give owner and transaction of the login of this browser that waits for its code; None when there is none."""
        text = await self._wires.call("GET", self._login(cookie))
        if not text:
            return None
        owner, _, transaction = json.loads(text)
        return owner, transaction

    async def drop(self, cookie: str) -> bool:
        """End the login of this browser that waits for its code; whether there was one."""
        return bool(await self._wires.call("DEL", self._login(cookie)))

    async def finish(self, cookie: str, code: str) -> str:
        """Give the owner whose code this is, '' when it is none (any more). Raises TooManyTries.

        A try is counted before it is looked at, and a code is good for one login.
        """
        text = await self._wires.call("GET", self._login(cookie))
        if not text:
            return ""
        owner, expected, _ = json.loads(text)
        if not await self.allows("tries", owner, TRIES, LOGIN):
            raise TooManyTries(words.TOO_MANY_TRIES)
        given = "".join(character for character in code if character.isdigit())
        if not hmac.compare_digest(expected, digest(cookie, given)):
            return ""
        return str(owner) if await self.drop(cookie) else ""

    async def begin_elsewhere(self, cookie: str, state: str, remembered: list[str]) -> None:
        """Remember that this browser went to a login server, and what has to be known when it comes back."""
        await self._wires.call(
            "SET", self._elsewhere(cookie), json.dumps([digest(cookie, state), remembered]), "EX", LOGIN
        )

    async def finish_elsewhere(self, cookie: str, state: str) -> list[str] | None:
        """Give what was remembered, once; None when this browser did not go there with that state."""
        text = await self._wires.call("GET", self._elsewhere(cookie))
        if not text:
            return None
        expected, kept = json.loads(text)
        if not hmac.compare_digest(expected, digest(cookie, state)):
            return None
        return list(kept) if await self._wires.call("DEL", self._elsewhere(cookie)) else None

    async def allows(self, kind: str, who: str, most: int, seconds: int) -> bool:
        """Count one more of a kind for somebody; whether there were at most so many in these seconds."""
        key = self._prefix + f"r:{kind}:" + digest(who)
        count, _ = await self._calls([["INCR", key], ["EXPIRE", key, seconds, "NX"]])
        return int(count) <= most

    # ---- inside ----------------------------------------------------------------------------------------------

    def _session(self, cookie: str) -> str:
        return self._prefix + "s:" + digest(cookie)

    def _mine(self, owner: str) -> str:
        return self._prefix + "o:" + digest(owner)

    async def _brought(self, cookie: str, request: str) -> int:
        return int(await self._wires.call("GET", self._answer(cookie, request)) or 0)

    def _once(self, cookie: str, request: str, number: int) -> str:
        return hmac.digest(cookie.encode(), f"passkey\n{number}\n{request}".encode(), "sha256").hex()

    def _answer(self, cookie: str, request: str) -> str:
        return self._prefix + "p:" + digest(cookie, request)

    def _login(self, cookie: str) -> str:
        return self._prefix + "l:" + digest(cookie)

    def _elsewhere(self, cookie: str) -> str:
        return self._prefix + "e:" + digest(cookie)

    async def _calls(self, commands: list[list[str | float]]) -> list[Reply]:
        replies = await self._wires.calls(commands)
        for reply in replies:
            if isinstance(reply, RedisRefused):
                raise reply
        return replies
