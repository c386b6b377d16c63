"""The portal on a real Redis and a real HTTP server, with accounts in memory and a front desk that keeps what it says.

Used by the tests of the pages.
"""

import asyncio
import io
import re
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Self
from xml.etree.ElementTree import Element

from yarl import URL

from ponton_bridge.coordination.client.desk import DeskInbox
from ponton_bridge.coordination.client.wire import Wire
from ponton_bridge.coordination.contract import Heartbeat, Keys, LiveCode
from ponton_bridge.shard.logs import Log
from ponton_operator.cluster.metrics import Metrics
from ponton_operator.programs.portal import Config, build, serving
from ponton_operator.resources.account import BridgeAccount, account_name
from ponton_operator.resources.gateway import BridgeGateway
from ponton_operator.selfservice.accounts import Change
from ponton_operator.selfservice.web.settings import Portal
from ponton_operator.selfservice.xmpp.confirm import Confirms
from ponton_operator.selfservice.xmpp.orders import Orders
from tests.harness.redis import RedisServer, free_port
from tests.harness.visitor import Visitor, opened
from tests.unit.desk_world import ALICE, DOMAIN, MemoryAccounts

BOB = "bob@example.org"
GATEWAY = "gw"
SECONDS = 15.0


class FollowedAccounts(MemoryAccounts):
    """Accounts in memory whose changes are told to everybody who watches."""

    async def watch(self, name: str = "") -> AsyncGenerator[Change, None]:
        """See AccountStore."""
        assert not name
        seen: dict[str, BridgeAccount] = {}
        while True:
            for key, account in list(self.accounts.items()):
                if seen.get(key) is not account:
                    seen[key] = account
                    yield Change(account)
            for key in seen.keys() - self.accounts.keys():
                yield Change(seen.pop(key), gone=True)
            await asyncio.sleep(0.02)


def gateway(
    url: str,
    port: int,
    hosts: Sequence[str] = (),
    proxies: Sequence[str] = (),
    login: Mapping[str, object] = MappingProxyType({}),
    **selfservice: object,
) -> BridgeGateway:
    """Make the gateway; `login` are the portal's settings of how people log in."""
    ref = {"name": "a", "key": "b"}
    spec = {
        "domain": DOMAIN,
        "prosody": {"url": "http://127.0.0.1:1/shards", "tokenRef": ref},
        "redis": {"urlRef": ref},
        "secrets": {"masterRef": ref},
        "selfservice": {
            "portal": {"url": url, "port": port, "hosts": list(hosts), "proxies": list(proxies), **login},
            **selfservice,
        },
    }
    return BridgeGateway.model_validate({
        "apiVersion": "ponton.im/v1alpha1", "kind": "BridgeGateway", "metadata": {"name": GATEWAY}, "spec": spec,
    })  # fmt: skip


@dataclass
class Bed:
    """One portal, running."""

    portal: Portal
    port: int
    redis: Wire
    accounts: FollowedAccounts
    said: list[Element]
    log: io.StringIO
    confirms: Confirms
    deaf: bool = False
    browsers: list["Browser"] = field(default_factory=list)

    @property
    def base(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.port}"

    def codes(self, jid: str = ALICE) -> list[str]:
        """Give the codes that were said to somebody."""
        bodies = [m.findtext("{jabber:client}body") or "" for m in self.said if m.get("to") == jid]
        return [found[0] for body in bodies if (found := re.search(r"\d{8}", body))]

    async def beat(self, owner: str, reason: str, code: LiveCode | None = None, **values: float) -> None:
        """Let the owner's shard say how it is, and which code is live."""
        keys = Keys(GATEWAY, account_name(DOMAIN, owner))
        beat = Heartbeat(epoch=1, instance="i", time=0.0, reason=reason, since=1_795_000_000.0, **values)  # type: ignore[arg-type]  # floats
        flat = [part for pair in beat.to_redis().items() for part in pair]
        await self.redis.calls([["DEL", keys.heartbeat, keys.code], ["HSET", keys.heartbeat, *flat]])
        if code:
            await self.redis.call("SET", keys.code, code.to_json(), "PX", 20_000)

    async def asked(self, owner: str) -> list[str]:
        """Give the verbs that were left for the owner's shard."""
        found = await self.redis.call("XRANGE", Keys(GATEWAY, account_name(DOMAIN, owner)).commands, "-", "+")
        return [dict(zip(fields[::2], fields[1::2], strict=True))["verb"] for _, fields in found]


@dataclass
class Browser(Visitor):
    """A visitor of a bed's portal."""

    bed: Bed = field(kw_only=True)

    @property
    def cookie(self) -> str:
        """The value of the cookie that says who this is."""
        return next((c.value for c in self.session.cookie_jar if c.key.endswith(f"ponton-{GATEWAY}")), "")

    def plant(self, value: str) -> None:
        """Set that cookie, as somebody who could would do it."""
        self.session.cookie_jar.update_cookies({f"ponton-{GATEWAY}": value}, URL(self.base))

    async def log_in(self, jid: str = ALICE) -> Self:
        """Go the whole way with the code that the front desk says."""
        await self.get("/login")
        before = len(self.bed.codes(jid))
        assert 303 == await self.post("/login", jid=jid)
        await self.get("/login/code")
        async with asyncio.timeout(SECONDS):
            while len(self.bed.codes(jid)) == before:  # noqa: ASYNC110  # it is said while the answer is on its way
                await asyncio.sleep(0.01)
        assert 303 == await self.post("/login/code", code=self.bed.codes(jid)[-1])
        assert 200 == await self.get("/account")
        return self


@asynccontextmanager
async def portal_bed(
    redis: RedisServer,
    *,
    url: str = "",
    hosts: Sequence[str] = (),
    proxies: Sequence[str] = (),
    login: Mapping[str, object] = MappingProxyType({}),
    port: int = 0,
    secret: str = "",
    speak: Callable[[Element], bool] = lambda _stanza: True,
    **selfservice: object,
) -> AsyncIterator[Bed]:
    """Run a portal until the block ends; `url` as browsers know it, `secret` the one of the login server in `login`.

    `speak` puts a stanza of the front desk on a stream, if there is one, and says whether it could.
    """
    port = port or free_port()
    accounts, said, log, confirms = FollowedAccounts(), list[Element](), io.StringIO(), Confirms()
    resource = gateway(url or f"http://127.0.0.1:{port}", port, hosts, proxies, login, **selfservice)
    assert resource.spec.selfservice.portal is not None
    config = Config(resource, resource.spec.selfservice.portal, Path(), redis.url, oidc_secret=secret)
    portal = build(config, accounts, Log("debug", out=log), Metrics("portal", "0"))
    server = serving(config, portal)
    bed = Bed(portal, port, Wire(redis.url), accounts, said, log, confirms)

    def send(stanza: Element) -> bool:
        said.append(stanza)
        return not bed.deaf and speak(stanza)

    tasks = [
        asyncio.create_task(server._serve()),
        asyncio.create_task(portal.live.run()),
        asyncio.create_task(DeskInbox(redis.url, GATEWAY, Orders(DOMAIN, portal.service, send, confirms).handle).run()),
    ]
    async with asyncio.timeout(SECONDS):
        while not server.started:  # noqa: ASYNC110  # the server tells nobody
            await asyncio.sleep(0.01)
    try:
        yield bed
    finally:
        for browser in bed.browsers:
            await browser.session.close()
        server.handle_exit(15, None)
        with suppress(TimeoutError):
            await asyncio.wait_for(tasks[0], SECONDS)
        for task in tasks[1:]:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for part in (portal.keep, portal.door, bed.redis):
            await part.close()


def browser(bed: Bed) -> Browser:
    """Open a fresh browser; it is closed with the bed."""
    made = Browser(bed.base, opened(), bed=bed)
    bed.browsers.append(made)
    return made
