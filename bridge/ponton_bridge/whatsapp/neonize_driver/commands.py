"""The commands of the port as calls into the library: what is written, and what the answer means.

Blocking; the driver runs them on its threads. Every function takes the session first.
"""

import time
from collections.abc import Sequence
from typing import Final

from ponton_bridge.model.address import Address, Kind
from ponton_bridge.model.errors import OwnerError, WhatsAppError
from ponton_bridge.whatsapp import failures, port
from ponton_bridge.whatsapp.port import TypingState

from . import jids
from .native import sized
from .protos import each, flag, has, integer, neonize, read, string, sub, whatsapp
from .session import Session

CHROME: Final = 1  # pairing by code wants a browser's name, "Browser (System)"
DISPLAY_NAME: Final = "Chrome (Linux)"
STATES: Final = {  # ChatPresence and its media, by index
    TypingState.COMPOSING: (0, 0),
    TypingState.RECORDING: (0, 1),
    TypingState.PAUSED: (1, 0),
}
NO_PUSH_NAME: Final = "without PushName"  # until the phone has shared the account's settings


def resolve(session: Session, who: Address) -> Address:
    """Add the LID from the library's own table, where only the number is known."""
    if who.lid or who.kind is Kind.GROUP:
        return who
    wanted = sized(jids.number_jid(who))
    answer = read("GetJIDFromStoreReturnFunction", session.look(lambda go, me: go.ask("GetLIDFromPN", me, *wanted)))
    found = jids.address(sub(answer, "Jid"))
    return Address(number=who.number, lid=found.lid) if found is not None and found.lid else who


def number_of(session: Session, who: Address) -> Address:
    """Add the number from the library's own table, where only the LID is known."""
    if who.number or who.kind is Kind.GROUP:
        return who
    wanted = sized(jids.jid(who))
    answer = read("GetJIDFromStoreReturnFunction", session.look(lambda go, me: go.ask("GetPNFromLID", me, *wanted)))
    found = jids.address(sub(answer, "Jid"))
    return Address(number=found.number, lid=who.lid) if found is not None and found.number else who


def send(session: Session, chat: Address, content: port.Content) -> port.Sent:
    """Send a text or an edit and wait for the server's word (whatsmeow gives up after 75 s)."""
    match content:
        case port.Text(body):
            message = whatsapp(conversation=body)
        case port.Edit(target, body):
            key = {"fromMe": True, "ID": target, "remoteJID": jids.text(chat)}
            changed: dict[str, object] = {"key": key, "type": "MESSAGE_EDIT", "editedMessage": {"conversation": body}}
            changed["timestampMS"] = time.time_ns() // 1_000_000
            message = whatsapp(editedMessage={"message": {"protocolMessage": changed}})
        case _:
            raise OwnerError("This kind of message cannot be sent to WhatsApp yet.")
    wanted = (*sized(jids.jid(resolve(session, chat))), *sized(message))
    answer = read("SendMessageReturnFunction", session.call(lambda go, me: go.ask("SendMessage", me, *wanted)))
    if problem := string(answer, "Error"):
        raise failures.of_send(problem)
    return port.Sent(string(answer, "SendResponse", "ID"), integer(answer, "SendResponse", "Timestamp"))


def mark_read(session: Session, chat: Address, sender: Address, ids: Sequence[str], now: int) -> None:
    """Send one receipt for all these messages."""
    plain = [id_ for id_ in ids if id_ and " " not in id_]
    if not plain:
        return
    chat_jid, sender_jid = sized(jids.jid(resolve(session, chat))), sized(jids.jid(resolve(session, sender)))
    arguments = (" ".join(plain).encode(), now, *chat_jid, *sender_jid, b"read")
    _told(session.call(lambda go, me: go.tell("MarkRead", me, *arguments)))


def typing(session: Session, chat: Address, state: TypingState) -> None:
    """Show the owner as writing, recording or neither."""
    arguments = (*sized(jids.jid(resolve(session, chat))), *STATES[state])
    _told(session.call(lambda go, me: go.tell("SendChatPresence", me, *arguments)))


def presence(session: Session, *, available: bool) -> bool:
    """Show the owner as there or not; False when WhatsApp does not know the owner's name yet: try again later."""
    word = b"available" if available else b"unavailable"
    problem = session.call(lambda go, me: go.tell("SendPresence", me, word))
    if NO_PUSH_NAME in problem:
        return False
    _told(problem)
    return True


def subscribe(session: Session, who: Address) -> None:
    """Ask for a contact's presence."""
    arguments = sized(jids.jid(resolve(session, who)))
    _told(session.call(lambda go, me: go.tell("SubscribePresence", me, *arguments)))


def lookup(session: Session, numbers: Sequence[str]) -> dict[str, Address | None]:
    """Find people by number."""
    found: dict[str, Address | None] = dict.fromkeys(numbers)
    wanted = " ".join(f"+{number}" for number in numbers).encode()
    answer = read("IsOnWhatsAppReturnFunction", session.call(lambda go, me: go.ask("IsOnWhatsApp", me, wanted)))
    if (problem := string(answer, "Error")) and "returned nothing" not in problem:
        raise failures.of_call(problem)
    for one in each(answer, "IsOnWhatsAppResponse"):
        number = string(one, "Query").removeprefix("+").partition("@")[0]
        who = jids.address(sub(one, "JID"))
        if number in found and flag(one, "IsIn") and who is not None:
            found[number] = Address(number=number, lid=who.lid)
    return found


def contacts(session: Session) -> port.Contacts:
    """Give the address book with numbers and LIDs put together; complete once any name has come from the phone."""
    answer = read("ContactsGetAllContactsReturnFunction", session.look(lambda go, me: go.ask("GetAllContacts", me)))
    if string(answer, "Error"):
        raise WhatsAppError("The address book cannot be read at the moment.")
    people: dict[str, port.Contact] = {}
    for one in each(answer, "Contact"):
        who = jids.address(sub(one, "JID"))
        if who is None or who.kind is Kind.GROUP:
            continue
        who = number_of(session, resolve(session, who))
        info = sub(one, "Info")
        name = string(info, "FullName") or string(info, "FirstName")
        push_name = string(info, "PushName") or string(info, "BusinessName")
        old = people.get(who.key, port.Contact(who))
        people[who.key] = port.Contact(who, old.name or name, old.push_name or push_name)
    entries = tuple(people[key] for key in sorted(people))
    return port.Contacts(entries, complete=any(one.name for one in entries))


def groups(session: Session) -> tuple[port.Contact, ...]:
    """Give the groups that the account is in, with their names; none when WhatsApp does not say."""
    answer = read("GetJoinedGroupsReturnFunction", session.call(lambda go, me: go.ask("GetJoinedGroups", me)))
    named = ((jids.address(sub(one, "JID")), string(one, "GroupName", "Name")) for one in each(answer, "Group"))
    return tuple(port.Contact(who, name) for who, name in named if who is not None and name)


def myself(session: Session) -> tuple[Address | None, str]:
    """Give the account's own address and push name; None before it is linked."""
    device = read("Device", session.look(lambda go, me: go.ask("GetMe", me)))
    if not has(device, "JID"):
        return None, ""
    return jids.address(sub(device, "JID"), sub(device, "LID")), string(device, "PushName")


def pair_by_number(session: Session, number: str) -> str:
    """Ask for the 8 letters."""
    wanted = neonize(
        "PairPhoneParams",
        phone=number,
        showPushNotification=True,
        clientType=CHROME,
        clientDisplayName=DISPLAY_NAME,
    )
    answer = read("PairPhoneReturnFunction", session.call(lambda go, me: go.ask("PairPhone", me, *sized(wanted))))
    if string(answer, "Error") or not string(answer, "Code"):
        raise WhatsAppError(failures.NO_CODE)
    return string(answer, "Code")


def logout(session: Session) -> None:
    """Remove this device at WhatsApp; its keys are deleted with it."""
    _told(session.call(lambda go, me: go.tell("Logout", me)))


def _told(problem: str) -> None:
    if problem:
        raise failures.of_call(problem)
