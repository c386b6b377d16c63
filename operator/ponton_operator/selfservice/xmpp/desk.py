"""The front desk: every stanza to the bare gateway domain, and those of people without an account, in; answers out.

Pure of any XMPP library: stanzas are Elements, `send` puts one on the stream. The program `ponton frontdesk` feeds it.
Each stanza is handled by itself: one that fails is answered with an error and logged as an event; nothing it holds can
end the desk.
"""

import asyncio
import secrets
from collections.abc import Awaitable, Callable
from typing import Final
from xml.etree.ElementTree import Element

from ponton_bridge.features import encrypted
from ponton_bridge.model import xml
from ponton_bridge.model.errors import HostError, OwnerError, PontonError
from ponton_bridge.model.jid import prepare_bare
from ponton_operator.selfservice import words
from ponton_operator.selfservice.service import AccountService, Answer
from ponton_operator.selfservice.xmpp import chat, commands, disco, presence, prompt, register, stanzas
from ponton_operator.selfservice.xmpp.confirm import HTTP_AUTH, Confirms
from ponton_operator.selfservice.xmpp.events import DeskEvent, Report

MAX_AT_ONCE: Final = 200  # requests being worked on; the rest is told to come back, so that memory stays bounded
DELETION_SECONDS: Final = 90.0  # how long the desk waits to say that a deletion is done
NAME: Final = "WhatsApp"


class NotServed(OwnerError):
    """The stanza is for somebody's contact, and the sender has no running bridge."""

    condition = "registration-required"
    kind = "auth"


class NotHere(OwnerError):
    """An iq that the gateway does not understand."""

    condition = "service-unavailable"
    kind = "cancel"


class Desk:
    """One front desk for one gateway domain."""

    def __init__(
        self,
        domain: str,
        service: AccountService,
        send: Callable[[Element], object],
        *,
        confirms: Confirms | None = None,
        report: Report = lambda _event, _error: None,
        fresh_id: Callable[[], str] = lambda: secrets.token_hex(8),
    ) -> None:
        self._domain = domain
        self._service = service
        self._send = send
        self._confirms = confirms or Confirms()
        self._report = report
        self._fresh_id = fresh_id
        self._tasks: set[asyncio.Task[None]] = set()
        # (stanza, payload namespace) -> handler; the visible list of all that the gateway answers
        self._queries: dict[str, Callable[[Element, str], Awaitable[list[Element]]]] = {
            xml.DISCO_INFO: self._disco_info,
            xml.DISCO_ITEMS: self._disco_items,
            disco.VCARD: self._vcard,
            disco.VERSION: self._version,
            xml.PING: self._ping,
            xml.REGISTER: self._register,
            xml.COMMANDS: self._command,
            xml.GATEWAY: self._prompt,
        }

    def receive(self, stanza: Element) -> asyncio.Task[None] | None:
        """Take one stanza; the task is done when it is answered. None when it was answered at once (too busy)."""
        if len(self._tasks) >= MAX_AT_ONCE:
            self._report(DeskEvent.OVERLOADED, None)
            if _wants_answer(stanza):
                self._send(stanzas.error(stanza, HostError(words.BUSY)))
            return None
        return self._spawn(self._handle(stanza))

    async def close(self) -> None:
        """End what is still being worked on."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _spawn(self, work: Awaitable[None]) -> asyncio.Task[None]:
        task: asyncio.Task[None] = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _handle(self, stanza: Element) -> None:
        try:
            for answer in await self._answers(stanza):
                self._send(answer)
        except PontonError as problem:
            if _wants_answer(stanza):
                self._send(stanzas.error(stanza, problem))
        except Exception as error:  # noqa: BLE001 - one stanza must not end the desk; reported, and told to who asked
            self._report(DeskEvent.FAILED, error)
            if _wants_answer(stanza):
                self._send(stanzas.error(stanza, PontonError()))

    async def _answers(self, stanza: Element) -> list[Element]:
        if self._is_word_on_login(stanza) or stanza.get("type") in {"error", "result"}:
            return []
        owner = _sender(stanza)
        match xml.local_name(stanza), "@" in (stanza.get("to") or ""):
            case "presence", to_contact:
                return await self._presence(stanza, owner, to_contact=to_contact)
            case "message", False:
                return await self._message(stanza, owner)
            case "message", True:
                return await self._unserved(stanza, owner)
            case "iq", to_contact:
                return await self._iq(stanza, owner, to_contact=to_contact)
        return []

    def _is_word_on_login(self, stanza: Element) -> bool:
        asked = xml.find(stanza, "confirm", HTTP_AUTH) is not None
        return asked and self._confirms.hear(_sender(stanza), stanza)

    async def _presence(self, stanza: Element, owner: str, *, to_contact: bool) -> list[Element]:
        if to_contact:
            return presence.for_nobody(stanza)
        state = await self._service.state(owner)
        return presence.answer(stanza, self._domain, state[0] if state else None)

    async def _message(self, stanza: Element, owner: str) -> list[Element]:
        if encrypted.PAYLOADS & {child.tag for child in stanza}:
            raise OwnerError(encrypted.HOW)
        if not chat.is_conversation(stanza):
            return []
        request = chat.read(owner, xml.text_of(stanza, "body", xml.CLIENT) or "")
        if request is None:
            known = await self._service.find(owner) is not None
            return [self._chat(owner, words.UNKNOWN if known else self._welcome())]
        try:
            answer = await self._service.perform(request)
        except PontonError as problem:  # in a conversation an answer in words reads better than an error mark
            return [self._chat(owner, problem.sentence)]
        self._follow(owner, answer)
        return [self._chat(owner, answer.sentence)]

    async def _unserved(self, stanza: Element, owner: str) -> list[Element]:
        if not chat.is_conversation(stanza):
            return []
        known = await self._service.find(owner) is not None
        raise NotServed((words.AWAY if known else words.NOT_SERVED).format(domain=self._domain))

    async def _iq(self, stanza: Element, owner: str, *, to_contact: bool) -> list[Element]:
        if len(stanza) != 1 or stanza.get("type") not in {"get", "set"}:
            raise OwnerError("An iq holds exactly one question.")
        handler = self._queries.get(stanza[0].tag[1:].partition("}")[0])
        if to_contact:
            raise NotServed(words.NOT_SERVED.format(domain=self._domain))
        if handler is None:
            raise NotHere("The gateway does not know this kind of question.")
        return await handler(stanza, owner)

    async def _disco_info(self, iq: Element, _owner: str) -> list[Element]:
        answer = disco.info(iq, NAME, iq[0].get("node"), dict(commands.listing()))
        if answer is None:
            raise NotHere("There is nothing under this node.")
        return [answer]

    async def _disco_items(self, iq: Element, _owner: str) -> list[Element]:
        return [disco.items(iq, self._domain, iq[0].get("node"), commands.listing())]

    async def _vcard(self, iq: Element, _owner: str) -> list[Element]:
        return [disco.vcard(iq, NAME)]

    async def _version(self, iq: Element, _owner: str) -> list[Element]:
        return [disco.version(iq)]

    async def _ping(self, iq: Element, _owner: str) -> list[Element]:
        return [stanzas.result(iq)]

    async def _prompt(self, iq: Element, _owner: str) -> list[Element]:
        return [prompt.handle(iq, self._domain)]

    async def _register(self, iq: Element, owner: str) -> list[Element]:
        done, answer = await register.handle(iq, owner, self._service)
        if answer is None:
            return [done]
        self._follow(owner, answer)
        return [done, self._chat(owner, answer.sentence)]

    async def _command(self, iq: Element, owner: str) -> list[Element]:
        done, answer = await commands.handle(iq, owner, self._service, self._fresh_id())
        if answer is not None:
            self._follow(owner, answer)
        return [done]

    def _welcome(self) -> str:
        return words.WELCOME.format(domain_of_host=self._domain.partition(".")[2] or self._domain)

    def _chat(self, owner: str, body: str) -> Element:
        return stanzas.chat(self._domain, owner, body, self._fresh_id())

    def _follow(self, owner: str, answer: Answer) -> None:
        if answer.deleting:
            self._spawn(self._tell_deleted(owner))

    async def _tell_deleted(self, owner: str) -> None:
        """Say when a deletion is done, or that it takes long and what it waits for."""
        account = await self._service.wait_deleted(owner, DELETION_SECONDS)
        if account is None:
            self._send(self._chat(owner, f"{words.DELETED} {words.RESIDUE}"))
            self._send(stanzas.presence(self._domain, owner, "unavailable"))
            return
        problems = account.status.deletion.problems if account.status.deletion else ()
        self._send(self._chat(owner, words.DELETE_SLOW.format(details=" ".join(problems))))


def _sender(stanza: Element) -> str:
    return prepare_bare(stanzas.bare(stanza.get("from", "")))


def _wants_answer(stanza: Element) -> bool:
    """Errors and results are never answered, presence hardly ever (RFC 6120, 8.3.1; RFC 6121, 4)."""
    return xml.local_name(stanza) in {"message", "iq"} and stanza.get("type") not in {"error", "result"}
