"""What doors ask of a shard, and its answers: the verbs of the Redis contract. Part of the shard program.

At least once, so each verb does no harm when it comes again. The caller (coordination.client) keeps the deadline and
turns a PontonError into the result's sentence.
"""

from collections.abc import Awaitable, Callable
from typing import Final

from ponton_bridge.coordination.contract import PAGE, Choices, Command, Result, Verb
from ponton_bridge.model.address import parse_number
from ponton_bridge.model.errors import OwnerError, WhatsAppError
from ponton_bridge.model.states import TABLE, Reason
from ponton_bridge.shard.account import Account
from ponton_bridge.shard.events import Event
from ponton_bridge.shard.linking import Linking
from ponton_bridge.shard.outbox import Outbox
from ponton_bridge.shard.owner import Owner

CHOICES_KEY: Final = "choices"  # the journal's setting
FORGET: Final = "forget"  # argument of UNLINK: the account is being deleted, the roster is cleaned, too
LONGEST: Final = 10_000  # characters of an argument; a passkey's answer has 800
SAME: Final = "yes"  # argument of COMPARED
NOT_SAME: Final = "no"
LINKED_ALREADY: Final = "You are linked already. To link another phone, unlink this one first."
NOT_UNLINKED: Final = (
    "WhatsApp could not be told in time, so the link is still there. Try again, or remove the device on your phone, "
    "under Linked devices."
)


class Commands:
    """`handle` does one command; `chosen` is called when the owner lets contacts see something else than before."""

    def __init__(
        self, account: Account, linking: Linking, owner: Owner, outbox: Outbox, chosen: Callable[[], None]
    ) -> None:
        self._account = account
        self._linking = linking
        self._owner = owner
        self._outbox = outbox
        self._chosen = chosen
        self._verbs: dict[str, Callable[[str], Awaitable[tuple[str, str]]]] = {
            Verb.NEW_CODE: self._new_code,
            Verb.PAIR_PHONE: self._pair_phone,
            Verb.UNLINK: self._unlink,
            Verb.STATUS: self._status,
            Verb.ASKED: self._asked,
            Verb.PASSKEY: self._passkey,
            Verb.CHOOSE: self._choose,
            Verb.COMPARED: self._compared,
        }

    async def handle(self, command: Command) -> Result:
        """Do what is asked; raises PontonError with a sentence when it cannot be done."""
        verb = self._verbs.get(command.verb)
        if verb is None or len(command.argument) > LONGEST:
            raise OwnerError("This bridge does not know what was asked. It may be older than the rest.")
        sentence, value = await verb(command.argument)
        self._account.log(Event.COMMAND_HANDLED, verb=command.verb)
        return Result(command.id, ok=1, sentence=sentence, value=value)

    def _sentence(self) -> str:
        return TABLE[self._linking.machine.reason].sentence

    def _only_unlinked(self) -> None:
        """A banned number is the exception: 'new code' is how the owner says that WhatsApp works again."""
        if self._linking.linked and self._linking.machine.reason is not Reason.BANNED:
            raise OwnerError(LINKED_ALREADY)

    async def _new_code(self, argument: str) -> tuple[str, str]:
        self._only_unlinked()
        await self._linking.new_code(watching=argument == PAGE)
        return "", ""

    async def _pair_phone(self, argument: str) -> tuple[str, str]:
        self._only_unlinked()
        letters = await self._linking.letters(parse_number(argument))
        return "", letters

    async def _unlink(self, argument: str) -> tuple[str, str]:
        if not await self._linking.unlink():
            raise WhatsAppError(NOT_UNLINKED)
        if argument == FORGET:
            await self._account.journal.run(self._owner.forget)
            self._outbox.news()
            await self._outbox.drained()
        return TABLE[Reason.UNLINKED].sentence, ""

    async def _status(self, _argument: str) -> tuple[str, str]:
        return self._sentence(), str(self._linking.machine.reason)

    async def _asked(self, _argument: str) -> tuple[str, str]:
        asked = self._linking.asked()
        return "", asked.to_json() if asked else ""

    async def _passkey(self, argument: str) -> tuple[str, str]:
        self._only_unlinked()
        await self._linking.passkey(argument)
        return "", ""

    async def _compared(self, argument: str) -> tuple[str, str]:
        self._only_unlinked()
        if argument not in {SAME, NOT_SAME}:
            raise OwnerError("This bridge does not know what was asked. It may be older than the rest.")
        await self._linking.compared(same=argument == SAME)
        return "", ""

    async def _choose(self, argument: str) -> tuple[str, str]:
        """Hold it from now on, and over restarts; what was chosen before what we have is late, and changes nothing."""
        try:
            choices = Choices.from_json(argument)
        except ValueError:
            raise OwnerError("This bridge cannot read what was chosen. It may be older than the rest.") from None
        if choices.revision >= self._account.choices.revision:
            self._account.choices = choices
            await self._account.journal.run(lambda journal: journal.set(CHOICES_KEY, choices.to_json()))
            self._chosen()
        return "", ""


def newest(kept: str, told: Choices) -> Choices:
    """Give what holds at a start: what the journal kept, unless what we were started with is as new."""
    try:
        known = Choices.from_json(kept) if kept else Choices()
    except ValueError:  # of a newer release
        return told
    return known if known.revision > told.revision else told
