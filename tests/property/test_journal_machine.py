"""The journal against plain dictionaries: whatever is done to it, in any order, with restarts in between."""

import contextlib
import shutil
import tempfile
from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from ponton_bridge.model.address import Address
from ponton_bridge.model.books import Pair
from ponton_bridge.store.journal import Counts, Journal
from ponton_bridge.store.opening import open_store
from ponton_bridge.store.outgoing import Outgoing

PEOPLE = 4
NUMBERS = st.integers(0, PEOPLE - 1).map(lambda n: f"4910000{n}")
LIDS = st.integers(0, PEOPLE - 1).map(lambda n: f"77{n}")
IDS = st.sampled_from(["A", "B", "C"])
ADDRESSES = st.one_of(NUMBERS.map(lambda n: Address(number=n)), LIDS.map(lambda n: Address(lid=n)))


class _Undo(Exception):
    """Raised in a savepoint, to see that all of it goes."""


class JournalMachine(RuleBasedStateMachine):
    """Model: what a correct journal remembers, in lists and dictionaries."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="ponton-journal-"))
        self.journal: Journal
        self.epoch = 0
        self.gen, self.n = "", 0
        self.rows: dict[int, Outgoing] = {}
        self.last_row = 0
        self.boxed: dict[int, str] = {}
        self.last_seq = 0
        self.known: set[tuple[str, str, str]] = set()
        self.pairs: dict[tuple[str, str], tuple[Pair, bool]] = {}  # in order of arrival
        self.lid_of: dict[str, str] = {}
        self.values: dict[str, str] = {}

    @initialize()
    def start(self) -> None:
        """Open the store for the first time."""
        self._open()

    def _open(self) -> None:
        self.epoch += 1
        self.journal = open_store(self.folder, self.epoch, clock=lambda: 1e9)

    def teardown(self) -> None:
        """Close and clear away."""
        if self.epoch:
            self.journal.close()
        shutil.rmtree(self.folder)

    @rule()
    def restart(self) -> None:
        """The next process finds everything."""
        self.journal.close()
        self._open()

    def _key(self, address: Address) -> str:
        if address.number in self.lid_of:
            return f"{self.lid_of[address.number]}@lid"
        return address.key

    # ---- outgoing

    @rule(step=st.integers(-2, 3), fresh=st.booleans(), count=st.integers(0, 3))
    def take(self, step: int, count: int, *, fresh: bool) -> None:
        """Prosody gives stanzas: new ones, repeats, or those of a new generation."""
        gen = f"{self.gen}g" if fresh else self.gen or "g"
        n = max(1, self.n + step)
        texts = [("chat", f"<m n='{gen}{n}{i}'/>") for i in range(count)]
        ids = self.journal.take(gen, n, texts)
        if gen == self.gen and n <= self.n:
            assert [] == ids
            return
        assert list(range(self.last_row + 1, self.last_row + 1 + count)) == ids
        self.gen, self.n = gen, n
        self.last_row += count
        self.rows |= {row: Outgoing(row, *text, None, 0) for row, text in zip(ids, texts, strict=True)}

    @precondition(lambda self: self.rows)
    @rule(data=st.data(), message_id=st.one_of(st.none(), IDS))
    def begin_send(self, data: st.DataObject, message_id: str | None) -> None:
        """A send begins; its first id stays."""
        old = self.rows[data.draw(st.sampled_from(sorted(self.rows)))]
        kept = old.message_id or message_id
        assert kept == self.journal.chosen(old.id, message_id)
        self.rows[old.id] = Outgoing(old.id, old.chat, old.xml, kept, old.tries + 1)

    @precondition(lambda self: self.rows)
    @rule(data=st.data(), address=ADDRESSES, ids=st.tuples(IDS, IDS), kept=st.booleans())
    def end_send(self, data: st.DataObject, address: Address, ids: tuple[str, str], *, kept: bool) -> None:
        """A send ends: with a pair, or dropped."""
        row = data.draw(st.sampled_from(sorted(self.rows)))
        pair = Pair(self._key(address), *ids, "me@lid", from_me=True, time=1) if kept else None
        self.journal.sent(row, pair)
        del self.rows[row]
        if pair:
            self._remember(pair)

    # ---- outbox

    @rule()
    def emit(self) -> None:
        """A stanza gets the next number."""
        self.last_seq += 1
        assert self.last_seq == self.journal.emit(f"<s n='{self.last_seq}'/>")
        self.boxed[self.last_seq] = f"<s n='{self.last_seq}'/>"

    @rule(back=st.integers(0, 3))
    def cover(self, back: int) -> None:
        """Prosody has everything up to a number."""
        seq = self.last_seq - back
        self.journal.covered(seq)
        self.boxed = {n: xml for n, xml in self.boxed.items() if n > seq}

    @rule(ahead=st.integers(-3, 5))
    def go_on(self, ahead: int) -> None:
        """Prosody names the highest number that it has seen."""
        highest = self.last_seq + ahead
        moved = self.journal.continue_from(highest)
        if ahead <= 0:
            assert 0 == moved
            return
        self.boxed = {n + highest: xml for n, xml in self.boxed.items()}
        self.last_seq += highest
        assert len(self.boxed) == moved

    # ---- ids and people

    @rule(chat=ADDRESSES, message=IDS, kind=st.sampled_from(["message", "edit"]))
    def see(self, chat: Address, message: str, kind: str) -> None:
        """A delivery is new once, under whichever key it comes."""
        key = (self._key(chat), message, kind)
        assert (key not in self.known) == self.journal.seen(chat.key, chat.key, message, kind)
        self.known.add(key)

    def _remember(self, pair: Pair) -> None:
        key = (pair.chat, f"{pair.whatsapp} {pair.sender}")
        read = self.pairs[key][1] if key in self.pairs else False
        self.pairs[key] = (pair, read)

    @rule(chat=ADDRESSES, ids=st.tuples(IDS, IDS), from_me=st.booleans())
    def remember(self, chat: Address, ids: tuple[str, str], *, from_me: bool) -> None:
        """A message gets its two names."""
        key = self._key(chat)
        sender = "me@lid" if from_me else key
        self.journal.remember(Pair(chat.key, *ids, "me@lid" if from_me else chat.key, from_me, 1))
        self._remember(Pair(key, *ids, sender, from_me, 1))

    @rule(chat=ADDRESSES, xmpp=IDS)
    def mark(self, chat: Address, xmpp: str) -> None:
        """A marker covers what others wrote up to it, once."""
        key = self._key(chat)
        here = [item for item in self.pairs.values() if item[0].chat == key]
        last = max((i for i, (pair, _) in enumerate(here) if pair.xmpp == xmpp), default=-1)
        expected = [pair for pair, read in here[: last + 1] if not read and not pair.from_me]
        unread = self.journal.unread_until(chat.key, xmpp)
        assert expected == unread
        self.journal.mark_read(unread)
        self.pairs = {k: (pair, read or pair in unread) for k, (pair, read) in self.pairs.items()}

    @rule(number=NUMBERS, lid=LIDS)
    def learn(self, number: str, lid: str) -> None:
        """A number and a LID are one person: the newest word counts, what was kept moves along."""
        self.journal.learn(Address(number=number, lid=lid))
        moved = number not in self.lid_of
        self.lid_of = {n: old for n, old in self.lid_of.items() if old != lid} | {number: lid}
        if not moved:
            return
        old_key, new_key = f"{number}@s.whatsapp.net", f"{lid}@lid"
        self.known = {(new_key if chat == old_key else chat, *rest) for chat, *rest in self.known}  # type: ignore[misc]  # same length
        here = [(k, item) for k, item in self.pairs.items() if k[0] == new_key]
        taken = {k for k, _ in here}
        pairs: dict[tuple[str, str], tuple[Pair, bool]] = {}
        for key, (pair, read) in self.pairs.items():
            if key[0] != old_key:
                pairs[key] = (pair, read)
                continue
            sender = new_key if pair.sender == old_key else pair.sender
            new = (new_key, f"{pair.whatsapp} {sender}")
            if new not in taken:
                pairs[new] = (Pair(new_key, pair.whatsapp, pair.xmpp, sender, pair.from_me, pair.time), read)
        self.pairs = pairs

    # ---- savepoints, settings

    @rule(key=IDS, value=st.text(max_size=5))
    def setting(self, key: str, value: str) -> None:
        """A setting is kept; '' removes it."""
        self.journal.set(key, value)
        self.values[key] = value

    @rule(number=NUMBERS, lid=LIDS)
    def undo(self, number: str, lid: str) -> None:
        """What a failing function did is gone, all of it."""
        self.journal.db.execute("BEGIN")
        with contextlib.suppress(_Undo), self.journal.savepoint():
            self.journal.take(self.gen + "x", 1, [("chat", "<m/>")])
            self.journal.emit("<s/>")
            self.journal.covered(self.last_seq + 1)
            self.journal.continue_from(self.last_seq + 100)
            self.journal.learn(Address(number=number, lid=lid), "name")
            self.journal.set("A", "other")
            raise _Undo
        self.journal.db.execute("COMMIT")

    # ---- what is always true

    @invariant()
    def agrees(self) -> None:
        """Everything that can be read is what the model holds."""
        if not self.epoch:
            return
        journal = self.journal
        assert (self.gen, self.n) == journal.cursor()
        assert list(self.rows.values()) == journal.pending(1000)
        assert list(self.boxed.items()) == journal.outbox(0, 1000)
        assert Counts(len(self.rows), len(self.boxed)) == journal.counts()
        for key in ("A", "B", "C"):
            assert self.values.get(key, "") == journal.get(key)
        for person in range(PEOPLE):
            number = f"4910000{person}"
            assert Address(number=number, lid=self.lid_of.get(number)) == journal.complete(Address(number=number))
        for (chat, _), (pair, _) in self.pairs.items():
            same = [p for p, _ in self.pairs.values() if p.chat == chat]
            assert next(p for p in same if p.whatsapp == pair.whatsapp) == journal.by_whatsapp(chat, pair.whatsapp)
            assert next(p for p in reversed(same) if p.xmpp == pair.xmpp) == journal.by_xmpp(chat, pair.xmpp)


TestJournal = JournalMachine.TestCase
TestJournal.settings = settings(
    max_examples=60, stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck)
)
