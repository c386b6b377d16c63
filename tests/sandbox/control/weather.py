"""Handlers for what belongs to no single phone: accounts, faults, raw stanzas, the trace and the statistics.

Called by `api`. Each takes the house and the request's fields, and gives what becomes the JSON answer.
"""

from itertools import islice

from tests.sandbox.control import stanzas
from tests.sandbox.control.fields import Fields
from tests.sandbox.control.house import House
from tests.sandbox.control.owner import MAX_WAIT, described, read_habits
from tests.sandbox.faults import KINDS, Fault, Point
from tests.sandbox.node import JID
from tests.sandbox.phones.inbox import Json
from tests.sandbox.phones.reception import Habits
from tests.sandbox.world import TRACE_LENGTH


async def create(house: House, fields: Fields) -> Json:
    """Make an account with a phone and an address book."""
    habits = read_habits(fields, Habits(app_state=fields.flag("app_state", default=True)))
    number, contacts = fields.text("number", ""), fields.texts("contacts", [])
    return described(house.people.create(fields.text("name", ""), number, contacts, habits))


async def accounts(house: House, _fields: Fields) -> list[Json]:
    """All accounts, contacts included."""
    return [described(phone) for phone in house.people]


async def contact(house: House, fields: Fields) -> Json:
    """The account of a contact by name or number, made if there is none."""
    return described(house.people.contact(fields.text("name")))


async def fault(house: House, fields: Fields) -> Json:
    """Turn a fault knob; one that acts on live sessions acts at once and says on how many."""
    name, scope = fields.text("name"), _scope(house, fields)
    if KINDS.get(name) is Point.LIVE:
        return {"struck": house.router.companions.strike(name, scope)}
    count = fields.count("count", least=1) if "count" in fields else None
    turned = house.router.faults.add(name, scope, count, fields.count("value", 0), fields.text("match", ""))
    return _fault(turned)


async def faults(house: House, _fields: Fields) -> list[Json]:
    """The knobs that are turned."""
    return [_fault(each) for each in house.router.faults.turned]


async def clear(house: House, _fields: Fields) -> None:
    """Turn every knob back and let frozen sessions go on."""
    house.router.faults.clear()
    house.router.companions.thaw()


async def stanza(house: House, fields: Fields) -> None:
    """Deliver a raw stanza to one device, as if the server had made it."""
    to = _scope(house, fields, "to")
    if to is None:
        raise ValueError("'to' names a device: a number, and behind a colon the device")
    house.router.delivery.to_device(to, stanzas.read(fields.object("stanza")))


async def trace(house: House, fields: Fields) -> Json:
    """What happened after number `since`: to one account or device, of some events, at most `limit` entries.

    Waits up to `wait` seconds until there is something after `since`.
    """
    since, who = fields.count("since", 0), _scope(house, fields, "who")
    events = set(filter(None, fields.text("events", "").split(",")))
    limit = fields.count("limit", TRACE_LENGTH, least=1)
    if house.recorded <= since and (wait := fields.number("wait", 0)):
        await house.bell.wait(min(wait, MAX_WAIT))
    entries, last = house.router.world.trace, house.recorded
    wanted = (
        (n, entry)
        for n, entry in enumerate(entries, last - len(entries) + 1)
        if n > since
        and (not events or entry.event in events)
        and (who is None or (entry.who is not None and who in {entry.who, entry.who.bare}))
    )
    found = [stanzas.traced(*each) for each in islice(wanted, limit)]
    return {"entries": found, "last": found[-1]["n"] if len(found) == limit else last}


async def stats(house: House, _fields: Fields) -> Json:
    """Counts over everything since the start, and how things stand now."""
    world = house.router.world
    devices = [device for account in world.accounts() for device in account.devices.values()]
    return {
        "accounts": len(house.people),
        "devices": len(devices),
        "connected": sum(device.session is not None for device in devices),
        "waiting": sum(len(device.outbox) for device in devices),
        "counts": dict(world.counts),
        "unimplemented": dict(world.unimplemented),
    }


def _fault(turned: Fault) -> Json:
    return {
        "name": turned.kind,
        "scope": str(turned.scope) if turned.scope else None,
        "left": turned.left,
        "value": turned.value,
        "match": turned.match,
    }


def _scope(house: House, fields: Fields, name: str = "scope") -> JID | None:
    """A device (`+336..:2`) or account (number, name or address) as a LID; None where nothing is given."""
    text = fields.text(name, "")
    if not text:
        return None
    who, colon, device = text.rpartition(":")
    if colon and device.isdecimal():
        return house.people.find(who).line.lid.of_device(int(device))
    return house.people.find(text).line.lid
