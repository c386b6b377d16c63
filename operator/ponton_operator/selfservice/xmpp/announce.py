"""What no shard can say: states that an account has because none runs. Told by the front desk, as the table says.

A shard tells its owner all that it lives to see. One that is stopped from outside, that dies again and again, or whose
store is refused before its stream is open, cannot; then the host's side knows the reason, and the desk says it: once in
words, and as the gateway's presence. What an account is when it is seen first is taken as told, so that a desk that
starts again repeats nothing. Called by `programs.frontdesk`.
"""

import asyncio
import secrets
import time
from collections.abc import Callable
from typing import Final
from xml.etree.ElementTree import Element

from ponton_bridge.model.states import TABLE, Reason
from ponton_operator.plan.ends import EX_CONFIG
from ponton_operator.plan.parking import TOLD
from ponton_operator.resources.account import BridgeAccount
from ponton_operator.selfservice.accounts import AccountStore, Change
from ponton_operator.selfservice.xmpp import presence, stanzas
from ponton_operator.selfservice.xmpp.events import DeskEvent, Report

OURS: Final = frozenset({Reason.STOPPED, Reason.PARKED, Reason.CRASHING, Reason.STALE_STORE})
QUIET: Final = 3600.0  # seconds in which crashes that come and go are one trouble, told once
AGAIN: Final = 1.0  # seconds until a closed stream, or a folder that could not be read, is tried again


class Announcer:
    """`take` a change, get what is to be sent. `clock` in seconds since 1970. One entry of memory for each account."""

    def __init__(
        self,
        domain: str,
        *,
        clock: Callable[[], float] = time.time,
        fresh_id: Callable[[], str] = lambda: secrets.token_hex(8),
    ) -> None:
        self._domain = domain
        self._clock = clock
        self._fresh_id = fresh_id
        self._seen: dict[str, str] = {}  # account -> its reason
        self._crashed: dict[str, float] = {}  # account -> until when more of it is no news

    def take(self, change: Change) -> list[Element]:
        """Give presence and message for a state that is new and nobody else's to tell."""
        account = change.account
        name, owner = account.metadata.name, account.spec.owner
        if change.gone:
            self._seen.pop(name, None)
            self._crashed.pop(name, None)
            return []
        before, self._seen[name] = self._seen.get(name), account.status.reason
        reason = _ours(account)
        if reason is None or before in {None, account.status.reason}:
            return []
        shown = presence.of_state(self._domain, owner, reason)
        if not TABLE[reason].tell or (reason is Reason.CRASHING and self._known(name)):
            return [shown]
        return [shown, stanzas.chat(self._domain, owner, TABLE[reason].sentence, self._fresh_id())]

    def _known(self, name: str) -> bool:
        """Tell whether the owner knows that it crashes; from now on they do."""
        now = self._clock()
        known = now < self._crashed.get(name, 0.0)
        self._crashed[name] = now + QUIET
        return known


def _ours(account: BridgeAccount) -> Reason | None:
    """Give the account's reason if no shard can have told it; an account on its way out is told otherwise."""
    if account.metadata.deletion_timestamp is not None:
        return None
    status = account.status
    if status.reason == Reason.FAILED and status.shard and status.shard.exit_code == EX_CONFIG:
        return Reason.FAILED
    if status.reason in TOLD:  # the scaler has parked it
        return TOLD[status.reason]
    return next((reason for reason in OURS if reason == status.reason), None)


async def announce(
    accounts: AccountStore, announcer: Announcer, send: Callable[[Element], bool], report: Report
) -> None:
    """Announce until cancelled; `send` says whether the stream took it, and what it did not take waits."""
    while True:
        try:
            async for change in accounts.watch():
                for stanza in announcer.take(change):
                    while not send(stanza):  # noqa: ASYNC110  # the stream tells nobody when it opens
                        await asyncio.sleep(AGAIN)
        except Exception as error:  # noqa: BLE001 - a fault here must not silence the desk for good
            report(DeskEvent.FAILED, error)
        await asyncio.sleep(AGAIN)
