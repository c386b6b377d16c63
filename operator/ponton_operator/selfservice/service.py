"""The account service: everything an owner can ask for, with its checks and its words, once for all doors.

A door turns what came in (chat text, a command, a form, a page) into `Ask` and an owner, calls `perform`, and shows the
`Answer`. Doors differ in looks only. Sentences are in `words`, link states in `model.states`.
"""

import asyncio
import contextlib
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, Protocol

from ponton_bridge.coordination.contract import PAGE, Happening, Heartbeat, Result, Verb
from ponton_bridge.core.day import Day
from ponton_bridge.core.limiter import Bucket
from ponton_bridge.model.address import parse_number
from ponton_bridge.model.errors import HostError, OwnerError
from ponton_bridge.model.jid import host_of
from ponton_bridge.model.states import TABLE, Next, Phase, Reason
from ponton_operator.plan.ends import UNPAIRED
from ponton_operator.plan.parking import TOLD, kept_by_scaler
from ponton_operator.plan.preferences import choices_of, choose, chosen
from ponton_operator.resources.account import BridgeAccount, Desired, account_name
from ponton_operator.resources.gateway import BridgeGateway, allowed_hosts
from ponton_operator.selfservice import export, passkeys, words
from ponton_operator.selfservice.accounts import AccountStore

ANSWER_SECONDS: Final = 8.0  # how long a door waits for a shard; clients give up on an iq after 30 s or more
CHOICE_SECONDS: Final = 3600.0  # how long a choice waits for a shard; a new one reads it from the resource
START_SECONDS: Final = 120.0  # how long a request outlives a shard that is only starting
PASSKEY_SECONDS: Final = 20.0  # how long a door waits for WhatsApp to take an answer, which needs two questions
ASKS_PER_MINUTE: Final = 30.0  # per owner; a human clicking, not a script
ASKS_BURST: Final = 20.0
OWNERS_REMEMBERED: Final = 10_000  # rate buckets in memory; the oldest go first
# While a shard is kept up.
_NOT_BY_CODE: Final = frozenset({Reason.OUTDATED, Reason.CRASHING, Reason.UNREACHABLE, Reason.PASSKEY_ANSWERED})
_ON: Final = frozenset({"on", "yes", "true", "1"})
_OFF: Final = frozenset({"off", "no", "false", "0"})
_REASONS: Final = {reason.value: reason for reason in Reason}  # other words are the control plane's own


class Ask(StrEnum):
    """What an owner can ask for; the values are the words of the chat and the nodes of the commands."""

    REGISTER = "register"
    STATUS = "status"
    CODE = "code"
    PAIR = "pair"
    PAUSE = "pause"
    RESUME = "resume"
    UNLINK = "unlink"
    DELETE = "delete"
    PREFERENCES = "preferences"
    PASSKEY = "passkey"
    EXPORT = "export"
    HELP = "help"


@dataclass(frozen=True, slots=True)
class Request:
    """One thing asked by one owner (prepared bare JID); `sure` confirms what cannot be taken back.

    `watching`: on a page, where codes are seen by owners who are not online, too. `choices`: what a form says of
    preferences, by their names; a text says it in `argument` ("typing off").
    """

    owner: str
    ask: Ask
    argument: str = ""
    sure: bool = False
    watching: bool = field(default=False, repr=False)
    choices: Mapping[str, bool] = field(default_factory=dict, repr=False)


class Asks(StrEnum):
    """What WhatsApp waits for."""

    NOTHING = ""
    ANSWER = "answer"  # of a passkey
    SAME = "same"  # a word on two codes: yes or no


@dataclass(frozen=True, slots=True)
class Answer:
    """What is told; `confirm`: ask again with yes, `deleting`: say when done, `code`: to show, `asks`: what then."""

    sentence: str
    confirm: bool = False
    deleting: bool = False
    code: str = ""
    asks: Asks = Asks.NOTHING


class Shards(Protocol):
    """How a door reaches the shard of an account (by Redis)."""

    async def command(self, account: str, verb: str, argument: str, seconds: float, keep: float) -> Result | None:
        """Ask, wait up to `seconds` for the result (None: no answer yet); the shard may still do it within `keep`."""

    async def heartbeat(self, account: str) -> Heartbeat | None:
        """Give the last heartbeat, None when there is none or Redis is away."""

    async def days(self, accounts: Sequence[str]) -> dict[str, Day]:
        """Give the last days in figures that there are."""

    async def history(self, account: str) -> list[Happening]:
        """Give what happened to an account, newest first."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Who may register: hosts of owners, how many accounts there are at most (0 = no bound), and whether at all.

    `page` is the address of the page, '' without one.
    """

    domain: str
    hosts: tuple[str, ...]
    accounts: int = 0
    open: bool = True
    page: str = ""


def read_limits(gateway: BridgeGateway) -> Limits:
    """Give what the service has to know of a gateway."""
    portal = gateway.spec.selfservice.portal
    return Limits(
        domain=gateway.spec.domain,
        hosts=allowed_hosts(gateway),
        accounts=gateway.spec.accounts.max,
        open=gateway.spec.selfservice.registration == "Open",
        page=portal.url if portal else "",
    )


class AccountService:
    """One gateway's account service; `clock` gives seconds since 1970."""

    def __init__(
        self, limits: Limits, accounts: AccountStore, shards: Shards, clock: Callable[[], float] = time.time
    ) -> None:
        self._limits = limits
        self._accounts = accounts
        self._shards = shards
        self._clock = clock
        self._buckets: dict[str, Bucket] = {}
        self._handlers = {
            Ask.REGISTER: self._register,
            Ask.STATUS: self._status,
            Ask.CODE: self._code,
            Ask.PAIR: self._pair,
            Ask.PAUSE: self._pause,
            Ask.RESUME: self._resume,
            Ask.UNLINK: self._unlink,
            Ask.DELETE: self._delete,
            Ask.PREFERENCES: self._preferences,
            Ask.PASSKEY: self._passkey,
            Ask.EXPORT: self._export,
            Ask.HELP: self._help,
        }

    async def perform(self, request: Request) -> Answer:
        """Do what the owner asks. Raises PontonError with a sentence when it cannot be done."""
        self._admit(request.owner)
        return await self._handlers[request.ask](request)

    async def find(self, owner: str) -> BridgeAccount | None:
        """Give the owner's account, if there is one."""
        return await self._accounts.get(account_name(self._limits.domain, owner))

    async def state(self, owner: str) -> tuple[Reason, str] | None:
        """Give reason and sentence of the owner's link, None when not registered."""
        account = await self.find(owner)
        if account is None:
            return None
        reason = await self._reason(account)
        return reason, sentence_of(account, reason)

    async def chosen(self, owner: str) -> dict[str, bool]:
        """Give what the owner has chosen, for a form. Raises OwnerError for who is not registered."""
        return chosen((await self._existing(owner)).spec.preferences)

    async def export(self, owner: str) -> dict[str, object]:
        """Give all that the control plane holds about an owner. Raises PontonError."""
        account = await self.find(owner)
        if account is None:
            raise OwnerError(words.NOT_REGISTERED)
        name = account.metadata.name
        day = (await self._shards.days([name])).get(name)
        history = await self._shards.history(name)
        return export.record(account, await self._shards.heartbeat(name), day, history, self._clock())

    async def wait_deleted(self, owner: str, seconds: float) -> BridgeAccount | None:
        """Wait until the owner's account is gone; gives it as it is when `seconds` are over."""
        name = account_name(self._limits.domain, owner)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds), contextlib.aclosing(self._accounts.watch(name)) as changes:
                if await self.find(owner) is None:
                    return None
                async for change in changes:
                    if change.gone:
                        return None
        return await self.find(owner)

    def check_owner(self, owner: str) -> None:
        """Refuse owners of other servers."""
        if host_of(owner) not in self._limits.hosts:
            raise OwnerError(words.Filled(words.NOT_ALLOWED, hosts=", ".join(self._limits.hosts)))

    async def check_known(self, owner: str) -> None:
        """Refuse owners of other servers who have no account here (any more)."""
        try:
            self.check_owner(owner)
        except OwnerError:
            if await self.find(owner) is None:
                raise

    def _admit(self, owner: str) -> None:
        bucket = self._buckets.pop(owner, None) or Bucket(ASKS_PER_MINUTE / 60, ASKS_BURST)
        self._buckets[owner] = bucket
        while len(self._buckets) > OWNERS_REMEMBERED:
            self._buckets.pop(next(iter(self._buckets)))
        if not bucket.take(self._clock()):
            raise HostError(words.BUSY)

    async def _reason(self, account: BridgeAccount) -> Reason:
        """The freshest word on a link: the shard's own heartbeat, else what the control plane holds."""
        return reason_of(account, await self._shards.heartbeat(account.metadata.name) if is_running(account) else None)

    async def _existing(self, owner: str) -> BridgeAccount:
        account = await self.find(owner)
        if account is None:
            raise OwnerError(words.NOT_REGISTERED)
        if is_deleting(account):
            raise OwnerError(words.BEING_DELETED)
        return account

    async def _register(self, request: Request) -> Answer:
        number = parse_number(request.argument) if request.argument.strip() else ""
        self.check_owner(request.owner)
        account = await self.find(request.owner)
        if account is not None:
            if is_deleting(account):
                raise OwnerError(words.BEING_DELETED)
            return await self._again(account, number)
        if not self._limits.open:
            raise HostError(words.CLOSED)
        if self._limits.accounts and await self._accounts.count() >= self._limits.accounts:
            raise HostError(words.FULL)
        account = await self._accounts.create(request.owner)
        name = account.metadata.name
        if request.watching:
            await self._shards.command(name, Verb.NEW_CODE, PAGE, 0.0, START_SECONDS)
        if number:
            await self._shards.command(name, Verb.PAIR_PHONE, number, 0.0, START_SECONDS)
        return Answer(words.REGISTERED_PHONE if number else words.REGISTERED)

    async def _again(self, account: BridgeAccount, number: str) -> Answer:
        """Registered already: harmless, and it starts a new attempt where there is no link."""
        reason = await self._reason(account)
        if TABLE[reason].next is Next.NEW_CODE:
            await self._accounts.wake(account.metadata.name)
        if number and TABLE[reason].phase is not Phase.RUNNING:
            await self._shards.command(account.metadata.name, Verb.PAIR_PHONE, number, 0.0, START_SECONDS)
        return Answer(words.Filled(words.ALREADY, state=sentence_of(account, reason)))

    async def _status(self, request: Request) -> Answer:
        account = await self.find(request.owner)
        if account is None:
            return Answer(words.NOT_REGISTERED)
        if is_deleting(account):
            return Answer(words.BEING_DELETED)
        return Answer(sentence_of(account, await self._reason(account)))

    async def _code(self, request: Request) -> Answer:
        account = await self._existing(request.owner)
        reason = await self._reason(account)
        if no_use := _no_use(account, reason):
            return Answer(no_use)
        done = words.GOES_ON if keeps_link(account, reason) else words.NEW_CODE
        name, watching = account.metadata.name, PAGE if request.watching else ""
        if not is_running(account):
            await self._accounts.wake(name)
            if watching:
                await self._shards.command(name, Verb.NEW_CODE, watching, 0.0, START_SECONDS)
            return Answer(done)
        return _told(await self._shards.command(name, Verb.NEW_CODE, watching, ANSWER_SECONDS, START_SECONDS), done)

    async def _pair(self, request: Request) -> Answer:
        account = await self._existing(request.owner)
        if not request.argument.strip():
            raise OwnerError(words.ASK_NUMBER)
        number = parse_number(request.argument)
        if no_use := _no_use(account, await self._reason(account)):
            return Answer(no_use)
        if not is_running(account):
            await self._accounts.wake(account.metadata.name)
        result = await self._shards.command(
            account.metadata.name, Verb.PAIR_PHONE, number, ANSWER_SECONDS, START_SECONDS
        )
        if result is not None and result.ok and result.value:
            return Answer(words.Filled(words.PHONE_CODE, code=result.value), code=result.value)
        return _told(result, words.NEW_CODE)

    async def _passkey(self, request: Request) -> Answer:
        """Say what WhatsApp asks and how it is answered, or hand an answer on, or the word on two codes."""
        account = await self._existing(request.owner)
        name, word = account.metadata.name, "yes" if request.sure else request.argument.strip().lower()
        reason = await self._reason(account)
        if reason is Reason.PASSKEY_NEEDED or not is_running(account):
            return Answer(sentence_of(account, reason) if reason is Reason.PASSKEY_NEEDED else words.NO_PASSKEY)
        if not word:
            return await self._asked(name)
        verb, argument, done = Verb.COMPARED, word, words.CODES_SAME if word == "yes" else words.PASSKEY_STOPPED
        if word not in {"yes", "no"}:
            verb, argument, done = Verb.PASSKEY, passkeys.answer_of(request.argument), words.PASSKEY_TAKEN
        return _told(await self._shards.command(name, verb, argument, PASSKEY_SECONDS, PASSKEY_SECONDS), done)

    async def _asked(self, name: str) -> Answer:
        result = await self._shards.command(name, Verb.ASKED, "", ANSWER_SECONDS, ANSWER_SECONDS)
        asked = passkeys.asked_of(result.value) if result else None
        if asked is None:
            return _told(result, words.NO_PASSKEY)
        if asked.kind == passkeys.COMPARE:
            told = words.Filled(words.COMPARE, code=asked.text, minutes=str(passkeys.minutes(asked.expires)))
            return Answer(told, code=asked.text, asks=Asks.SAME)
        return Answer(passkeys.how(asked, self._limits.page), asks=Asks.ANSWER)

    async def _pause(self, request: Request) -> Answer:
        account = await self._existing(request.owner)
        if account.spec.desired is Desired.STOPPED:
            return Answer(TABLE[Reason.STOPPED].sentence)
        await self._accounts.patch(account.metadata.name, desired=Desired.PARKED)
        return Answer(words.PAUSED)

    async def _resume(self, request: Request) -> Answer:
        account = await self._existing(request.owner)
        if account.spec.desired is Desired.STOPPED:
            return Answer(TABLE[Reason.STOPPED].sentence)
        if is_running(account):
            return Answer(words.RUNS_ALREADY)
        done = words.GOES_ON if keeps_link(account, await self._reason(account)) else words.NEW_CODE
        await self._accounts.wake(account.metadata.name)
        return Answer(done)

    async def _unlink(self, request: Request) -> Answer:
        account = await self._existing(request.owner)
        reason, running = await self._reason(account), is_running(account)
        if TABLE[reason].phase is Phase.WAITING_FOR_SCAN or not (running or keeps_link(account, reason)):
            return Answer(words.NOT_LINKED)
        if account.spec.desired is Desired.STOPPED:
            return Answer(TABLE[Reason.STOPPED].sentence)
        if not request.sure:
            return Answer(words.UNLINK_CONFIRM, confirm=True)
        if not running:  # only a shard can tell WhatsApp
            await self._accounts.wake(account.metadata.name)
        result = await self._shards.command(account.metadata.name, Verb.UNLINK, "", ANSWER_SECONDS, START_SECONDS)
        return _told(result, words.UNLINKED)

    async def _delete(self, request: Request) -> Answer:
        account = await self.find(request.owner)
        if account is None:
            raise OwnerError(words.NOT_REGISTERED)
        if not request.sure:
            return Answer(words.DELETE_CONFIRM, confirm=True)
        await self._accounts.delete(account.metadata.name)
        return Answer(words.DELETING, deleting=True)

    async def _preferences(self, request: Request) -> Answer:
        account = await self._existing(request.owner)
        name, before = account.metadata.name, account.spec.preferences
        wanted = _read_choice(request.argument) if request.argument.strip() else request.choices
        if not wanted:
            lines = [f"{key} {'on' if on else 'off'} - {words.CHOICES[key]}" for key, on in chosen(before).items()]
            return Answer(words.CHOICES_NOW.format(lines="\n".join(lines)))
        now = (await self._accounts.patch(name, preferences=choose(before, wanted))).spec.preferences
        if not is_running(account):
            return Answer(words.CHOICE_LATER)
        told = None
        with contextlib.suppress(HostError):  # Redis is away: the resource has it
            argument = choices_of(now).to_json()
            told = await self._shards.command(name, Verb.CHOOSE, argument, ANSWER_SECONDS, CHOICE_SECONDS)
        return Answer(words.CHOICE_KEPT if told and told.ok else words.CHOICE_LATER)

    async def _export(self, request: Request) -> Answer:
        return Answer(json.dumps(await self.export(request.owner), indent=1, ensure_ascii=False))

    async def _help(self, _request: Request) -> Answer:
        page = [words.HELP_PAGE.format(url=self._limits.page)] if self._limits.page else []
        return Answer("\n\n".join([words.HELP.format(domain=self._limits.domain), *page, words.TERMS]))


def reason_of(account: BridgeAccount, beat: Heartbeat | None) -> Reason:
    """Give the freshest word on a link: the shard's own heartbeat, else what the control plane holds."""
    if beat is not None and beat.reason in _REASONS and is_running(account):
        return _REASONS[beat.reason]
    kept = account.status.parking.reason if account.status.parking else account.status.reason
    return _REASONS.get(kept) or TOLD.get(kept, Reason.STARTING)


def sentence_of(account: BridgeAccount, reason: Reason) -> str:
    """Say how a link is; who has paused it is told how to go on."""
    return (
        words.PAUSED if account.spec.desired is Desired.PARKED and reason is Reason.PARKED else TABLE[reason].sentence
    )


def is_deleting(account: BridgeAccount) -> bool:
    """Tell whether the account is on its way out."""
    return account.metadata.deletion_timestamp is not None


def is_running(account: BridgeAccount) -> bool:
    """Tell whether there is, or will soon be, a shard that listens to commands."""
    kept = account.status.parking is not None or kept_by_scaler(account, account.status)
    return not kept and account.spec.desired is Desired.RUNNING


def keeps_link(account: BridgeAccount, reason: Reason) -> bool:
    """Tell whether the device is still linked at WhatsApp, whether or not a shard runs."""
    return account.status.paired and reason not in UNPAIRED | {Reason.STALE_STORE}


def _read_choice(text: str) -> dict[str, bool]:
    """Read "typing off". Raises OwnerError."""
    name, _, value = text.lower().replace(":", " ").replace("=", " ").partition(" ")
    if name not in words.CHOICES or value.strip() not in _ON | _OFF:
        raise OwnerError(words.CHOICE_UNKNOWN)
    return {name: value.strip() in _ON}


def _no_use(account: BridgeAccount, reason: Reason) -> str:
    """Say why a code would not help: there is a link already, or it is the host's turn. '' when it would."""
    if account.spec.desired is Desired.STOPPED:
        return TABLE[Reason.STOPPED].sentence
    if TABLE[reason].phase in {Phase.RUNNING, Phase.DEGRADED, Phase.CONNECTING}:
        return words.LINKED_ALREADY
    if TABLE[reason].next is Next.PASSKEY:
        return words.ANSWER_FIRST
    return TABLE[reason].sentence if is_running(account) and reason in _NOT_BY_CODE else ""


def _told(result: Result | None, done: str) -> Answer:
    """Turn a shard's result into words: its own sentence first."""
    if result is None:
        return Answer(words.NO_ANSWER)
    if not result.ok:
        raise HostError(result.sentence or words.NO_ANSWER)
    return Answer(result.sentence or done)
