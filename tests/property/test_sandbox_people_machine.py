"""People made, renamed and befriended in any order are found by what they are called, and by nothing else."""

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from tests.sandbox.control.people import People, Unknown
from tests.sandbox.phones.phone import Phone
from tests.unit.sandbox_box import Box

names = st.sampled_from(["Alice", "Bob", "Carol", "Dora Example"])
numbers = st.integers(33_612_000_001, 33_612_000_009).map(str)


class Town(RuleBasedStateMachine):
    """A registry beside two dictionaries."""

    @initialize()
    def begin(self) -> None:
        """Nobody lives here yet."""
        box = Box()
        self.people = People(box.world, box.router, later=box.later, random=box.random.randbytes)
        self.called: dict[str, Phone] = {}
        self.numbered: dict[str, Phone] = {}

    def _moved_in(self, phone: Phone, name: str) -> None:
        self.numbered[phone.line.account.pn.user] = phone
        if name:
            self.called.setdefault(name, phone)

    @rule(name=names | st.just(""), number=numbers | st.just(""))
    def create(self, name: str, number: str) -> None:
        """Make somebody, unless the number is taken."""
        if number in self.numbered:
            with pytest.raises(ValueError, match="taken"):
                self.people.create(name, number)
        else:
            self._moved_in(self.people.create(name, number), name)

    @rule(name=names)
    def meet(self, name: str) -> None:
        """Ask for a contact by name: the one there is, or a new one."""
        met = self.people.contact(name)
        if name in self.called:
            assert self.called[name] is met
        else:
            self._moved_in(met, name)

    @rule(number=numbers)
    def dial(self, number: str) -> None:
        """Ask for a contact by number: the one there is, or a new one."""
        dialled = self.people.contact(f"+{number}")
        if number in self.numbered:
            assert self.numbered[number] is dialled
        else:
            self._moved_in(dialled, "")

    @rule(number=numbers, name=names)
    def rename(self, number: str, name: str) -> None:
        """Give somebody another name; an older bearer keeps his."""
        if (phone := self.numbered.get(number)) is None:
            return
        self.people.rename(phone, name)
        self.called = {known: p for known, p in self.called.items() if p is not phone}
        self.called.setdefault(name, phone)
        assert name == phone.line.account.push_name

    @rule(number=numbers, friends=st.lists(names, unique=True, max_size=3))
    def befriend(self, number: str, friends: list[str]) -> None:
        """Fill an address book; it lists exactly those, under the names that were given."""
        if (phone := self.numbered.get(number)) is None:
            return
        made = self.people.befriend(phone, friends)
        for name, friend in zip(friends, made, strict=True):
            if name not in self.called:
                self._moved_in(friend, name)
            entry = phone.book.replicas["critical_unblock_low"].value("contact", str(friend.line.account.pn))
            assert entry is not None
            assert entry.contactAction.fullName in friends

    @invariant()
    def found(self) -> None:
        """Finds everybody by name, number and address, and nobody else."""
        assert len(self.numbered) == len(self.people)
        for name, phone in self.called.items():
            assert phone is self.people.find(name)
        for number, phone in self.numbered.items():
            for text in (number, f"+{number}", str(phone.line.lid), str(phone.line.account.pn)):
                assert phone is self.people.find(text)
        with pytest.raises(Unknown):
            self.people.find("Nobody")


TestTown = Town.TestCase
TestTown.settings = settings(max_examples=40, stateful_step_count=30, deadline=None)
