"""One connection to Redis: opened when first used, one call at a time, a deadline on each, closed after any doubt.

The thin layer over the redis library; everything above speaks of `RedisAway` and `RedisRefused` only. Used by the
shard's and the doors' clients.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final

from ponton_bridge.coordination.client import slim
from ponton_bridge.model.errors import HostError

if TYPE_CHECKING:
    from redis import exceptions
    from redis.asyncio import connection
else:
    connection, exceptions = slim.load()

CALL: Final = 3.0  # seconds for connecting, and for a call; Redis answers in 1 ms, a longer wait means it is away
KEPT: Final = 8  # idle connections of a door
Reply = Any  # what Redis answers: str, int, None, or lists of these


class RedisAway(HostError):
    """Redis cannot be used now; whether the call was carried out is not known.

    `why` is unreachable, timeout, credentials (refused), rights (this user may not do that), or closed (it is there,
    but loading, full, or a replica).
    """

    def __init__(self, why: str = "unreachable") -> None:
        super().__init__("The bridge cannot be reached at the moment. Please try again in a minute.")
        self.why = why


class RedisRefused(HostError):
    """Redis answered a command with an error; `code` is its first word, such as NOSCRIPT, ERR or WRONGTYPE."""

    def __init__(self, code: str) -> None:
        super().__init__("The bridge's Redis does not understand the bridge. Your host can see which version it is.")
        self.code = code


_BARRED: Final = (exceptions.AuthenticationError, exceptions.NoPermissionError)
# Redis is there, but cannot be written now: loading, a replica, out of memory, or its disk is full.
_CLOSED: Final = (exceptions.BusyLoadingError, exceptions.ReadOnlyError, exceptions.OutOfMemoryError)
_CLOSED_CODES: Final = frozenset({"MISCONF", "MASTERDOWN", "NOREPLICAS", "CLUSTERDOWN"})
_ALL: Final = (exceptions.RedisError, OSError, EOFError, TimeoutError)


class Wire:
    """`url` is redis://user:password@host:port/db, rediss://…?ssl_ca_certs=file or unix://…, else ValueError."""

    def __init__(self, url: str) -> None:
        options = dict(connection.parse_url(url))
        self._kind: Callable[..., connection.AbstractConnection]
        self._kind = options.pop("connection_class", connection.Connection)  # type: ignore[assignment]  # not typed there
        self._options: dict[str, Any] = {
            "decode_responses": True,
            "encoding_errors": "replace",  # another shard's odd bytes must not stop a sweep
            "driver_info": None,  # two commands less at each connect, and two rights less for a shard's user
            "socket_connect_timeout": CALL,
            **options,
        }
        self._connection: connection.AbstractConnection | None = None
        self._turn = asyncio.Lock()

    @property
    def connected(self) -> bool:
        """Whether there is a connection, as far as we know."""
        return self._connection is not None

    async def call(self, *command: str | float, seconds: float = CALL) -> Reply:
        """Send a command and give its answer; raises RedisAway, or RedisRefused for an error that Redis answers."""
        (reply,) = await self.calls([command], seconds=seconds)
        if isinstance(reply, RedisRefused):
            raise reply
        return reply

    async def calls(self, commands: Sequence[Sequence[str | float]], *, seconds: float = CALL) -> list[Reply]:
        """Send commands in one go and give their answers; a refused one gives its RedisRefused in its place."""
        async with self._turn:
            try:
                async with asyncio.timeout(seconds + (0 if self.connected else CALL)):
                    opened = self._connection or await self._open()
                    await opened.send_packed_command(opened.pack_commands(commands), check_health=False)
                    return [await self._read(opened) for _ in commands]
            except _ALL as error:
                await self.close()  # an answer that was not read would be taken for the next one's
                raise _translate(error) from error
            except BaseException:
                await self.close()
                raise

    async def _open(self) -> "connection.AbstractConnection":
        self._connection = made = self._kind(**self._options)
        await made.connect()  # type: ignore[no-untyped-call]
        return made

    async def _read(self, opened: "connection.AbstractConnection") -> Reply:
        try:
            return await opened.read_response(disconnect_on_error=False)
        except (*_BARRED, *_CLOSED):
            raise
        except exceptions.ResponseError as error:
            code = error.status_code or str(error).partition(" ")[0]
            if code in _CLOSED_CODES:
                raise
            return RedisRefused(code)

    async def close(self) -> None:
        """Close the connection; the next call opens another."""
        opened, self._connection = self._connection, None
        if opened is not None:
            await opened.disconnect(nowait=True)


def _translate(error: Exception) -> RedisAway:
    """Give RedisAway for whatever the library, the system or the clock said."""
    if isinstance(error, exceptions.NoPermissionError):
        return RedisAway("rights")
    if isinstance(error, _BARRED):
        return RedisAway("credentials")
    if isinstance(error, (*_CLOSED, exceptions.ResponseError)):
        return RedisAway("closed")
    return RedisAway("timeout" if isinstance(error, TimeoutError | exceptions.TimeoutError) else "unreachable")


class Wires:
    """Several connections for many callers: at most `most` at once, a few kept open for the next."""

    def __init__(self, url: str, most: int) -> None:
        self._url = url
        self._room = asyncio.Semaphore(most)
        self._idle: list[Wire] = []
        self._keep = KEPT
        Wire(url)  # a URL that is none is told at once

    async def call(self, *command: str | float, seconds: float = CALL) -> Reply:
        """As `Wire.call`."""
        (reply,) = await self.calls([command], seconds=seconds)
        if isinstance(reply, RedisRefused):
            raise reply
        return reply

    async def calls(self, commands: Sequence[Sequence[str | float]], *, seconds: float = CALL) -> list[Reply]:
        """As `Wire.calls`; once more where a connection kept open had died meanwhile, so commands bear repeating."""
        async with self._room:
            wire = self._idle.pop() if self._idle else Wire(self._url)
            kept = wire.connected
            try:
                return await wire.calls(commands, seconds=seconds)
            except RedisAway as error:
                if not (kept and error.why == "unreachable"):
                    raise
                return await wire.calls(commands, seconds=seconds)
            finally:
                if wire.connected and len(self._idle) < self._keep:
                    self._idle.append(wire)
                else:
                    await wire.close()

    async def close(self) -> None:
        """Close what is kept open, and keep nothing open from now on."""
        self._keep = 0
        while self._idle:
            await self._idle.pop().close()


def pairs(flat: Sequence[str] | None) -> dict[str, str]:
    """Read the fields of a hash or of a stream's entry, which come as one list.

    >>> pairs(["epoch", "3", "instance", "i"])
    {'epoch': '3', 'instance': 'i'}
    """
    flat = flat or ()
    return dict(zip(flat[::2], flat[1::2], strict=False))


def entries(reply: Reply) -> list[tuple[str, dict[str, str]]]:
    """Read what XREAD gave for one stream: (id, fields), [] when its time was over."""
    return [(entry, pairs(fields)) for _, found in reply or () for entry, fields in found]
