"""The fault knobs as an object: who is struck, how often, and with what."""

import pytest

from tests.sandbox.faults import KINDS, Faults, Point, last_words, spoiled
from tests.sandbox.node import JID, LID, SERVER, node

LID_1, PN_1 = JID("9", LID, 1), JID("336", SERVER, 1)
LID_2, PN_2 = JID("9", LID, 2), JID("336", SERVER, 2)
OTHER = JID("8", LID, 1)
MESSAGE = node("message", node("enc", bytes(32), type="msg"), node("meta"), id="1")
RECEIPT = node("receipt", id="1")


@pytest.fixture
def faults() -> Faults:
    """Knobs, all turned back."""
    return Faults()


def lasting(point: Point) -> list[str]:
    """The kinds of one point."""
    return [kind for kind, where in KINDS.items() if where is point]


def test_nothing_is_wrong_at_first(faults: Faults) -> None:
    """Without a turned knob everything goes its way."""
    assert faults.connect() is None
    assert faults.login(LID_1, PN_1) is None
    assert ((MESSAGE,), 0) == faults.outgoing(MESSAGE, LID_1)
    assert 0 == faults.refused(LID_1)
    assert not faults.unacknowledged(LID_1)
    assert faults.query("usync", LID_1) is None


@pytest.mark.parametrize("kind", [*lasting(Point.LIVE), "no such kind"])
def test_only_lasting_kinds_are_kept(faults: Faults, kind: str) -> None:
    """A live or unknown kind cannot be turned and left."""
    with pytest.raises(ValueError, match="no lasting fault"):
        faults.add(kind)


@pytest.mark.parametrize("count", [0, -1])
def test_count_is_at_least_one(faults: Faults, count: int) -> None:
    """A knob that would never strike is a mistake."""
    with pytest.raises(ValueError, match="at least once"):
        faults.add("delay", count=count)


def test_connections_belong_to_nobody_yet(faults: Faults) -> None:
    """Before a login an account cannot be singled out."""
    with pytest.raises(ValueError, match="everyone"):
        faults.add("refuse", scope=LID_1)


@pytest.mark.parametrize(
    ("scope", "struck"),
    [
        (None, [True, True, True]),
        (LID_1.bare, [True, True, False]),
        (PN_1.bare, [True, True, False]),
        (LID_1, [True, False, False]),
        (PN_2, [False, True, False]),
    ],
    ids=["everyone", "account by LID", "account by number", "device by LID", "device by number"],
)
def test_scope(faults: Faults, scope: JID | None, struck: list[bool]) -> None:
    """A knob strikes everyone, one account or one device, named by either address."""
    faults.add("missing_ack", scope)
    names = (LID_1, PN_1), (LID_2, PN_2), (OTHER,)
    assert struck == [faults.unacknowledged(*each) for each in names]


def test_count_runs_down(faults: Faults) -> None:
    """A counted knob strikes so often and is gone, one without a count stays."""
    faults.add("refuse_message", count=2)
    assert [463, 463, 0] == [faults.refused(LID_1) for _ in range(3)]
    faults.add("refuse_message", value=400)
    assert [400] * 5 == [faults.refused(LID_1) for _ in range(5)]


def test_count_is_used_up_by_those_in_scope_only(faults: Faults) -> None:
    """Others pass by without using a knob up."""
    faults.add("missing_ack", LID_1, count=1)
    assert not faults.unacknowledged(OTHER)
    assert faults.unacknowledged(LID_1)
    assert not faults.unacknowledged(LID_1)


def test_knobs_of_a_kind_take_turns(faults: Faults) -> None:
    """Several knobs of one kind strike in the order in which they were turned."""
    faults.add("refuse", count=1, value=503)
    faults.add("refuse", count=2, value=0)
    assert [503, 0, 0, None] == [faults.connect() for _ in range(4)]


def test_cleared(faults: Faults) -> None:
    """One call turns everything back."""
    for kind, point in KINDS.items():
        if point is not Point.LIVE:
            faults.add(kind, value=1)
    faults.clear()
    test_nothing_is_wrong_at_first(faults)


@pytest.mark.parametrize(("value", "reason"), [(0, 503), (401, 401), (405, 405)])
def test_failed_login(faults: Faults, value: int, reason: int) -> None:
    """A login fails with the reason that was turned, 503 without one."""
    faults.add("fail_login", value=value)
    assert f"<failure reason={reason}/>" == str(faults.login(LID_1))


def test_ban(faults: Faults) -> None:
    """A ban says its code and when it ends."""
    faults.add("ban", LID_1, value=3600)
    assert "<failure reason=402 code=101 expire=3600/>" == str(faults.login(LID_1, PN_1))
    assert faults.login(OTHER) is None


def test_delay_holds_everything(faults: Faults) -> None:
    """Every stanza is held, in seconds on the wire."""
    faults.add("delay", LID_1, value=250)
    assert 0.25 == faults.outgoing(RECEIPT, LID_1).delay
    assert 0.25 == faults.outgoing(MESSAGE, LID_1).delay
    assert 0 == faults.outgoing(MESSAGE, OTHER).delay


@pytest.mark.parametrize(("kind", "copies"), [("duplicate", 2), ("swallow", 0), ("corrupt", 1)])
def test_messages_only(faults: Faults, kind: str, copies: int) -> None:
    """Duplicates, losses and flipped bytes strike messages; receipts pass and use nothing up."""
    faults.add(kind, count=1)
    assert (RECEIPT,) == faults.outgoing(RECEIPT, LID_1).copies
    assert copies == len(faults.outgoing(MESSAGE, LID_1).copies)
    assert (MESSAGE,) == faults.outgoing(MESSAGE, LID_1).copies


def test_corrupt_and_duplicate_add_up(faults: Faults) -> None:
    """Two kinds strike the same message together."""
    faults.add("corrupt")
    faults.add("duplicate")
    first, second = faults.outgoing(MESSAGE, LID_1).copies
    assert first is second
    assert first.need("enc").data != MESSAGE.need("enc").data


def test_one_byte_is_flipped_in_each_ciphertext() -> None:
    """Exactly the tenth byte from the end differs, in every ciphertext and nothing else, and the original stays."""
    stanza = node("message", node("enc", bytes(32)), node("enc", bytes(12)), node("device-identity", bytes(32)))
    flipped = spoiled(stanza)
    for before, after in zip(stanza.children[:2], flipped.children[:2], strict=True):
        different = [at for at, (a, b) in enumerate(zip(before.data, after.data, strict=True)) if a != b]
        assert [len(before.data) - 10] == different
    assert stanza.children[2] == flipped.children[2]
    assert bytes(32) == stanza.children[0].data


def test_short_ciphertext_is_left_alone() -> None:
    """There is nothing to flip in a ciphertext that is too short to be one."""
    stanza = node("message", node("enc", b"tiny"))
    assert b"tiny" == spoiled(stanza).need("enc").data


def test_queries(faults: Faults) -> None:
    """A query may stay unanswered or fail, and one namespace alone may be meant."""
    faults.add("query_silent", LID_1, count=1, match="usync")
    faults.add("query_error", value=404, match="privacy")
    faults.add("query_error", OTHER)
    assert 0 == faults.query("usync", LID_1)
    assert faults.query("usync", LID_1) is None
    assert 404 == faults.query("privacy", LID_1)
    assert 500 == faults.query("usync", OTHER)


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("drop", "None"),
        ("replaced", "<stream:error><conflict type=replaced/></stream:error>"),
        ("logged_out", "<stream:error code=401><conflict type=device_removed/></stream:error>"),
        ("unavailable", "<stream:error code=503/>"),
        ("restart", "<stream:error code=515/>"),
    ],
)
def test_last_words(kind: str, words: str) -> None:
    """What a struck session is told is what WhatsApp has on the wire."""
    assert words == str(last_words(kind))


@pytest.mark.parametrize("kind", ["freeze", "delay", "no such kind"])
def test_no_last_words(kind: str) -> None:
    """A kind that ends no session has none."""
    with pytest.raises(ValueError, match="no live fault"):
        last_words(kind)


def test_every_live_kind_acts() -> None:
    """Each live kind either ends sessions or freezes them."""
    assert {"freeze"} == {kind for kind in lasting(Point.LIVE) if not has_last_words(kind)}


def has_last_words(kind: str) -> bool:
    """Whether a kind ends sessions."""
    try:
        last_words(kind)
    except ValueError:
        return False
    return True
