"""The door of ad-hoc commands (XEP-0050): the same requests as in chat, as a menu with forms.

Stateless: a command that needs a value or a yes shows a form, and its completion carries all that is needed; nothing
is kept between the two, so a restart of the desk in between is harmless. Called by the desk.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final
from xml.etree.ElementTree import Element

from ponton_bridge.model import xml
from ponton_bridge.model.errors import OwnerError
from ponton_bridge.model.xml import el
from ponton_operator.selfservice import words
from ponton_operator.selfservice.service import AccountService, Answer, Ask, Asks, Request
from ponton_operator.selfservice.xmpp import forms, register, stanzas
from ponton_operator.selfservice.xmpp.chat import MAX_ANSWER

_NUMBER: Final = forms.Field("phone", "Phone number, for example +44 7700 900123")
_OPTIONAL: Final = forms.Field("phone", "Phone number, for example +44 7700 900123 (may stay empty)")
_PASSKEY: Final = {  # what the form of a passkey asks, by what WhatsApp waits for
    Asks.ANSWER: forms.Field("answer", "The answer that the window shows"),
    Asks.SAME: forms.Field(
        "same",
        "Is the code on the phone the same?",
        "list-single",
        options=(("yes", "Yes, it is the same"), ("no", "No, end this attempt")),
    ),
}
_SURE: Final = forms.Field("sure", "Yes, do it", "boolean", "0", required=True)


@dataclass(frozen=True, slots=True)
class Entry:
    """One command: label in the menu, and the field that its form asks (None: none, it runs at once)."""

    ask: Ask
    label: str
    field: forms.Field | None = None
    instructions: str = ""


MENU: Final = {
    xml.REGISTER: Entry(Ask.REGISTER, "Register", _OPTIONAL, register.INSTRUCTIONS + words.TERMS),
    "status": Entry(Ask.STATUS, "Status of the link"),
    "code": Entry(Ask.CODE, "New code to scan"),
    "pair": Entry(Ask.PAIR, "Link with a phone number", _NUMBER, "An 8-letter code to type on that phone is shown."),
    "pause": Entry(Ask.PAUSE, "Pause the bridge, keep the link"),
    "resume": Entry(Ask.RESUME, "Start the bridge again"),
    "unlink": Entry(Ask.UNLINK, "End the link with WhatsApp", _SURE, words.off_chat(words.UNLINK_CONFIRM)),
    "delete": Entry(Ask.DELETE, "Delete my account", _SURE, words.off_chat(words.DELETE_CONFIRM)),
    "preferences": Entry(Ask.PREFERENCES, "What my contacts see of me"),
    "passkey": Entry(Ask.PASSKEY, "Answer WhatsApp's request for a passkey"),
    "export": Entry(Ask.EXPORT, "What is stored about me"),
    "help": Entry(Ask.HELP, "Help"),
}


def listing() -> list[tuple[str, str]]:
    """Give (node, label) of all commands, in the order of the menu."""
    return [(node, entry.label) for node, entry in MENU.items()]


async def handle(iq: Element, owner: str, service: AccountService, session: str) -> tuple[Element, Answer | None]:
    """Answer one step; `session` is a fresh session id. Raises PontonError (unknown command, bad action or value)."""
    command = iq[0]
    node = command.get("node", "")
    entry = MENU.get(node)
    if entry is None:
        raise UnknownCommand("There is no such command here.")
    session = command.get("sessionid") or session
    match command.get("action", "execute"):
        case "cancel":
            return _step(iq, node, session, "canceled"), None
        case "prev":
            return _ask(iq, node, session, entry, await _fields(entry, owner, service)), None
        case "execute" | "next" | "complete":
            pass
        case _:
            raise OwnerError("This action is not known here.")
    submitted = forms.values(command, MAX_ANSWER if entry.ask is Ask.PASSKEY else forms.MAX_VALUE)
    fields = await _fields(entry, owner, service)
    if fields and xml.find(command, "x", xml.DATA) is None:
        return _ask(iq, node, session, entry, fields), None
    sure = forms.is_yes(submitted.get("sure", ""))
    if entry.field is _SURE and not sure:
        return _step(iq, node, session, "completed", note="Nothing was changed."), None
    if entry.ask is Ask.PASSKEY:
        sure, given = submitted.get("same") == "yes", submitted.get("answer") or submitted.get("same", "")
    else:
        given = submitted.get("phone", "")
    choices = {name: forms.is_yes(submitted[name]) for name in words.CHOICES if name in submitted}
    answer = await service.perform(Request(owner, entry.ask, "" if sure else given, sure=sure, choices=choices))
    if answer.asks is not Asks.NOTHING:
        told = replace(entry, instructions=words.off_chat(answer.sentence))
        return _ask(iq, node, session, told, [_PASSKEY[answer.asks]]), answer
    return _done(iq, node, session, entry, answer), answer


class UnknownCommand(OwnerError):
    """No command of that node."""

    condition = "item-not-found"
    kind = "cancel"


async def _fields(entry: Entry, owner: str, service: AccountService) -> Sequence[forms.Field]:
    """Give the fields of a command's form, preferences as they are now; none when it runs at once."""
    if entry.ask is not Ask.PREFERENCES:
        return [entry.field] if entry.field else []
    now = await service.chosen(owner)
    return [forms.Field(name, words.CHOICES[name], "boolean", str(int(on))) for name, on in now.items()]


def _ask(iq: Element, node: str, session: str, entry: Entry, fields: Sequence[forms.Field]) -> Element:
    form = forms.form(entry.label, entry.instructions, fields)
    actions = el("actions", xml.COMMANDS, el("complete", xml.COMMANDS), execute="complete")
    return _step(iq, node, session, "executing", actions, form)


def _done(iq: Element, node: str, session: str, entry: Entry, answer: Answer) -> Element:
    """Show the sentence as a note and as a form: some clients show only the one, some only the other."""
    fields = [forms.Field("code", "Code", "text-single", answer.code)] if answer.code else []
    return _step(
        iq,
        node,
        session,
        "completed",
        forms.form(entry.label, answer.sentence, fields, "result"),
        note=answer.sentence,
    )


def _step(iq: Element, node: str, session: str, status: str, *parts: Element, note: str = "") -> Element:
    notes = [el("note", xml.COMMANDS, note, type_="info")] if note else []
    return stanzas.result(iq, el("command", xml.COMMANDS, *parts, *notes, node=node, sessionid=session, status=status))
