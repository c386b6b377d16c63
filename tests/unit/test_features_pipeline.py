"""The list of features is whole, and what they make is put together in an order that makes sense to a client."""

import importlib
import inspect
import pkgutil
from types import ModuleType

from ponton_bridge import features
from ponton_bridge.features import pipeline
from ponton_bridge.features.context import Rendered
from ponton_bridge.model.address import Address
from ponton_bridge.model.books import Pair
from ponton_bridge.whatsapp import port
from ponton_bridge.whatsapp.port import Text
from tests.unit.dialogue import ANA, BOB, FAMILY, HIDDEN, NOW, Books, Dialogue, from_ana, parse, xml


def modules() -> list[ModuleType]:
    """All features, one a file."""
    names = [module.name for module in pkgutil.iter_modules(features.__path__)]
    return [importlib.import_module(f"{features.__name__}.{name}") for name in names]


def test_no_feature_is_forgotten() -> None:
    """Whatever offers to render an event or to take a stanza is in the pipeline."""
    rendering = {module.from_whatsapp for module in modules() if hasattr(module, "from_whatsapp")}
    assert rendering - {pipeline.from_whatsapp} == set(pipeline.FEATURES)
    source = inspect.getsource(pipeline)
    taking = [module.__name__.rpartition(".")[2] for module in modules() if hasattr(module, "from_xmpp")]
    assert all(f"{name}.from_xmpp" in source for name in taking if name != "pipeline")


def test_files_stay_small() -> None:
    """One feature, one file that can be read in one go."""
    assert all(len(inspect.getsource(module).splitlines()) <= 220 for module in modules())


def test_newcomer_is_in_the_roster_before_the_message() -> None:
    """A client that gets the roster push first shows the message under the contact's name."""
    heard = Dialogue().hears(from_ana("3EB001", Text("hi"), push_name="Ana"))
    assert ["iq", "message", "presence"] == [parse(each).tag.rpartition("}")[2] for each in heard]


def test_number_is_known_before_the_message_is_shown() -> None:
    """The message that reveals a hidden contact's number comes from the JID with the number already."""
    bridge = Dialogue().knows(HIDDEN)
    whole = Address(number="4915112345678", lid=HIDDEN.lid)
    heard = [parse(each) for each in bridge.hears(from_ana("3EB001", Text("hi"), chat=whole, sender=whole))]
    senders = [each.get("from") for each in heard if each.tag.endswith("message")]
    assert ["+4915112345678@wa.example.test/whatsapp"] == senders


def test_every_person_an_event_names_is_learned() -> None:
    """Chat, sender, reader, caller and the people of an address book teach number and LID."""
    who = Address(number="4915112345678", lid="77")
    events: list[port.Event] = [
        port.Message("3EB001", FAMILY, who, Text("hi"), NOW),
        port.Undecryptable("3EB001", FAMILY, who, NOW),
        port.Receipt(FAMILY, who, ("3EB001",), port.ReceiptKind.READ, NOW),
        port.Typing(FAMILY, who, port.TypingState.PAUSED),
        port.Presence(who, available=True),
        port.Contacts((port.Contact(who, "W"),)),
        port.Call("C1", who, NOW),
    ]
    for event in events:
        bridge = Dialogue()
        bridge.hears(event)
        assert who == bridge.books.complete(Address(lid="77"))


def test_keeping_writes_everything() -> None:
    """Contacts, settings, pairs and read marks all reach the journal; nothing is written for an empty result."""
    pair = Pair("1001@lid", "3EB001", "3EB001", "1001@lid", from_me=False, time=NOW)
    books = Books()
    books.save_contact(BOB, "Bob", "")
    done = Rendered(saved=[(ANA, "Ana", "a")], forgotten=[BOB], settings=[("k", "v")], pairs=[pair], read=[pair])
    pipeline.keep(done, books)
    pipeline.keep(Rendered(), books)
    assert [(ANA, "Ana", "a")] == list(books.contacts())
    assert ("v", [pair], {("1001@lid", "3EB001")}) == (books.get("k"), books.pairs, books.read)


def test_results_are_put_together() -> None:
    """Adding keeps each list in order."""
    one = parse("<message id='1'/>")
    two = parse("<message id='2'/>")
    done = Rendered(durable=[one])
    done.add(Rendered(durable=[two], forgotten=[ANA]))
    assert (["1", "2"], [ANA]) == ([each.get("id") for each in done.durable], done.forgotten)
    assert xml(one) != xml(two)
