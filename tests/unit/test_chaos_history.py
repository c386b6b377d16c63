"""The checker of the chaos runs: each kind of fault is found, and nothing else is."""

import pytest

from tests.chaos.history import Direction, Seen, Shown, Token, judge, merged, unexcused

OUT, IN = Direction.OUT, Direction.IN


def tokens(count: int, owner: str = "o1", contact: str = "bob", direction: Direction = OUT) -> list[Token]:
    """Make a chat's messages."""
    return [Token(direction, owner, contact, n) for n in range(count)]


def seen(token: Token, key: str = "", *, owner: str = "", contact: str = "", way: Direction | None = None) -> Seen:
    """Make a sighting, in its own chat unless told otherwise."""
    return Seen(owner or token.owner, contact or token.contact, way or token.direction, token, key or str(token))


def test_all_is_well() -> None:
    """Each message seen once in order: nothing to complain of."""
    sent = tokens(3)
    outcome = judge(sent, map(seen, sent), ())
    assert (3, 3) == (outcome.sent, outcome.delivered)
    complaints = (outcome.told, outcome.lost, outcome.both, outcome.doubled, outcome.reordered, outcome.leaked)
    assert ([],) * 6 == complaints
    assert [] == outcome.strange


def test_delivered_told_or_lost() -> None:
    """A message is delivered or told, never both; with neither it is lost."""
    first, second, third = sent = tokens(3)
    outcome = judge(sent, [seen(first)], {first, second})
    assert ([first], [second], [third], 1) == (outcome.both, outcome.told, outcome.lost, outcome.delivered)


def test_doubled_by_another_id() -> None:
    """The same text under another id is doubled, each time; under the same id it is the same message."""
    (one,) = sent = tokens(1)
    sightings = [seen(one, "a"), seen(one, "a"), seen(one, "b"), seen(one, "c"), seen(one, "b")]
    outcome = judge(sent, sightings, ())
    assert ([one, one], [one, one], 1) == (outcome.doubled, outcome.again, outcome.delivered)


def test_reordered_within_a_chat_only() -> None:
    """A later one first is out of order; between chats there is no order, and a double is not a second fault."""
    a0, a1, a2 = a = tokens(3)
    b0, b1 = b = tokens(2, contact="eve")
    order = [seen(b1), seen(a1, "x"), seen(a0), seen(a2), seen(a1, "y"), seen(b0)]
    outcome = judge([*a, *b], order, ())
    assert [a0, b0] == outcome.reordered
    assert [a1] == outcome.doubled


@pytest.mark.parametrize("place", [{"owner": "o2"}, {"contact": "eve"}, {"way": IN}])
def test_leaked(place: dict[str, str]) -> None:
    """Seen with another owner, another contact or on the wrong side is a leak, and no delivery."""
    (one,) = sent = tokens(1)
    outcome = judge(sent, [seen(one, **place)], ())  # type: ignore[arg-type]  # a table's row
    assert ([one], [one], 0) == (outcome.leaked, outcome.lost, outcome.delivered)


def test_strange() -> None:
    """What nobody sent is strange."""
    assert tokens(1) == judge([], [seen(tokens(1)[0])], ()).strange


@pytest.mark.parametrize("text", ["out-o1-bob-17", "out-o1-bob-17 and more words", "out-o1-bob-17\nlines"])
def test_reads_its_tokens(text: str) -> None:
    """A token is read back from the start of a text."""
    assert Token(OUT, "o1", "bob", 17) == Token.read(text)


@pytest.mark.parametrize("text", ["", "Linked with WhatsApp.", "said out-o1-bob-17", "out-o1-bob-", "up-o1-bob-1"])
def test_reads_no_others(text: str) -> None:
    """Texts of others have none."""
    assert Token.read(text) is None


def shown(stanza_id: str, message_id: str, contact: str = "bob") -> Shown:
    """Make a message of a client."""
    return Shown(stanza_id, message_id, contact, "text")


def test_live_and_archive_are_one_view() -> None:
    """What came live and is in the archive is one message; the archive's order counts."""
    archive = [shown("s1", "m1"), shown("s2", "m2")]
    assert [("s1", archive[0]), ("s2", archive[1])] == merged([shown("s2", "m2"), shown("s1", "m1")], archive)


def test_archived_twice_is_twice() -> None:
    """Two entries of the archive are two messages to a client, whatever their message ids say."""
    assert ["s1", "s2"] == [key for key, _ in merged([], [shown("s1", "m1"), shown("s2", "m1")])]


def test_live_without_stanza_id() -> None:
    """Without a stanza id the message id decides, within its chat; without both it is a message of its own."""
    archive = [shown("s1", "m1")]
    live = [shown("", "m1"), shown("", "m1", "eve"), shown("", ""), shown("", "")]
    assert 4 == len(merged(live, archive))
    assert 1 == len(merged(live[:1], archive))


LOST = Token(IN, "o1", "bob", 3)


@pytest.mark.parametrize(
    ("acknowledged", "kills", "journaled", "excused"),
    [
        (10.0, [10.5], (), True),
        (10.0, [9.9], (), True),  # the server saw it a moment after the kill
        (10.0, [5.0, 12.1], (), False),
        (10.0, [], (), False),
        (None, [10.0], (), False),  # WhatsApp would still have it
        (10.0, [10.5], ("W3",), False),  # the journal had it
    ],
)
def test_what_the_driver_may_lose(
    acknowledged: float | None,
    kills: list[float],
    journaled: tuple[str, ...],
    excused: bool,  # noqa: FBT001 - a table's column
) -> None:
    """Only what was acknowledged next to a kill and never reached the journal is the driver's loss."""
    acks = {} if acknowledged is None else {("o1", "W3"): acknowledged}
    found = unexcused([LOST], {LOST: "W3"}, acks, {"o1": kills, "o2": [10.0]}, {"o1": journaled})
    assert ([] if excused else [LOST]) == found


def test_anothers_kill_is_no_excuse() -> None:
    """A kill of somebody else's shard explains nothing."""
    assert [LOST] == unexcused([LOST], {LOST: "W3"}, {("o1", "W3"): 1.0}, {"o2": [1.0]}, {})
