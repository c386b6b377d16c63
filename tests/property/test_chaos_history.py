"""The checker against random histories: what was done to a perfect one is what it finds."""

from hypothesis import given
from hypothesis import strategies as st

from tests.chaos.history import Direction, Seen, Shown, Token, judge, merged

CHATS = [("o1", "bob"), ("o1", "eve"), ("o2", "bob")]
NUMBERS = st.lists(st.integers(0, 20), unique=True)


def perfect(count: int) -> list[Token]:
    """Messages of all chats, interleaved."""
    return [Token(Direction.IN, owner, contact, n) for n in range(count) for owner, contact in CHATS]


def sighting(token: Token, key: str = "") -> Seen:
    """One in its own chat."""
    return Seen(token.owner, token.contact, token.direction, token, key or str(token))


@given(st.integers(1, 8), st.data())
def test_finds_what_was_done(count: int, data: st.DataObject) -> None:
    """Dropped, told, doubled and leaked messages are found, each as what it is, and delivered + told + lost = sent."""
    sent = perfect(count)
    some = st.sets(st.sampled_from(sent))
    dropped, told, doubled, leaked = (data.draw(some) for _ in range(4))
    seen = []
    for token in sent:
        if token not in dropped:
            seen += [sighting(token)] + [sighting(token, "again")] * (token in doubled)
        if token in leaked:
            seen.append(Seen("o3", token.contact, token.direction, token, "leak"))
    outcome = judge(sent, seen, told)
    assert dropped - told == set(outcome.lost)
    assert dropped & told == set(outcome.told)
    assert told - dropped == set(outcome.both)
    assert sorted(doubled - dropped) == sorted(outcome.doubled)
    assert sorted(leaked) == sorted(outcome.leaked)
    assert [] == outcome.reordered
    assert outcome.sent == outcome.delivered + len(outcome.told) + len(outcome.lost)


@given(st.permutations(range(7)))
def test_order_is_kept_or_not(order: list[int]) -> None:
    """A chat in order has no complaint; any other order names exactly those behind a greater one."""
    sent = [Token(Direction.OUT, "o1", "bob", n) for n in range(7)]
    outcome = judge(sent, [sighting(sent[n]) for n in order], ())
    assert [n for at, n in enumerate(order) if any(m > n for m in order[:at])] == [t.number for t in outcome.reordered]
    assert (sorted(order) == order) == (not outcome.reordered)


@given(st.lists(st.tuples(st.sampled_from(["", "s1", "s2", "s3"]), st.sampled_from(["", "m1", "m2"]))), NUMBERS)
def test_a_merged_view_is_a_set(live: list[tuple[str, str]], numbers: list[int]) -> None:
    """Looking at the same archive again adds nothing, and no two messages share a key."""
    archive = [Shown(f"s{n}", f"m{n}", "bob", "") for n in numbers]
    came = [Shown(stanza_id, message_id, "bob", "") for stanza_id, message_id in live]
    once = merged(came, archive)
    assert once == merged([*came, *archive], archive)
    assert len({key for key, _ in once}) == len(once)
    assert [one.stanza_id for one in archive] == [key for key, _ in once[: len(archive)]]
