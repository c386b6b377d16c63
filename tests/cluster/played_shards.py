"""Plays the shards of one gateway for tests of scale: leases, heartbeats, states, and unlinking when it is asked for.

Its pods run on fake nodes, so nobody else would. What is written to Redis, how and how often, is what real shards
write (`ponton_bridge.coordination`): the same script, a heartbeat in each 5 s, a state when it has changed. A shard
connects within seconds of its pod's start, and loses its connection for a moment now and then.
"""

import asyncio
import http.client
import json
import random
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from urllib.parse import quote

from ponton_bridge.coordination.client.scripts import FENCED
from ponton_bridge.coordination.client.wire import RedisAway, Wires, entries
from ponton_bridge.coordination.contract import (
    HEARTBEAT_TTL,
    LEASE_RENEW,
    LEASE_TTL,
    RESULT_TTL,
    STATES_MAX,
    Command,
    Heartbeat,
    Keys,
    Result,
    StateChange,
    Verb,
)
from ponton_bridge.model.states import Reason
from ponton_operator.plan.manifests_shard import ACCOUNT, EPOCH, SELECTOR
from tests.cluster.beat_pipe import Pipe, packed
from tests.cluster.box.api import Api, Object, Refused

TICK = 0.25  # seconds between two rounds
FIRST_WORD = (0.5, 1.5)  # seconds from the pod's start to the first heartbeat: interpreter, store, stream
LOGIN = (0.5, 1.5)  # seconds until WhatsApp has taken the login
LOST = (2.0, 4.0)  # seconds that a lost connection takes
RSS = 68 * 1024  # KiB; what a shard at rest uses
PAGE = 500  # writes of one round trip
_LOOK = 1.0  # seconds between two looks for commands
_SCAN = 5_000  # keys of one round trip
_AGAIN = 0.5  # seconds before a watch that ended is begun anew

_SOME_TIME = 1234567890.123456  # in a packed heartbeat; its text is as long as that of any time these 200 years
_STAMP = str(_SOME_TIME).encode()

Word = Sequence[str | float]


@dataclass(slots=True)
class Shard:
    """One shard; `due` is when it beats next, `turn` when its state turns next (monotonic seconds)."""

    keys: Keys
    epoch: str
    instance: str
    due: float
    turn: float
    reason: str = ""
    since: float = 0.0
    rss: int = RSS
    packet: bytes = b""  # the heartbeat of this state, with the time to be filled in

    @property
    def linked(self) -> int:
        """Whether there is a link; it is there from the first word on, as of an account that is imported."""
        return int(self.reason != Reason.UNLINKED)

    def writes(self, commands: Iterable[Word], lease: float) -> Word:
        """Give the call of the one script by which shards write."""
        texts = [json.dumps([str(part) for part in command]) for command in commands]
        return [
            "EVAL",
            FENCED,
            2,
            self.keys.fence,
            self.keys.lease,
            self.epoch,
            self.instance,
            int(lease * 1000),
            *texts,
        ]

    def beat(self, now: float) -> Word:
        """Give the call of a heartbeat, which renews the lease."""
        beat = Heartbeat(
            int(self.epoch),
            self.instance,
            now,
            self.reason,
            self.since,
            1,
            self.linked,
            rss=self.rss,
            phone_seen=self.since,
        )
        key = self.keys.heartbeat
        return self.writes([["HSET", key, *_flat(beat.to_redis())], ["EXPIRE", key, HEARTBEAT_TTL]], LEASE_TTL)

    def beat_packed(self, script: str, now: float) -> bytes:
        """Give the same call as it goes over the wire, by the script's name."""
        if not self.packet:
            self.packet = packed(["EVALSHA", script, *self.beat(_SOME_TIME)[2:]])
        return self.packet.replace(_STAMP, f"{now:.6f}".encode())

    def state(self) -> Word:
        """Give the call that tells the state."""
        change = StateChange(
            self.keys.account, int(self.epoch), self.instance, self.reason, self.since, xmpp=1, paired=self.linked
        )
        fields = _flat(change.to_redis())
        told: Word = ["XADD", self.keys.states, "MAXLEN", "~", STATES_MAX, "*", *fields]
        return self.writes([["DEL", self.keys.state], ["HSET", self.keys.state, *fields], told], 0.0)


@dataclass(slots=True)
class Said:
    """A state that was told: of which account, when (seconds since 1970), and how long it had said nothing before."""

    account: str
    reason: str
    at: float
    quiet: float


@dataclass(slots=True)
class Shards:
    """The shards of a gateway. `lose_every`: seconds from a loss of the connection to the next, on average; 0: none."""

    url: str
    gateway: str
    namespace: str
    lose_every: float = 0.0
    seed: int = 1
    calm: bool = False  # nobody loses a connection any more
    said: list[Said] = field(default_factory=list)
    beats: int = 0
    late: float = 0.0  # seconds that a heartbeat was late at most
    _shards: dict[str, Shard] = field(default_factory=dict)
    _script: str = ""

    def __len__(self) -> int:
        """Count those that run."""
        return len(self._shards)

    @property
    def connected(self) -> int:
        """Count those that are connected."""
        return sum(shard.reason == Reason.CONNECTED for shard in list(self._shards.values()))

    def grow(self, account: str, rss: int) -> None:
        """Have a shard use so much memory (KiB) from now on."""
        shard = self._shards[account]
        shard.rss, shard.packet = rss, b""

    def see(self, change: str, found: Object) -> None:
        """Take what a watch tells: all pods ("SYNC"), or one; for the loop's own thread."""
        if change != "SYNC":
            self._see(change, found)
            return
        there = {pod["metadata"]["uid"] for pod in found["items"]}
        for account in [account for account, shard in self._shards.items() if shard.instance not in there]:
            del self._shards[account]
        for pod in found["items"]:
            self._see("ADDED", pod)

    def _see(self, change: str, pod: Object) -> None:
        meta, running = pod["metadata"], pod.get("status", {}).get("phase") == "Running"
        account = meta["labels"][ACCOUNT]
        known = self._shards.get(account)
        if change == "DELETED" or "deletionTimestamp" in meta:
            if known and known.instance == meta["uid"]:
                del self._shards[account]
        elif running and (known is None or known.instance != meta["uid"]):
            rng, now = random.Random(f"{self.seed}{account}"), time.monotonic()
            first = now + rng.uniform(*FIRST_WORD)
            keys = Keys(self.gateway, account)
            self._shards[account] = Shard(keys, meta["annotations"][EPOCH], meta["uid"], first, first)

    async def run(self) -> None:
        """Play until cancelled."""
        wires, pipe, rng = Wires(self.url, 4), Pipe(self.url), random.Random(self.seed)
        self._script = await wires.call("SCRIPT", "LOAD", FENCED)
        look = 0.0
        try:
            while True:
                began = time.monotonic()
                with suppress(RedisAway):
                    await self._round(wires, pipe, began, rng)
                    if began >= look:
                        look = began + _LOOK
                        await self._obey(wires)
                await asyncio.sleep(max(0.01, TICK - (time.monotonic() - began)))
        finally:
            await wires.close()
            await pipe.close()

    # ---- inside --------------------------------------------------------------------------------------------

    async def _round(self, wires: Wires, pipe: Pipe, now: float, rng: random.Random) -> None:
        wall, words, beats = time.time(), list[Word](), list[bytes]()
        for account, shard in list(self._shards.items()):
            if shard.turn <= now and not (self.calm and shard.reason == Reason.CONNECTED):
                self.said.append(Said(account, self._turn(shard, now, wall, rng), wall, wall - shard.since))
                shard.since = wall
                words.append(shard.state())
            if shard.due <= now:
                self.late = max(self.late, now - shard.due)
                self.beats += 1
                shard.due = max(shard.due + LEASE_RENEW, now)
                beats.append(shard.beat_packed(self._script, wall))
        for start in range(0, len(words), PAGE):
            page = [["EVALSHA", self._script, *word[2:]] for word in words[start : start + PAGE]]
            await wires.calls(page)
        for start in range(0, len(beats), PAGE):
            await pipe.send(beats[start : start + PAGE])

    def _turn(self, shard: Shard, now: float, wall: float, rng: random.Random) -> str:
        """Go on to the next state; gives its reason."""
        if not shard.reason:
            shard.reason, shard.since, wait = Reason.CONNECTING, wall, rng.uniform(*LOGIN)
        elif shard.reason != Reason.CONNECTED:
            wait = rng.expovariate(1 / self.lose_every) if self.lose_every else float("inf")
            shard.reason = Reason.CONNECTED
        else:
            shard.reason, wait = Reason.CONNECTION_LOST, rng.uniform(*LOST)
        shard.turn, shard.packet = now + wait, b""
        return shard.reason

    async def _obey(self, wires: Wires) -> None:
        """Answer what doors and operators have asked: it is only ever to unlink."""
        cursor, streams = "0", list[str]()
        while True:
            cursor, names = await wires.call(
                "SCAN", cursor, "MATCH", Keys(self.gateway, "").everybody + "cmd", "COUNT", _SCAN
            )
            streams += names
            if cursor == "0":
                break
        for stream in streams:
            shard = self._shards.get(stream.split(":")[3])
            for entry, fields in entries(await wires.call("XREAD", "STREAMS", stream, "0")) if shard else []:
                await wires.calls([*self._answer(shard, fields), ["XDEL", stream, entry]] if shard else [])

    @staticmethod
    def _answer(shard: Shard, fields: dict[str, str]) -> list[Word]:
        command = Command.from_redis(fields)
        assert command.verb == Verb.UNLINK
        key = shard.keys.result(command.id)
        return [["RPUSH", key, Result(command.id, 1).to_json()], ["EXPIRE", key, RESULT_TTL]]


@contextmanager
def played(shards: Sequence[Shards], api: Api) -> Iterator[None]:
    """Play the shards of gateways as their pods come and go, in threads."""
    started, stop = threading.Event(), threading.Event()
    loops: list[tuple[asyncio.AbstractEventLoop, asyncio.Task[None]]] = []

    async def play() -> None:
        tasks = [asyncio.create_task(each.run()) for each in shards]
        loop = asyncio.get_running_loop()
        loops.extend((loop, task) for task in tasks)
        for each in shards:
            follower = threading.Thread(target=_follow, args=(api, each, loop.call_soon_threadsafe, stop), daemon=True)
            follower.start()
        started.set()
        await asyncio.gather(*tasks, return_exceptions=True)

    thread = threading.Thread(target=lambda: asyncio.run(play()), daemon=True)
    thread.start()
    assert started.wait(10)
    try:
        yield
    finally:
        stop.set()
        for loop, task in loops:
            loop.call_soon_threadsafe(task.cancel)
        thread.join(10)


def _follow(api: Api, shards: Shards, tell: Callable[..., object], stop: threading.Event) -> None:
    """Tell of every pod, until stopped or the loop has ended."""
    path = f"/api/v1/namespaces/{shards.namespace}/pods?labelSelector={quote(SELECTOR)}"
    while not stop.is_set():
        with suppress(Refused, OSError, http.client.HTTPException, ValueError):
            for change, found in api.watch(path):
                if stop.is_set():
                    return
                with suppress(RuntimeError):  # the loop has ended
                    tell(shards.see, change, found)
        stop.wait(_AGAIN)


def _flat(fields: dict[str, str]) -> list[str]:
    return [part for pair in fields.items() for part in pair]
