"""Who is who: number and LID of a person, names, and who is in the owner's address book. Part of `journal.Journal`.

A person is met under a number, a LID or both. Once both are known, what was kept under the number's key moves to
the LID's, so that ids and redeliveries are found under either.
"""

import sqlite3
from collections.abc import Callable
from typing import Final

from ponton_bridge.model.address import Address
from ponton_bridge.store.part import PRUNE_EVERY, PRUNE_ROWS, Part

Listed = tuple[Address, str, str]  # address, name in the phone's address book or '', push name or ''
Row = tuple[int, str | None, str | None, str, str, int]  # id, number, lid, name, push name, listed
KNOWN_MAX: Final = 256  # rows remembered in memory, about 50 KiB
PEOPLE_MAX: Final = 50_000  # rows that are no contacts (members of groups, mostly), about 10 MiB
CONTACTS_MAX: Final = 20_000  # rows in the address book; phones hold a few thousand
NAME_MAX: Final = 200  # characters of a name; WhatsApp's own limit is 25, the phone's address book has none
_NUMBER: Final = "@s.whatsapp.net"
_LID: Final = "@lid"


class PeoplePart(Part):
    """Implements `features.context.ContactBook`, and the contacts' half of its `Keeper`."""

    _full: bool | None = None  # whether the address book is; looked at again with every 256th person
    _known: dict[Address, Row | None]  # rows as they are now: each message asks for the same few many times

    def __init__(self, db: sqlite3.Connection, clock: Callable[[], float]) -> None:
        super().__init__(db, clock)
        self._known = {}

    def forget_known(self) -> None:
        """Read rows anew: one was changed, or a change was undone."""
        self._known.clear()

    def canonical(self, key: str) -> str:
        """Give the key under which a person is kept: the LID's where it is known (`Address.key`)."""
        number = key.removesuffix(_NUMBER)
        if number == key:
            return key
        row = self.db.execute("SELECT lid FROM person WHERE number = ?", (number,)).fetchone()
        return f"{row[0]}{_LID}" if row and row[0] else key

    def complete(self, address: Address) -> Address:
        """Add the number or the LID if it is known."""
        if address.group or (address.number and address.lid):
            return address
        row = self._row(address)
        return Address(number=address.number or row[1], lid=address.lid or row[2]) if row else address

    def name(self, address: Address) -> str:
        """Give the name in the address book, else the one they call themselves, else ''."""
        row = self._row(address)
        return (row[3] or row[4]) if row else ""

    def _row(self, address: Address) -> Row | None:
        if address in self._known:
            return self._known[address]
        row: Row | None = self.db.execute(
            "SELECT id, number, lid, name, push_name, listed FROM person WHERE lid = ?1 OR number = ?2"
            " ORDER BY lid IS ?1 DESC LIMIT 1",
            (address.lid, address.number),
        ).fetchone()
        if len(self._known) >= KNOWN_MAX:
            self._known.clear()
        self._known[address] = row
        return row

    def learn(self, address: Address, push_name: str = "") -> None:
        """Take up that a number and a LID are one person (the newest word counts), and how they call themselves.

        A LID that comes with another number has moved to it; a number that comes with another LID has a new owner,
        and the LID that had it keeps its row without a number. Groups and nothing new change nothing.
        """
        if address.group or not (push_name or (address.number and address.lid)):
            return
        push_name = push_name[:NAME_MAX]
        known = self._row(address)
        if known and known[1:3] == (address.number, address.lid) and push_name in {"", known[4]}:
            return
        row = self._merge(address)
        if push_name:
            self.db.execute("UPDATE person SET push_name = ?1 WHERE id = ?2 AND push_name <> ?1", (push_name, row))

    def _merge(self, address: Address) -> int:
        """Give the one row of this person, made or merged as need be; who asks is about to change it."""
        self.forget_known()
        number, lid = address.number, address.lid
        by_lid = self._id("lid", lid)
        by_number = self._id("number", number)
        if number is None or lid is None or (by_lid == by_number and by_lid):
            return by_lid or by_number or self._insert(number, lid)
        if by_number and by_lid:
            self._yield_number(by_number, by_lid)
        if by_lid:
            self.db.execute("UPDATE person SET number = ? WHERE id = ?", (number, by_lid))
        elif by_number and self._lid_of(by_number) is None:
            self.db.execute("UPDATE person SET lid = ? WHERE id = ?", (lid, by_number))
        else:
            if by_number:
                self.db.execute("UPDATE person SET number = NULL WHERE id = ?", (by_number,))
            by_number = self._insert(number, lid)
        self._rekey(number + _NUMBER, lid + _LID)
        return by_lid or by_number or 0

    def _yield_number(self, by_number: int, by_lid: int) -> None:
        """Two rows, one person now: what was known by the number alone goes over, or the number was given away."""
        if self._lid_of(by_number) is not None:
            self.db.execute("UPDATE person SET number = NULL WHERE id = ?", (by_number,))
            return
        (name, push_name, listed) = self.db.execute(
            "DELETE FROM person WHERE id = ? RETURNING name, push_name, listed", (by_number,)
        ).fetchone()
        self.db.execute(
            "UPDATE person SET name = iif(name = '', ?, name), push_name = iif(push_name = '', ?, push_name),"
            " listed = max(listed, ?) WHERE id = ?",
            (name, push_name, listed, by_lid),
        )

    def _rekey(self, old: str, new: str) -> None:
        """Move what was kept under the number's key; where the LID's has the same message already, that one stays."""
        for table in ("seen", "pair"):
            self.db.execute(f"UPDATE OR IGNORE {table} SET sender = ?2 WHERE chat = ?1 AND sender = ?1", (old, new))  # noqa: S608  # own names
            self.db.execute(f"UPDATE OR IGNORE {table} SET chat = ?2 WHERE chat = ?1", (old, new))  # noqa: S608
            self.db.execute(f"DELETE FROM {table} WHERE chat = ?", (old,))  # noqa: S608

    def _id(self, column: str, value: str | None) -> int | None:
        row = self.db.execute(f"SELECT id FROM person WHERE {column} = ?", (value,)).fetchone()  # noqa: S608  # own names
        return row[0] if row else None

    def _lid_of(self, row: int) -> str | None:
        lid: str | None = self.db.execute("SELECT lid FROM person WHERE id = ?", (row,)).fetchone()[0]
        return lid

    def _insert(self, number: str | None, lid: str | None) -> int:
        (row,) = self.db.execute(
            "INSERT INTO person (number, lid) VALUES (?, ?) RETURNING id", (number, lid)
        ).fetchone()
        if row % PRUNE_EVERY == 0:
            self.prune_people()
            self._full = None
        return int(row)

    # ---- the address book --------------------------------------------------------------------------------------

    def save_contact(self, address: Address, name: str, push_name: str = "") -> None:
        """Put somebody into the address book; '' = no name there, an empty push name leaves the one that is known.

        Beyond about 20,000 contacts a newcomer is known by name but not listed. Groups are no contacts.
        """
        if address.group:
            return
        row = self._merge(address)
        if self._full is None:
            (count,) = self.db.execute("SELECT count(*) FROM person WHERE listed = 1").fetchone()
            self._full = count >= CONTACTS_MAX
        self.db.execute(
            "UPDATE person SET name = ?1, push_name = iif(?2 = '', push_name, ?2), listed = listed OR NOT ?3"
            " WHERE id = ?4",
            (name[:NAME_MAX], push_name[:NAME_MAX], self._full, row),
        )

    def forget_contact(self, address: Address) -> None:
        """Take somebody off the address book; number, LID and push name stay known."""
        self.forget_known()
        self.db.execute(
            "UPDATE person SET listed = 0, name = '' WHERE lid = ? OR number = ?", (address.lid, address.number)
        )

    def contacts(self) -> list[Listed]:
        """Give the address book, in the order in which people were met."""
        rows = self.db.execute("SELECT number, lid, name, push_name FROM person WHERE listed = 1 ORDER BY id")
        return [(Address(number=number, lid=lid), name, push_name) for number, lid, name, push_name in rows]

    def contact(self, address: Address) -> Listed | None:
        """Give one of them, None for a stranger."""
        row = self._row(address)
        if row is None or not row[5]:
            return None
        return Address(number=row[1], lid=row[2]), row[3], row[4]

    def prune_people(self) -> int:
        """Forget those met longest ago, beyond the bound, who are no contacts; gives how many."""
        self.forget_known()
        return self.db.execute(
            "DELETE FROM person WHERE id IN (SELECT id FROM person WHERE listed = 0"
            " AND id <= (SELECT max(id) FROM person) - ? ORDER BY id LIMIT ?)",
            (PEOPLE_MAX + CONTACTS_MAX, PRUNE_ROWS),
        ).rowcount
