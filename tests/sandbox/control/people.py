"""The people in the box: accounts with phones, made and found by name or number.

Called by `api`. A contact is an account like any other; it is made when somebody has it in the address book.
"""

import os
from collections.abc import Iterable, Iterator

from tests.sandbox.node import JID, SERVER, StanzaError
from tests.sandbox.phones import appstate
from tests.sandbox.phones.phone import Later, Phone
from tests.sandbox.phones.reception import Habits
from tests.sandbox.router import Router
from tests.sandbox.signal.kdf import Random
from tests.sandbox.world import World

FIRST_NUMBER = 33_612_000_001  # a valid French mobile number, so that the product's checks let it pass


class Unknown(LookupError):
    """No account has this name, number or address."""


class People:
    """All phones of one world."""

    def __init__(self, world: World, router: Router, *, later: Later, random: Random = os.urandom) -> None:
        self.world, self.router = world, router
        self._later, self._random = later, random
        self._phones: dict[JID, Phone] = {}  # by LID
        self._names: dict[str, Phone] = {}
        self._next = FIRST_NUMBER

    def __iter__(self) -> Iterator[Phone]:
        return iter(self._phones.values())

    def __len__(self) -> int:
        return len(self._phones)

    def create(
        self, name: str = "", number: str = "", contacts: Iterable[str] = (), habits: Habits | None = None
    ) -> Phone:
        """Make an account with a phone; without a number it gets the next free one.

        `contacts` are names or numbers of its address book; those that do not exist yet are made. Raises
        ValueError for a number that is none or is taken.
        """
        digits = _digits(number) if number else self._free_number()
        account = self.world.add_account(digits, push_name=name)
        phone = Phone(account, self.router, random=self._random, later=self._later, habits=habits)
        account.phone = phone
        self._phones[account.lid] = phone
        if name:
            self._names.setdefault(name, phone)
        if phone.habits.app_state and name:
            phone.rename(name)
        self.befriend(phone, contacts)
        return phone

    def befriend(self, phone: Phone, contacts: Iterable[str]) -> list[Phone]:
        """Put contacts, by name or number, into a phone's address book; gives their phones."""
        friends = {text: self.contact(text) for text in contacts}
        if friends and phone.habits.app_state:
            entries = ((str(f.line.account.pn), str(f.line.lid), text) for text, f in friends.items())
            phone.change([appstate.contact(*entry) for entry in entries])
        return list(friends.values())

    def contact(self, text: str) -> Phone:
        """The contact of this name or number, made now if there is none."""
        try:
            return self.find(text)
        except Unknown:
            return self.create(number=text) if _is_number(text) else self.create(name=text)

    def find(self, text: str) -> Phone:
        """The phone behind a number (with or without plus), an address or a name; raises Unknown."""
        if (named := self._names.get(text)) is not None:
            return named
        if _is_number(text):
            text = f"{_digits(text)}@{SERVER}"
        try:
            account = self.world.account(JID.parse(text))
        except StanzaError:
            account = None
        if account is None or account.lid not in self._phones:
            raise Unknown(f"nobody here is {text!r}")
        return self._phones[account.lid]

    def rename(self, phone: Phone, name: str) -> None:
        """Change a push name, by which the account is found from now on."""
        self._names = {known: p for known, p in self._names.items() if p is not phone}
        phone.rename(name)
        self._names.setdefault(name, phone)

    def _free_number(self) -> str:
        while self.world.account(JID(str(self._next), SERVER)) is not None:
            self._next += 1
        return str(self._next)


def _is_number(text: str) -> bool:
    return text.removeprefix("+").isdecimal()


def _digits(text: str) -> str:
    digits = text.removeprefix("+")
    if not digits.isdecimal() or digits.startswith("0"):
        raise ValueError(f"a number is written as +33612000001, not {text!r}")
    return digits
