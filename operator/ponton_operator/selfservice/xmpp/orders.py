"""What the portal has the front desk do, since it has no stream of its own: logins by XMPP.

That is: say a one-time code to an owner, ask them whether they agree to the login, and tell what they have answered.
Each order may come twice (at least once); the message of a code has the order's id, so that clients know it again.
Whether an address is one of ours is nobody else's business: the answer to the portal is the same.
"""

from collections.abc import Callable
from typing import Final
from xml.etree.ElementTree import Element

from ponton_bridge.coordination.contract import Command, LoginAsked, LoginMessage, Result, Verb
from ponton_bridge.model.errors import HostError, OwnerError
from ponton_bridge.model.jid import prepare_bare
from ponton_bridge.xmpp import codes
from ponton_operator.selfservice import languages, words
from ponton_operator.selfservice.service import AccountService
from ponton_operator.selfservice.xmpp import confirm
from ponton_operator.selfservice.xmpp.confirm import Confirms

MINUTES: Final = 10  # that a code holds
NO_STREAM: Final = "The gateway is not connected at the moment. Please try again in a minute."


class Orders:
    """`handle` does one; `send` puts a stanza on the stream and says whether it could."""

    def __init__(
        self, domain: str, service: AccountService, send: Callable[[Element], bool], confirms: Confirms
    ) -> None:
        self._domain = domain
        self._service = service
        self._send = send
        self._confirms = confirms

    async def handle(self, command: Command) -> Result:
        """Do what is asked; raises PontonError with a sentence."""
        try:
            match command.verb:
                case Verb.LOGIN:
                    return await self._login(command.id, LoginMessage.from_json(command.argument))
                case Verb.CONFIRMED:
                    asked = LoginAsked.from_json(command.argument)
                    return Result(command.id, ok=1, value=self._confirms.answer(asked.to, asked.transaction))
        except ValueError:
            raise OwnerError("The front desk cannot read what was asked.") from None
        raise OwnerError("The front desk does not know what was asked. It may be older than the page.")

    async def _login(self, order: str, asked: LoginMessage) -> Result:
        owner = prepare_bare(asked.to)
        if await self._is_ours(owner):
            language = asked.language if asked.language in languages.NAMES else "en"
            sentence = words.Filled(words.LOGIN_CODE, code=asked.code, domain=self._domain, minutes=str(MINUTES))
            said = [languages.say(language, sentence)]
            if asked.transaction:
                compare = words.Filled(words.LOGIN_CONFIRM, transaction=asked.transaction)
                said.append(languages.say(language, compare))
            message = codes.text(self._domain, owner, f"login-{order}", " ".join(said))
            if asked.transaction:
                self._confirms.ask(owner, asked.transaction)
                message.extend(confirm.question(asked.transaction, asked.url))
            if not self._send(message):
                raise HostError(NO_STREAM)
        return Result(order, ok=1)

    async def _is_ours(self, owner: str) -> bool:
        """Tell whether they may have an account, or have one."""
        try:
            await self._service.check_known(owner)
        except OwnerError:
            return False
        return True
