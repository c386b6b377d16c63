"""What the host sees of all accounts, and may do with each. Pure but for the store; called by the host's pages.

Nothing of a conversation is here, and no number: states, counts, ages. Ten thousand accounts are filtered in memory.
"""

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from enum import StrEnum
from operator import itemgetter
from typing import Final, NamedTuple

from ponton_bridge.model.states import Phase
from ponton_operator.plan.alarms import Alarms, Turns, find_alarms, read_turns
from ponton_operator.resources.account import BridgeAccount, Desired
from ponton_operator.resources.base import Truth
from ponton_operator.resources.conditions import Type
from ponton_operator.selfservice.accounts import AccountStore, age

ROWS: Final = 50  # of one page of the table
LOGINS: Final = 300.0  # seconds over which logins at WhatsApp are counted


class Deed(StrEnum):
    """What the host may do with an account; the values are the words in the addresses of the pages."""

    START = "start"
    STOP = "stop"
    PARK = "park"
    DELETE = "delete"


@dataclass(frozen=True, slots=True)
class Choice:
    """Which accounts are shown: by phase and by reason ('' all), and which page of them (from 1)."""

    phase: str = ""
    reason: str = ""
    page: int = 1


@dataclass(frozen=True, slots=True)
class Table:
    """One page of the table; `found` counts all that were chosen, `phases` and `reasons` all there are."""

    rows: Sequence[BridgeAccount]
    found: int
    page: int
    pages: int
    phases: dict[str, int]
    reasons: dict[str, int]


class Row(NamedTuple):
    """An account as the table and the figures need it, read once for each change of it."""

    age: tuple[float, str]  # sorts the oldest first; seconds since 1970, and the name
    phase: str
    reason: str
    login: float  # seconds since 1970 at which its link with WhatsApp came up; 0: it is not up
    turns: Turns
    account: BridgeAccount


def row(account: BridgeAccount) -> Row:
    """Read an account: to read ten thousand takes longer than a page may, to go through their rows 10 ms."""
    status, (made, name) = account.status, age(account)
    up = [
        condition.last_transition_time.timestamp()
        for condition in status.conditions
        if condition.type == Type.WHATSAPP_CONNECTED and condition.status == Truth.TRUE
    ]
    login = max(up, default=0.0)
    return Row((made.timestamp(), name), status.phase, status.reason, login, read_turns(account), account)


def table(everybody: Collection[Row], choice: Choice) -> Table:
    """Choose, oldest first; a page that is not there is the nearest that is."""
    chosen = [row for row in everybody if choice.phase in {"", row.phase} and choice.reason in {"", row.reason}]
    chosen.sort(key=itemgetter(0))
    pages = max(1, -(-len(chosen) // ROWS))
    page = min(max(1, choice.page), pages)
    return Table(
        rows=[row.account for row in chosen[(page - 1) * ROWS : page * ROWS]],
        found=len(chosen),
        page=page,
        pages=pages,
        phases=dict(sorted(Counter(row.phase for row in everybody).items())),
        reasons=dict(sorted(Counter(row.reason for row in everybody if row.reason).items())),
    )


@dataclass(frozen=True, slots=True)
class Overview:
    """The gateway in figures; `logins` at WhatsApp a minute, of accounts: one that came twice counts once."""

    accounts: int
    linked: int
    failing: int
    parked: int
    logins: float
    alarms: Alarms


def overview(everybody: Collection[Row], now: float) -> Overview:
    """Sum up; `now` in seconds since 1970."""
    phases = Counter(row.phase for row in everybody)
    return Overview(
        accounts=len(everybody),
        linked=sum(row.turns.paired for row in everybody),
        failing=phases[Phase.FAILED] + phases[Phase.DEGRADED],
        parked=phases[Phase.PARKED],
        logins=sum(row.login > now - LOGINS for row in everybody) * 60 / LOGINS,
        alarms=find_alarms((row.turns for row in everybody), Alarms(), now),
    )


@dataclass(frozen=True, slots=True)
class LastError:
    """How a shard ended that should have run: exit code (negative for a signal, None not known), how often in a row."""

    code: int | None
    times: int


def last_error(account: BridgeAccount) -> LastError | None:
    """Give how the account's shard failed last; None when nothing is wrong with how it ended."""
    shard, times = account.status.shard, account.status.retry.failures
    code = shard.exit_code if shard else None
    return LastError(code, times) if times or code else None


async def do(accounts: AccountStore, name: str, deed: Deed) -> None:
    """Do it. Raises NoSuchAccount, AccountsUnavailable."""
    match deed:
        case Deed.START:
            await accounts.patch(name, desired=Desired.RUNNING)
            await accounts.wake(name)
        case Deed.STOP:
            await accounts.patch(name, desired=Desired.STOPPED)
        case Deed.PARK:
            await accounts.patch(name, desired=Desired.PARKED)
        case Deed.DELETE:
            await accounts.delete(name)
