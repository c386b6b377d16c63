"""Handlers for what a phone's owner or a contact does. Called by `api`.

Each takes the house, the phone and the request's fields, and gives what becomes the JSON answer. Raises PhoneError,
Unknown or ValueError with a sentence for the caller.
"""

import asyncio

from google.protobuf import json_format

from tests.sandbox.control.fields import Fields
from tests.sandbox.control.house import House
from tests.sandbox.node import JID
from tests.sandbox.passkeys import Passkey, from_url_safe
from tests.sandbox.phones import content
from tests.sandbox.phones.appstate import Mutation
from tests.sandbox.phones.inbox import LIMIT, Json, Record
from tests.sandbox.phones.line import PhoneError
from tests.sandbox.phones.phone import Phone
from tests.sandbox.phones.reception import RECEIPTS, Habits
from tests.sandbox.proto import wa_sync_action

LINK_PATIENCE = 20.0  # seconds until a scan or a typed code counts as unanswered; a client needs one
MAX_WAIT = 60.0  # seconds that a long poll may last
MAX_BURST = 20_000  # messages; the inbox of the receiver holds as many
BREATH = 20  # messages of a burst at full speed between two turns of the loop


def described(phone: Phone) -> Json:
    """An account as the API shows it."""
    account = phone.line.account
    return {
        "number": f"+{account.pn.user}",
        "pn": str(account.pn),
        "lid": str(account.lid),
        "name": account.push_name,
        "on": phone.on,
        "last": phone.inbox.last,
        "echo": phone.habits.echo,
        "receipts": phone.habits.receipts,
        "app_state": phone.habits.app_state,
    }


def read_habits(fields: Fields, habits: Habits) -> Habits:
    """Take `echo` (seconds, below 0 for never) and `receipts` over into habits."""
    receipts = fields.text("receipts", habits.receipts)
    if receipts not in RECEIPTS:
        raise ValueError(f"'receipts' is one of {', '.join(RECEIPTS)}")
    habits.receipts = receipts
    if "echo" in fields:
        delay = fields.number("echo", least=-1)
        habits.echo = None if delay < 0 else delay
    return habits


async def show(_house: House, phone: Phone, _fields: Fields) -> Json:
    """Describe an account."""
    return described(phone)


async def settings(house: House, phone: Phone, fields: Fields) -> Json:
    """Change name, echo and receipts."""
    read_habits(fields, phone.habits)
    if "name" in fields:
        house.people.rename(phone, fields.text("name"))
    return described(phone)


async def contacts(house: House, phone: Phone, fields: Fields) -> list[Json]:
    """Put contacts into the address book, making those that do not exist."""
    return [described(friend) for friend in house.people.befriend(phone, fields.texts("contacts"))]


async def scan(_house: House, phone: Phone, fields: Fields) -> Json:
    """Scan a QR code and wait until the companion is linked or has refused, or (`wait` false) for nothing."""
    before = phone.inbox.last
    device = phone.linking.scan(fields.text("qr"))
    return await _linked(phone, before) if fields.flag("wait", default=True) else {"device": device}


async def type_code(_house: House, phone: Phone, fields: Fields) -> Json:
    """Type a pairing code and wait until the companion is linked or has refused."""
    before = phone.inbox.last
    await phone.linking.type_code(fields.text("code"))
    return await _linked(phone, before)


async def passkey(house: House, phone: Phone, fields: Fields) -> None:
    """Demand a passkey of whoever wants to be linked: credential and public key (uncompressed point) as base64url.

    Without a credential nothing is demanded any more.
    """
    account = house.router.world.account(phone.line.lid)
    if account is None:
        raise PhoneError("there is no such account")
    phone.linking.misshows = fields.flag("misshows", default=False)
    account.passkey = None
    if "credential" in fields:
        account.passkey = Passkey(
            from_url_safe(fields.text("credential")),
            from_url_safe(fields.text("public")),
            fields.count("timeout", 600_000, least=1),
            refuse=fields.flag("refuse", default=False),
            silent=fields.flag("silent", default=False),
        )


async def _linked(phone: Phone, before: int) -> Json:
    """The outcome of an attempt to link, from the records after number `before`."""
    deadline = asyncio.get_running_loop().time() + LINK_PATIENCE
    while (left := deadline - asyncio.get_running_loop().time()) > 0:
        for record in await phone.inbox.wait(before, left):
            before = record.n
            if record.kind == "companion_linked":
                return {"device": record.fields["device"]}
            if record.kind == "companion_refused":
                raise PhoneError(f"the companion was not linked: {record.fields['reason']}")
    raise PhoneError("the companion did not answer")


async def devices(house: House, phone: Phone, _fields: Fields) -> list[Json]:
    """The companions, and how they are."""
    account = house.router.world.account(phone.line.lid)
    return [
        {
            "device": device.number,
            "connected": device.session is not None,
            "active": device.active,
            "available": device.available,
            "logins": device.logins,
            "waiting": len(device.outbox),
            "prekeys": len(device.prekeys),
        }
        for device in (account.devices.values() if account else ())
    ]


async def unlink(house: House, phone: Phone, fields: Fields) -> Json:
    """Remove one companion, or all."""
    numbers = [n for n in house.router.devices(phone.line.lid) if n]
    wanted = [fields.count("device", least=1)] if "device" in fields else numbers
    for number in wanted:
        if number not in numbers:
            raise PhoneError(f"there is no companion {number}")
        phone.unlink(number)
    return {"removed": wanted}


async def send(house: House, phone: Phone, fields: Fields) -> Json:
    """Send a text, or any message as protobuf JSON."""
    given = fields.object("message")
    if ("text" in fields) == (given is not None):
        raise ValueError("a message has either 'text' or 'message'")
    message = content.from_json(given) if given is not None else content.text_message(fields.text("text"))
    return {"id": phone.send(_to(house, fields), message, fields.text("id", ""))}


async def burst(house: House, phone: Phone, fields: Fields) -> Json:
    """Send numbered texts at a rate (per second, 0 for as fast as possible); answers when all are sent."""
    count, rate = fields.count("count", least=1), fields.number("rate", 0)
    if count > MAX_BURST:
        raise ValueError(f"a burst has at most {MAX_BURST} messages")
    to, prefix = _to(house, fields), fields.text("prefix", "")
    loop = asyncio.get_running_loop()
    start, ids = loop.time(), []
    for number in range(count):
        ids.append(phone.send(to, content.text_message(f"{prefix}{number}")))
        if (seconds := pause(number + 1, rate, loop.time() - start)) is not None:
            await asyncio.sleep(seconds)
    return {"ids": ids}


def pause(sent: int, rate: float, elapsed: float) -> float | None:
    """How long to wait before the next message of a burst, None for not at all.

    Keeps to the rate from the start on, so that a late message is made up for; lets others run now and then.
    """
    ahead = sent / rate - elapsed if rate else 0
    if ahead > 0:
        return ahead
    return 0 if sent % BREATH == 0 else None


async def typing(house: House, phone: Phone, fields: Fields) -> None:
    """Show composing, recording or paused in a chat."""
    phone.typing(_to(house, fields), fields.text("state"))


async def receipts(house: House, phone: Phone, fields: Fields) -> None:
    """Send a receipt for messages of somebody: read, played, or delivered."""
    ids = fields.texts("ids")
    if not ids:
        raise ValueError("'ids' names at least one message")
    kind = fields.text("type", "read")
    phone.receipt(_to(house, fields), ids, "" if kind == "delivered" else kind)


async def presence(_house: House, phone: Phone, fields: Fields) -> None:
    """Come online or leave."""
    phone.presence(fields.text("type"))


async def subscribe(house: House, phone: Phone, fields: Fields) -> None:
    """Ask for somebody's presence."""
    phone.subscribe(_to(house, fields))


async def power(_house: House, phone: Phone, fields: Fields) -> None:
    """Switch the phone on or off."""
    phone.switch(on=fields.flag("on"))


async def app_state(_house: House, phone: Phone, fields: Fields) -> None:
    """Change an entry of the app state: `value` is a SyncActionValue as protobuf JSON."""
    try:
        value = json_format.ParseDict(dict(fields.object("value") or {}), wa_sync_action.SyncActionValue())
    except json_format.ParseError as error:
        raise ValueError(f"not an app-state value: {error}") from error
    removed = fields.flag("removed", default=False)
    index, version = tuple(fields.texts("index")), fields.count("version", 1)
    phone.change([(fields.text("collection"), Mutation(index, value, version, removed=removed))])


async def inbox(_house: House, phone: Phone, fields: Fields) -> Json:
    """The records after number `since`, of some kinds only; waits up to `wait` seconds until there are `count`.

    `last` is where to go on: the number of the last record that was looked at. With `details` 0 a record says what it
    always says, and not what takes time to write (a message's content as JSON).
    """
    since, limit = fields.count("since", 0), fields.count("limit", LIMIT, least=1)
    enough, details = min(limit, fields.count("count", 1, least=1)), bool(fields.count("details", 1))
    kinds = set(filter(None, fields.text("kinds", "").split(",")))
    loop = asyncio.get_running_loop()
    deadline = loop.time() + min(fields.number("wait", 0), MAX_WAIT)
    found: list[Record] = []
    while True:
        seen = await phone.inbox.wait(since, max(deadline - loop.time(), 0))
        found += [record for record in seen if not kinds or record.kind in kinds]
        since = seen[-1].n if seen else since
        if len(found) >= enough or loop.time() >= deadline:
            kept = found[:limit]
            last = kept[-1].n if len(kept) == limit else since
            return {"records": [record.as_json(details=details) for record in kept], "last": last}


def _to(house: House, fields: Fields) -> JID:
    return house.people.find(fields.text("to")).line.lid
