"""Walks the bookkeeping of a shard stream against a server that counts honestly and streams that break anywhere."""

from collections import deque

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from ponton_bridge.core.numbering import Inbound, Outbound, ProtocolBreach, Ticket


class Receiving(RuleBasedStateMachine):
    """A server numbers stanzas and keeps those that are not acknowledged; the line breaks, both sides may die."""

    def __init__(self) -> None:
        super().__init__()
        self.gen = 1
        self.window: deque[tuple[int, int]] = deque()  # (number, content) written and not acknowledged
        self.line: deque[tuple[int, int]] = deque()  # on the wire
        self.number = 0  # the server's last
        self.content = 0
        self.handled: list[int] = []  # what was handed up and became durable or harmless
        self.open: list[tuple[Ticket, int]] = []  # handed up, not done
        self.inbound = Inbound()
        self.reconnect()

    def reconnect(self) -> None:
        """Open a stream: the cursor counts as an ack, the rest of the window is written again."""
        cursor = self.inbound.cursor
        if cursor:
            gen, _, n = cursor.partition(":")
            if gen == str(self.gen):
                self.acknowledge(int(n))
        following = self.window[0][0] if self.window else self.number + 1
        self.line = deque(self.window)
        self.inbound.begin(str(self.gen), following)

    def acknowledge(self, number: int) -> None:
        """Let the server forget what is safe at the shard; an ack beyond what it sent would end the stream."""
        assert number <= self.number
        while self.window and self.window[0][0] <= number:
            self.window.popleft()

    @rule()
    def server_writes(self) -> None:
        """A new stanza goes out."""
        self.number += 1
        self.content += 1
        self.window.append((self.number, self.content))
        self.line.append((self.number, self.content))

    @precondition(lambda self: self.line)
    @rule()
    def stanza_arrives(self) -> None:
        """The next stanza on the wire is counted; a repeat is not handed up."""
        number, content = self.line.popleft()
        ticket = self.inbound.arrived()
        assert number == ticket.number
        if not ticket.repeat:
            self.open.append((ticket, content))

    @precondition(lambda self: self.open)
    @rule(data=st.data())
    def something_gets_done(self, data: st.DataObject) -> None:
        """Any of those handed up becomes safe, in whatever order."""
        ticket, content = self.open.pop(data.draw(st.integers(0, len(self.open) - 1)))
        self.handled.append(content)
        self.inbound.done(ticket)
        self.inbound.done(ticket)

    @rule(asked=st.booleans())
    def ack_goes_out(self, asked: bool) -> None:  # noqa: FBT001 - hypothesis passes it by name
        """The shard acknowledges what it may, by itself or because it was asked."""
        number = self.inbound.repeated() if asked else self.inbound.due()
        if number is not None:
            held = {n for n, _ in self.window}  # an expired one is nobody's any more
            undone = {ticket.number for ticket, _ in self.open if ticket.gen == str(self.gen)}
            assert all(number < n for n in undone & held)
            self.acknowledge(number)

    @rule()
    def line_breaks(self) -> None:
        """Whatever is on the wire is gone; the same process connects again."""
        self.reconnect()

    @rule()
    def server_loses_its_store(self) -> None:
        """A new generation starts the numbers anew; what the server had is lost with it."""
        self.gen += 1
        self.number = 0
        self.window.clear()
        self.open = []
        self.reconnect()

    @rule()
    def leading_ones_expire(self) -> None:
        """The server gives up the oldest of its window while nobody is connected."""
        if self.window:
            self.window.popleft()
        self.reconnect()

    @invariant()
    def nothing_is_handled_twice(self) -> None:
        """Each stanza is handed up at most once by one process."""
        assert len(self.handled) == len(set(self.handled))

    def teardown(self) -> None:
        """At the end all that the server still holds can be brought over."""
        self.reconnect()
        while self.line:
            self.stanza_arrives()
        waiting = [content for _, content in self.open]
        for ticket, content in self.open:
            self.handled.append(content)
            self.inbound.done(ticket)
        self.acknowledge(self.inbound.repeated())
        assert deque() == self.window
        assert set(waiting) <= set(self.handled)


TestReceiving = Receiving.TestCase
TestReceiving.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)


@settings(max_examples=200, deadline=None)
@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("durable"), st.just(0)),
            st.tuples(st.just("passing"), st.just(0)),
            st.tuples(st.just("break"), st.integers(0, 5)),
            st.tuples(st.just("count"), st.integers(0, 5)),
        ),
        max_size=60,
    )
)
def test_a_row_is_forgotten_only_when_the_server_has_it(steps: list[tuple[str, int]]) -> None:
    """Covers exactly the rows that the server took, over any number of broken streams."""
    outbound = Outbound()
    journal: list[int] = []
    taken: list[int] = []
    stream: list[int | None] = []
    journal_next, count, covered = 1, 0, 0
    assert 0 == outbound.begin(0)

    def rewrite() -> None:
        stream.clear()
        for seq in journal:
            stream.append(seq)
            outbound.wrote(seq)

    for step, number in steps:
        if step == "durable":
            journal.append(journal_next)
            stream.append(journal_next)
            outbound.wrote(journal_next)
            journal_next += 1
        elif step == "passing":
            stream.append(None)
            outbound.wrote()
        else:
            passed, stream[:] = stream[:number], stream[number:]
            count += len(passed)
            taken += [seq for seq in passed if seq is not None]
            told = outbound.begin(count) if step == "break" else outbound.counted(count)
            covered = max(covered, told)
            journal[:] = [seq for seq in journal if seq > covered]
            if step == "break":
                rewrite()
        assert set(range(1, covered + 1)) <= set(taken)
        assert max(taken, default=0) in (covered, 0) or step in ("durable", "passing")
    assert sum(seq is not None for seq in stream) == outbound.uncovered


def test_a_server_that_counts_too_much_is_not_believed() -> None:
    """Refuses a count of stanzas that were never written, and keeps its rows."""
    outbound = Outbound()
    outbound.begin(3)
    outbound.wrote(1)
    with pytest.raises(ProtocolBreach, match="counted 5 of 4"):
        outbound.counted(5)
    assert 1 == outbound.uncovered
    assert 1 == outbound.counted(4)


def test_a_restarted_process_goes_on_from_its_journal() -> None:
    """Opens with the journal's cursor and takes what follows it as new, what lies before it as known."""
    inbound = Inbound("g", 10)
    assert "g:10" == inbound.cursor
    inbound.begin("g", 9)
    tickets = [inbound.arrived() for _ in range(3)]
    assert [(9, True), (10, True), (11, False)] == [(t.number, t.repeat) for t in tickets]
    assert 10 == inbound.due()
    assert None is inbound.due()
    inbound.done(tickets[2])
    assert 11 == inbound.due()


def test_a_process_without_a_journal_sends_no_cursor() -> None:
    """Claims nothing about a generation that it has never seen."""
    assert None is Inbound().cursor
