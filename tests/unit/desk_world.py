"""A gateway in memory for the front desk's tests: accounts in a dictionary, shards that answer as told."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from xml.etree.ElementTree import Element

from ponton_bridge.coordination.contract import Happening, Heartbeat, LiveCode, Result, Verb
from ponton_bridge.core.day import Day
from ponton_bridge.model.states import Reason
from ponton_operator.resources.account import (
    AccountSpec,
    AccountStatus,
    BridgeAccount,
    Desired,
    GatewayRef,
    ParkingStatus,
    Preferences,
    ScalingStatus,
    account_name,
)
from ponton_operator.resources.base import Metadata
from ponton_operator.selfservice.accounts import Change
from ponton_operator.selfservice.service import AccountService, Limits
from ponton_operator.selfservice.xmpp.desk import Desk
from tests.harness.dialogue import plain, plains, stanza

DOMAIN = "wa.example.org"
ALICE = "alice@example.org"
NOW = datetime(2026, 11, 23, tzinfo=UTC)


class MemoryAccounts:
    """An AccountStore in a dictionary."""

    def __init__(self) -> None:
        self.accounts: dict[str, BridgeAccount] = {}
        self.woken: list[str] = []
        self._gone: asyncio.Queue[Change] = asyncio.Queue()

    async def create(self, owner: str, preferences: Preferences | None = None) -> BridgeAccount:
        name = account_name(DOMAIN, owner)
        fresh = BridgeAccount(
            metadata=Metadata(name=name, creation_timestamp=NOW),
            spec=AccountSpec(owner=owner, gateway_ref=GatewayRef(name="gw"), preferences=preferences or Preferences()),
        )
        return self.accounts.setdefault(name, fresh)

    async def get(self, name: str) -> BridgeAccount | None:
        return self.accounts.get(name)

    async def list(self) -> list[BridgeAccount]:
        return list(self.accounts.values())

    async def count(self) -> int:
        return len(self.accounts)

    async def patch(
        self, name: str, *, desired: Desired | None = None, preferences: Preferences | None = None
    ) -> BridgeAccount:
        old = self.accounts[name]
        spec = old.spec.model_copy(
            update={"desired": desired or old.spec.desired, "preferences": preferences or old.spec.preferences}
        )
        self.accounts[name] = old.model_copy(update={"spec": spec})
        return self.accounts[name]

    async def wake(self, name: str) -> BridgeAccount:
        self.woken.append(name)
        return self.accounts[name]

    async def delete(self, name: str) -> None:
        old = self.accounts[name]
        metadata = old.metadata.model_copy(update={"deletion_timestamp": NOW})
        self.accounts[name] = old.model_copy(update={"metadata": metadata})

    async def watch(self, name: str = "") -> AsyncGenerator[Change, None]:
        while True:
            change = await self._gone.get()
            if name in {"", change.account.metadata.name}:
                yield change

    def park(self, owner: str, reason: Reason, *, paired: bool = False) -> None:
        """Park the account of `owner`, as the operator would."""
        name = account_name(DOMAIN, owner)
        status = AccountStatus(paired=paired, parking=ParkingStatus(reason=reason.value, since=NOW))
        self.accounts[name] = self.accounts[name].model_copy(update={"status": status})

    def rest(self, owner: str, why: str, *, paired: bool = False) -> None:
        """Keep the account of `owner` without a shard, as the scaler would."""
        name = account_name(DOMAIN, owner)
        status = AccountStatus(paired=paired, reason=why, scaling=ScalingStatus(park=why))
        self.accounts[name] = self.accounts[name].model_copy(update={"status": status})

    def finish_deletion(self, owner: str) -> None:
        """Take the account away, as the operator does at the end of a deletion."""
        gone = self.accounts.pop(account_name(DOMAIN, owner))
        self._gone.put_nowait(Change(gone, gone=True))


@dataclass
class ScriptedShards:
    """Shards that answer as told and remember what they were asked."""

    asked: list[tuple[str, str]] = field(default_factory=list)
    answer: Result | None = None
    reason: Reason | None = None
    day: Day | None = None
    code: LiveCode | None = None

    async def command(self, account: str, verb: str, argument: str, seconds: float, keep: float) -> Result | None:
        assert account.startswith("acc-")
        assert keep >= seconds
        if verb == Verb.ASKED:
            return Result("1", ok=1, value=self.code.to_json() if self.code else "")
        self.asked.append((verb, argument))
        return self.answer

    async def heartbeat(self, account: str) -> Heartbeat | None:
        if self.reason is None:
            return None
        return Heartbeat(epoch=1, instance=account, time=0.0, reason=self.reason.value)

    async def days(self, accounts: Sequence[str]) -> dict[str, Day]:
        return dict.fromkeys(accounts, self.day) if self.day else {}

    async def history(self, account: str) -> list[Happening]:
        assert account.startswith("acc-")
        return []


class World:
    """One front desk with everything behind it, spoken to in XML literals."""

    def __init__(self, hosts: tuple[str, ...] = ("example.org",), accounts: int = 0, *, is_open: bool = True) -> None:
        self.accounts = MemoryAccounts()
        self.shards = ScriptedShards()
        self.now = 1000.0
        self.sent: list[Element] = []
        self.service = AccountService(
            Limits(DOMAIN, hosts, accounts, is_open), self.accounts, self.shards, lambda: self.now
        )
        self.desk = Desk(DOMAIN, self.service, self.sent.append, fresh_id=lambda: "fresh")

    async def hear(self, literal: str) -> list[Element]:
        """Give the desk one stanza; gives what it sent for it."""
        before = len(self.sent)
        task = self.desk.receive(stanza(literal))
        if task is not None:
            await task
        return self.sent[before:]

    async def say(self, text: str, jid: str = f"{ALICE}/phone") -> list[str]:
        """Write a chat text to the gateway; gives the bodies of the answers."""
        heard = await self.hear(f"<message type='chat' id='m' from='{jid}' to='{DOMAIN}'><body>{text}</body></message>")
        return [part.findtext("{jabber:client}body") or "" for part in heard]

    async def registered(self, reason: Reason | None = None) -> None:
        """Register Alice; her link is in that state."""
        await self.accounts.create(ALICE)
        self.shards.reason = reason


__all__ = ["ALICE", "DOMAIN", "World", "plain", "plains", "stanza"]
