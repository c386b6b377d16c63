"""People in the journal against a plain model: numbers and LIDs find each other, names and listing survive it."""

import shutil
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from ponton_bridge.model.address import Address
from ponton_bridge.store.opening import open_store

NUMBERS = st.sampled_from(["49100001", "49100002", "49100003"])
LIDS = st.sampled_from(["71", "72", "73"])
ADDRESSES = st.one_of(
    NUMBERS.map(lambda number: Address(number=number)),
    LIDS.map(lambda lid: Address(lid=lid)),
    st.tuples(NUMBERS, LIDS).map(lambda both: Address(number=both[0], lid=both[1])),
)
NAMES = st.sampled_from(["", "Ann", "Bob", "Zoë"])


@dataclass(frozen=True)
class Person:
    """What is known of somebody."""

    number: str | None = None
    lid: str | None = None
    name: str = ""
    push_name: str = ""
    listed: bool = False


class PeopleMachine(RuleBasedStateMachine):
    """Model: a list of persons; no number and no LID stands for two of them."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="ponton-people-"))
        self.journal = open_store(self.folder, 1)
        self.people: list[Person] = []

    def teardown(self) -> None:
        """Close and clear away."""
        self.journal.close()
        shutil.rmtree(self.folder)

    def _by_lid(self, lid: str | None) -> Person | None:
        return next((person for person in self.people if lid and person.lid == lid), None)

    def _by_number(self, number: str | None) -> Person | None:
        return next((person for person in self.people if number and person.number == number), None)

    def _found(self, address: Address) -> Person | None:
        """Who is meant: the LID's person first, as WhatsApp goes by it."""
        return self._by_lid(address.lid) or self._by_number(address.number)

    def _meet(self, address: Address) -> Person:
        """One person of this address, joined from two or made where there was none."""
        by_lid, by_number = self._by_lid(address.lid), self._by_number(address.number)
        if by_lid and by_number and by_lid is not by_number and by_number.lid is None:
            self.people.remove(by_number)
            joined = replace(
                by_lid,
                name=by_lid.name or by_number.name,
                push_name=by_lid.push_name or by_number.push_name,
                listed=by_lid.listed or by_number.listed,
            )
            self.people[self.people.index(by_lid)] = by_lid = joined
        elif by_number and address.lid and by_number.lid not in {None, address.lid}:
            self.people[self.people.index(by_number)] = replace(by_number, number=None)
            by_number = None
        old = by_lid or by_number
        base = old or Person()
        new = replace(base, number=address.number or base.number, lid=address.lid or base.lid)
        if old:
            self.people[self.people.index(old)] = new
        else:
            self.people.append(new)
        return new

    def _put(self, old: Person, new: Person) -> None:
        self.people[self.people.index(old)] = new

    @rule(address=ADDRESSES, push_name=NAMES)
    def learn(self, address: Address, push_name: str) -> None:
        """Somebody writes: number, LID and push name as far as they are given."""
        self.journal.learn(address, push_name)
        if not (push_name or (address.number and address.lid)):
            return
        person = self._meet(address)
        if push_name:
            self._put(person, replace(person, push_name=push_name))

    @rule(address=ADDRESSES, name=NAMES, push_name=NAMES)
    def save(self, address: Address, name: str, push_name: str) -> None:
        """Somebody comes into the address book, or gets another name there."""
        self.journal.save_contact(address, name, push_name)
        person = self._meet(address)
        self._put(person, replace(person, name=name, push_name=push_name or person.push_name, listed=True))

    @rule(address=ADDRESSES)
    def forget(self, address: Address) -> None:
        """Somebody leaves the address book, under whichever address."""
        self.journal.forget_contact(address)
        for person in [p for p in self.people if p in (self._by_lid(address.lid), self._by_number(address.number))]:
            self._put(person, replace(person, name="", listed=False))

    @invariant()
    def agrees(self) -> None:
        """The address book, names and completions are the model's."""
        expected = {(Address(p.number, p.lid), p.name, p.push_name) for p in self.people if p.listed}
        assert expected == set(self.journal.contacts())
        for person in self.people:
            for address in (Address(number=person.number), Address(lid=person.lid)):
                if address.number or address.lid:
                    assert Address(person.number, person.lid) == self.journal.complete(address)
                    assert (person.name or person.push_name) == self.journal.name(address)
                    assert person.listed == (self.journal.contact(address) is not None)
        numbers = [p.number for p in self.people if p.number]
        assert len(numbers) == len(set(numbers))


TestPeople = PeopleMachine.TestCase
TestPeople.settings = settings(
    max_examples=60, stateful_step_count=30, deadline=None, suppress_health_check=list(HealthCheck)
)
