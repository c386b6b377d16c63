"""The core's calls: what is written for a command of the port, and what the answers mean. Pure."""

from collections.abc import Mapping, Sequence
from typing import Any

from ponton_bridge.model.address import Address, Kind
from ponton_bridge.model.errors import OwnerError
from ponton_bridge.whatsapp import port

from .events import address


def sending(chat: Address, content: port.Content) -> tuple[str, dict[str, object]]:
    """Give the call and its arguments for a message; OwnerError for what cannot be sent yet."""
    match content:
        case port.Text(body):
            return "send", {"to": chat.key, "text": body}
        case port.Edit(target, body):
            return "edit", {"to": chat.key, "target": target, "text": body}
        case _:
            raise OwnerError("This kind of message cannot be sent to WhatsApp yet.")


def sent(answer: Mapping[str, Any]) -> port.Sent:
    """Read what a send was answered."""
    return port.Sent(str(answer["id"]), int(answer["t"]))


def found(numbers: Sequence[str], answer: Sequence[Mapping[str, Any]] | None) -> dict[str, Address | None]:
    """Read who has these numbers; None for those who are not at WhatsApp.

    >>> found(["4477", "1"], [{"Query": "+4477", "JID": "9@lid", "IsIn": True}])
    {'4477': Address(number='4477', lid='9', group=None), '1': None}
    """
    people: dict[str, Address | None] = dict.fromkeys(numbers)
    for one in answer or ():
        number = str(one.get("Query", "")).removeprefix("+").partition("@")[0]
        who = address(one.get("JID"))
        if number in people and one.get("IsIn") and who is not None:
            people[number] = Address(number=number, lid=who.lid)
    return people


def contacts(answer: Sequence[Mapping[str, Any]] | None) -> port.Contacts:
    """Read the address book, numbers and LIDs put together; complete once any name has come from the phone."""
    people: dict[str, port.Contact] = {}
    for one in answer or ():
        who = address(one.get("jid"), one.get("alt"))
        if who is None or who.kind is Kind.GROUP:
            continue
        old = people.get(who.key, port.Contact(who))
        people[who.key] = port.Contact(who, old.name or str(one["name"]), old.push_name or str(one["push"]))
    entries = tuple(people[key] for key in sorted(people))
    return port.Contacts(entries, complete=any(one.name for one in entries))


def groups(answer: Sequence[Mapping[str, Any]] | None) -> tuple[port.Contact, ...]:
    """Read the groups that the account is in, with their names."""
    named = ((address(one.get("JID")), str(one.get("Name", ""))) for one in answer or ())
    return tuple(port.Contact(who, name) for who, name in named if who is not None and name)
