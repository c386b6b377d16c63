"""Who is who in the journal: numbers, LIDs, names, the address book, and keys that move."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from ponton_bridge.features.context import ContactBook, Keeper
from ponton_bridge.model.address import Address
from ponton_bridge.model.books import IdBook
from ponton_bridge.store import people
from ponton_bridge.store.journal import Journal
from ponton_bridge.store.part import PRUNE_EVERY
from tests.unit.store_kit import pair, store

NUMBER, LID = Address(number="491700001"), Address(lid="77")
BOTH = Address(number="491700001", lid="77")
GROUP = Address(group="120363000000000001")


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    """A fresh journal."""
    with store(tmp_path) as made:
        yield made


@pytest.mark.parametrize("address", [NUMBER, LID, BOTH, GROUP])
def test_knows_nobody_at_first(journal: Journal, address: Address) -> None:
    """A stranger's address is given back as it is, without a name."""
    assert address == journal.complete(address)
    assert "" == journal.name(address)


@pytest.mark.parametrize("address", [NUMBER, LID, BOTH])
def test_completes_what_was_learned(journal: Journal, address: Address) -> None:
    """Once number and LID are known to be one person, either gives both."""
    journal.learn(BOTH)
    assert BOTH == journal.complete(address)
    assert "77@lid" == journal.canonical(NUMBER.key)


def test_learning_half_is_nothing(journal: Journal) -> None:
    """A bare number or LID teaches nothing, a group neither."""
    for address in (NUMBER, LID, GROUP):
        journal.learn(address)
    assert 0 == journal.db.execute("SELECT count(*) FROM person").fetchone()[0]


def test_push_names(journal: Journal) -> None:
    """The name they call themselves is kept, and the newest counts."""
    journal.learn(LID, "Ann")
    journal.learn(BOTH, "Annie")
    assert "Annie" == journal.name(NUMBER)
    journal.learn(BOTH)
    assert "Annie" == journal.name(LID)


def test_the_address_book_goes_first(journal: Journal) -> None:
    """The name in the owner's address book is shown before the one they call themselves."""
    journal.learn(BOTH, "xX_ann_Xx")
    journal.save_contact(NUMBER, "Ann Miller")
    assert "Ann Miller" == journal.name(LID)
    journal.save_contact(NUMBER, "", "Annie")
    assert "Annie" == journal.name(LID)


def test_lists_contacts(journal: Journal) -> None:
    """The address book lists whom it holds, complete, and nobody else."""
    journal.save_contact(NUMBER, "Ann", "A")
    journal.learn(BOTH)
    journal.learn(Address(lid="88"), "Stranger")
    journal.save_contact(Address(lid="99"), "Bob")
    journal.save_contact(GROUP, "A group")
    assert [(BOTH, "Ann", "A"), (Address(lid="99"), "Bob", "")] == journal.contacts()


def test_finds_one_contact(journal: Journal) -> None:
    """A contact saved under number or LID is found under either; a stranger is none, whatever is known of them."""
    journal.save_contact(NUMBER, "Ann")
    journal.learn(BOTH, "Annie")
    journal.learn(Address(lid="88"), "Stranger")
    for address in (NUMBER, LID, BOTH):
        assert (BOTH, "Ann", "Annie") == journal.contact(address)
    assert journal.contact(Address(lid="88")) is None
    assert journal.contact(GROUP) is None


def test_forgets_a_contact(journal: Journal) -> None:
    """Who leaves the address book keeps number, LID and push name."""
    journal.learn(BOTH)
    journal.save_contact(NUMBER, "Ann", "Annie")
    journal.forget_contact(LID)
    assert [] == journal.contacts()
    assert "Annie" == journal.name(NUMBER)
    assert BOTH == journal.complete(LID)


def test_forgetting_a_stranger_changes_nothing(journal: Journal) -> None:
    """An address without number does not match people without number."""
    journal.save_contact(LID, "Ann")
    journal.forget_contact(Address(lid="1"))
    journal.forget_contact(Address(number="1"))
    assert 1 == len(journal.contacts())


def test_two_rows_become_one_person(journal: Journal) -> None:
    """A contact by number and a stranger by LID turn out to be one: names and listing are joined."""
    journal.save_contact(NUMBER, "Ann")
    journal.learn(LID, "Annie")
    journal.learn(BOTH)
    assert [(BOTH, "Ann", "Annie")] == journal.contacts()


def test_a_number_with_a_new_owner(journal: Journal) -> None:
    """A number that comes with another LID belongs to that one from now on; the old LID stays, without number."""
    journal.learn(BOTH, "Ann")
    journal.learn(Address(number=NUMBER.number, lid="500"), "Zoe")
    assert "Zoe" == journal.name(NUMBER)
    assert LID == journal.complete(LID)
    assert "Ann" == journal.name(LID)


def test_a_number_given_to_somebody_known(journal: Journal) -> None:
    """The same between two people who are both known: the number moves, nobody is lost."""
    journal.learn(BOTH, "Ann")
    journal.learn(Address(number="49222", lid="500"), "Zoe")
    journal.learn(Address(number=NUMBER.number, lid="500"))
    assert Address(number=NUMBER.number, lid="500") == journal.complete(NUMBER)
    assert LID == journal.complete(LID)
    assert Address(number="49222") == journal.complete(Address(number="49222"))


def test_somebody_with_a_new_number(journal: Journal) -> None:
    """A LID that comes with another number has moved to it."""
    journal.learn(BOTH, "Ann")
    journal.learn(Address(number="49222", lid="77"))
    assert Address(number="49222", lid="77") == journal.complete(LID)
    assert "Ann" == journal.name(Address(number="49222"))
    assert NUMBER == journal.complete(NUMBER)


def test_keys_move_to_the_lid(journal: Journal) -> None:
    """What was kept under the number is found under either, and a redelivery is still one."""
    journal.seen(NUMBER.key, NUMBER.key, "W", "message")
    journal.remember(pair("W", "X", chat=NUMBER.key))
    journal.learn(BOTH)
    moved = pair("W", "X", chat=LID.key)
    assert moved == journal.by_whatsapp(LID.key, "W") == journal.by_whatsapp(NUMBER.key, "W")
    assert [moved] == journal.unread_until(NUMBER.key, "X")
    assert not journal.seen(LID.key, LID.key, "W", "message")
    assert not journal.seen(NUMBER.key, NUMBER.key, "W", "message")


def test_the_owners_messages_keep_their_sender(journal: Journal) -> None:
    """Moving a chat leaves the owner as the sender of the owner's messages."""
    journal.remember(pair("W", "X", chat=NUMBER.key, sender="me@lid", from_me=True))
    journal.learn(BOTH)
    assert pair("W", "X", chat=LID.key, sender="me@lid", from_me=True) == journal.by_xmpp(LID.key, "X")


def test_moving_meets_the_same_message(journal: Journal) -> None:
    """A message known under both keys is one afterwards."""
    journal.remember(pair("W", "X1", chat=LID.key))
    journal.remember(pair("W", "X2", chat=NUMBER.key))
    journal.learn(BOTH)
    assert pair("W", "X1", chat=LID.key) == journal.by_whatsapp(NUMBER.key, "W")
    assert 1 == journal.db.execute("SELECT count(*) FROM pair").fetchone()[0]


def test_marks_read_under_either_key(journal: Journal) -> None:
    """Pairs taken before the LID was known are marked read after it."""
    journal.remember(pair("W", "X", chat=NUMBER.key))
    unread = journal.unread_until(NUMBER.key, "X")
    journal.learn(BOTH)
    journal.mark_read(unread)
    assert [] == journal.unread_until(LID.key, "X")


def test_what_waits_keeps_its_key_of_order(journal: Journal) -> None:
    """Rows for WhatsApp keep the key under which they wait, so that their order cannot break."""
    journal.take("gen", 1, [(NUMBER.key, "<a/>")])
    journal.learn(BOTH)
    assert NUMBER.key == journal.pending(1)[0].chat


def test_long_names_are_cut(journal: Journal) -> None:
    """A name without end does not fill the disk."""
    journal.save_contact(LID, "n" * 10_000, "p" * 10_000)
    (found,) = journal.contacts()
    assert (LID, "n" * people.NAME_MAX, "p" * people.NAME_MAX) == found


def test_strangers_are_bounded(journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    """A flood of strangers forgets the oldest of them, never a contact."""
    monkeypatch.setattr(people, "PEOPLE_MAX", 200)
    monkeypatch.setattr(people, "CONTACTS_MAX", 100)
    journal.save_contact(LID, "Ann")
    for n in range(1000, 2500):
        journal.learn(Address(lid=str(n)), "Stranger")
    assert 300 + PRUNE_EVERY >= journal.db.execute("SELECT count(*) FROM person").fetchone()[0]
    assert "Ann" == journal.name(LID)
    assert "" == journal.name(Address(lid="1000"))
    assert "Stranger" == journal.name(Address(lid="2499"))


def test_the_address_book_is_bounded(journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond the bound people are known by name, but not listed."""
    monkeypatch.setattr(people, "CONTACTS_MAX", 100)
    for n in range(1000, 1000 + 100 + 2 * PRUNE_EVERY):
        journal.save_contact(Address(lid=str(n)), f"N{n}")
    assert len(journal.contacts()) <= 100 + PRUNE_EVERY
    assert "N1500" == journal.name(Address(lid="1500"))


def test_is_the_book_that_features_ask_for(journal: Journal) -> None:
    """The journal can stand wherever features want a book of ids, of addresses, or a keeper."""
    stands_for: tuple[ContactBook, IdBook, Keeper] = (journal, journal, journal)
    for protocol in (ContactBook, IdBook, Keeper):
        missing = [name for name in vars(protocol) if not name.startswith("_") and not hasattr(journal, name)]
        assert [] == missing
    assert 3 == len(stands_for)
