"""People of the sandbox: made by name or number, found again, in each other's address books."""

import pytest

from tests.sandbox.control.people import FIRST_NUMBER, People, Unknown
from tests.sandbox.phones.reception import Habits
from tests.unit.sandbox_box import Box


@pytest.fixture
def people() -> People:
    """Nobody yet."""
    box = Box()
    return People(box.world, box.router, later=box.later, random=box.random.randbytes)


def names(people: People, who: str) -> dict[str, str]:
    """The address book of somebody: full name by PN."""
    book = people.find(who).book.replicas["critical_unblock_low"]
    return {e.mutation.index[1]: e.mutation.value.contactAction.fullName for e in book.entries.values()}


def test_numbers_are_handed_out_and_never_twice(people: People) -> None:
    """Gives the next free number, leaving out those that were chosen."""
    chosen = people.create("Chosen", f"+{FIRST_NUMBER + 1}")
    first, second = people.create("A"), people.create("B")
    numbers = [phone.line.account.pn.user for phone in (chosen, first, second)]
    assert [str(FIRST_NUMBER + n) for n in (1, 0, 2)] == numbers
    assert 3 == len(people) == len(list(people))


@pytest.mark.parametrize("number", ["0612000001", "+33x", "+", "33 6"])
def test_refuses_what_is_no_number(people: People, number: str) -> None:
    """Wants numbers with their country."""
    with pytest.raises(ValueError, match="a number is written as"):
        people.create("Alice", number)


def test_refuses_a_number_that_is_taken(people: People) -> None:
    """Says that a number belongs to somebody."""
    people.create("Alice", "+33612999999")
    with pytest.raises(ValueError, match="taken"):
        people.create("Bob", "33612999999")


def test_finds_by_every_name(people: People) -> None:
    """Finds by name, by number with and without plus, and by both addresses."""
    alice = people.create("Alice", "+33612999999")
    account = alice.line.account
    for text in ("Alice", "+33612999999", "33612999999", str(account.pn), str(account.lid)):
        assert alice is people.find(text)


@pytest.mark.parametrize("text", ["Nobody", "+33612345678", "12@lid", "", "a@b@c"])
def test_says_who_is_unknown(people: People, text: str) -> None:
    """Raises Unknown with the name that was asked for."""
    with pytest.raises(Unknown, match="nobody here is"):
        people.find(text)


def test_the_first_of_a_name_keeps_it(people: People) -> None:
    """Finds the first of two with the same name, the other by number."""
    first, second = people.create("Alice"), people.create("Alice")
    assert first is people.find("Alice")
    assert second is people.find(str(second.line.account.pn))


def test_a_renamed_account_is_found_by_its_new_name(people: People) -> None:
    """Gives the old name free."""
    alice = people.create("Alice")
    people.rename(alice, "Alicia")
    assert alice is people.find("Alicia")
    with pytest.raises(Unknown):
        people.find("Alice")
    pushed = alice.book.replicas["critical_block"].value("setting_pushName")
    assert pushed is not None
    assert "Alicia" == pushed.pushNameSetting.name


def test_contacts_are_made_and_put_into_the_address_book(people: People) -> None:
    """Makes contacts that do not exist, by name or number, and takes those that do."""
    bob = people.create("Bob")
    people.create("Alice", contacts=["Bob", "Carol", "+33612777777"])
    carol, nameless = people.find("Carol"), people.find("+33612777777")
    assert {
        str(bob.line.account.pn): "Bob",
        str(carol.line.account.pn): "Carol",
        str(nameless.line.account.pn): "+33612777777",
    } == names(people, "Alice")
    assert ("", 4) == (nameless.line.account.push_name, len(people))


def test_a_phone_without_app_state_has_friends_but_no_book(people: People) -> None:
    """Makes the contacts all the same."""
    people.create("Alice", contacts=["Bob"], habits=Habits(app_state=False))
    assert ({}, "Bob") == (names(people, "Alice"), people.find("Bob").line.account.push_name)


def test_a_contact_is_made_once(people: People) -> None:
    """Gives the same phone for the same name or number."""
    assert people.contact("Bob") is people.contact("Bob")
    assert people.contact("+33612777777") is people.contact("33612777777")
