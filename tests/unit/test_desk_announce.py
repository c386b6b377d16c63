"""What the front desk tells of accounts whose shard cannot: once, with a presence, and nothing that others tell."""

import asyncio
from collections.abc import AsyncGenerator
from datetime import UTC, datetime
from xml.etree.ElementTree import Element

import pytest

from ponton_bridge.model.states import TABLE, Reason
from ponton_operator.plan.ends import EX_CONFIG
from ponton_operator.resources.account import AccountSpec, AccountStatus, BridgeAccount, GatewayRef, ShardStatus
from ponton_operator.resources.base import Metadata
from ponton_operator.selfservice.accounts import AccountsUnavailable, Change
from ponton_operator.selfservice.xmpp import announce
from ponton_operator.selfservice.xmpp.announce import QUIET, Announcer
from ponton_operator.selfservice.xmpp.events import DeskEvent
from tests.unit.desk_world import ALICE, DOMAIN, MemoryAccounts, plains, stanza

NOW = datetime(2026, 11, 23, tzinfo=UTC)


class Clock:
    """Seconds since 1970, as the test wants them."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        """Give the time."""
        return self.now


def account(reason: str, *, exit_code: int | None = None, deleting: bool = False, name: str = "acc-1") -> Change:
    """An account whose status has this reason."""
    shard = ShardStatus(epoch=1, started=NOW, exit_code=exit_code)
    return Change(
        BridgeAccount(
            metadata=Metadata(name=name, deletion_timestamp=NOW if deleting else None),
            spec=AccountSpec(owner=ALICE, gateway_ref=GatewayRef(name="gw")),
            status=AccountStatus(reason=reason, shard=shard),
        )
    )


def shown(reason: Reason) -> str:
    """The presence of a state, as a literal."""
    row = TABLE[reason]
    status = row.sentence.replace("'", "&apos;")
    return f"<presence from='{DOMAIN}/gateway' to='{ALICE}'><show>{row.show}</show><status>{status}</status></presence>"


def said(reason: Reason) -> str:
    """The message of a state, as a literal."""
    return (
        f"<message type='chat' id='fresh' from='{DOMAIN}' to='{ALICE}'>"
        f"<body>{TABLE[reason].sentence.replace(chr(39), '&apos;')}</body></message>"
    )


def literals(*texts: str) -> list[str]:
    """Canonical texts of what is expected."""
    return plains([stanza(text) for text in texts])


@pytest.fixture
def clock() -> Clock:
    """A clock that stands."""
    return Clock()


@pytest.fixture
def desk(clock: Clock) -> Announcer:
    """An announcer that has seen the account linked."""
    made = Announcer(DOMAIN, clock=clock, fresh_id=lambda: "fresh")
    made.take(account(Reason.CONNECTED))
    return made


@pytest.mark.parametrize("reason", [Reason.STOPPED, Reason.STALE_STORE, Reason.CRASHING])
def test_tells_what_no_shard_can(desk: Announcer, reason: Reason) -> None:
    """The state is shown and said once, however often the account changes otherwise."""
    assert literals(shown(reason), said(reason)) == plains(desk.take(account(reason)))
    assert [] == desk.take(account(reason))


def test_shows_a_parked_account_without_a_word(desk: Announcer) -> None:
    """Parking by the host has a presence and, after the table, no message."""
    assert literals(shown(Reason.PARKED)) == plains(desk.take(account(Reason.PARKED)))


@pytest.mark.parametrize(
    ("kept", "told"),
    [
        ("NeverPaired", [shown(Reason.CODES_USED_UP), said(Reason.CODES_USED_UP)]),
        ("UnreachableTooLong", [shown(Reason.PARKED)]),
        ("CrashingTooLong", [shown(Reason.PARKED)]),
    ],
)
def test_tells_once_of_what_the_scaler_has_parked(desk: Announcer, kept: str, told: list[str]) -> None:
    """Its shard was ended from outside; the owner hears what helps, in the words for it."""
    assert literals(*told) == plains(desk.take(account(kept)))
    assert [] == desk.take(account(kept))


def test_tells_of_a_bad_configuration(desk: Announcer) -> None:
    """A shard that could not read its configuration has said nothing."""
    told = desk.take(account(Reason.FAILED, exit_code=EX_CONFIG))
    assert literals(shown(Reason.FAILED), said(Reason.FAILED)) == plains(told)


@pytest.mark.parametrize(
    "reason", [each for each in Reason if each not in announce.OURS] + ["", "WaitingForTurn", "Duplicate"]
)
def test_leaves_the_rest_to_the_shard(desk: Announcer, reason: str) -> None:
    """What a shard tells by itself, and what only the host has to know, is not said here."""
    assert [] == desk.take(account(reason))


def test_says_nothing_of_an_account_on_its_way_out(desk: Announcer) -> None:
    """Deletion has words of its own."""
    assert [] == desk.take(account(Reason.STOPPED, deleting=True))


def test_repeats_nothing_after_a_restart() -> None:
    """How an account is when it is seen first was told by the desk before."""
    assert [] == Announcer(DOMAIN).take(account(Reason.STALE_STORE))


def test_counts_crashes_that_come_and_go_as_one(desk: Announcer, clock: Clock) -> None:
    """Within the quiet time only the presence follows; after an hour of peace a crash is news again."""
    desk.take(account(Reason.CRASHING))
    for _ in range(3):
        desk.take(account(Reason.CONNECTED))
        clock.now += QUIET - 1
        assert literals(shown(Reason.CRASHING)) == plains(desk.take(account(Reason.CRASHING)))
    desk.take(account(Reason.CONNECTED))
    clock.now += QUIET
    assert literals(shown(Reason.CRASHING), said(Reason.CRASHING)) == plains(desk.take(account(Reason.CRASHING)))


def test_forgets_an_account_that_is_gone(desk: Announcer) -> None:
    """A new account of the same name begins anew."""
    desk.take(account(Reason.CRASHING))
    desk.take(Change(account(Reason.CRASHING).account, gone=True))
    assert [] == desk.take(account(Reason.CRASHING))
    desk.take(account(Reason.CONNECTED))
    assert literals(shown(Reason.CRASHING), said(Reason.CRASHING)) == plains(desk.take(account(Reason.CRASHING)))


class Scripted(MemoryAccounts):
    """Accounts whose changes are written down; after the first of them the folder cannot be read for a moment."""

    def __init__(self) -> None:
        super().__init__()
        self.turns = [[account(Reason.CONNECTED)], [account(Reason.STOPPED)]]

    async def watch(self, name: str = "") -> AsyncGenerator[Change, None]:  # noqa: ARG002  # all are told
        """Give the next turn's changes, then fail; wait when there are no more."""
        if not self.turns:
            await asyncio.Event().wait()
        for change in self.turns.pop(0):
            yield change
        raise AccountsUnavailable("away")


async def test_waits_for_stream_and_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the stream does not take is sent when it opens; a folder that cannot be read is reported and read again."""
    monkeypatch.setattr(announce, "AGAIN", 0.0)
    taken: list[Element] = []
    refused: list[Element] = []
    reported: list[DeskEvent] = []
    done = asyncio.Event()

    def send(element: Element) -> bool:
        if len(refused) < 3:
            refused.append(element)
            return False
        taken.append(element)
        if len(taken) == 2:
            done.set()
        return True

    announcer = Announcer(DOMAIN, fresh_id=lambda: "fresh")
    task = asyncio.create_task(
        announce.announce(Scripted(), announcer, send, lambda event, _error: reported.append(event))
    )
    await asyncio.wait_for(done.wait(), 5)
    task.cancel()
    assert literals(shown(Reason.STOPPED), said(Reason.STOPPED)) == plains(taken)
    assert DeskEvent.FAILED in reported
