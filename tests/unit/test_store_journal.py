"""The journal's rows: what waits for WhatsApp, what waits for Prosody, ids and settings."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from ponton_bridge.store import ids, outbox, outgoing
from ponton_bridge.store.errors import JournalFull, StanzaTooLarge
from ponton_bridge.store.journal import Counts, Journal
from ponton_bridge.store.outgoing import Outgoing
from ponton_bridge.store.part import PRUNE_EVERY
from ponton_bridge.store.settings import VALUE_MAX
from tests.unit.store_kit import ANN, BOB, DAY, Clock, pair, store


@pytest.fixture
def clock() -> Clock:
    """A clock that stands still."""
    return Clock()


@pytest.fixture
def journal(tmp_path: Path, clock: Clock) -> Iterator[Journal]:
    """A fresh journal."""
    with store(tmp_path, clock=clock) as made:
        yield made


# ---- from Prosody -------------------------------------------------------------------------------------------------


def test_cursor_of_a_new_store(journal: Journal) -> None:
    """A store that took nothing has no cursor."""
    assert ("", 0) == journal.cursor()


def test_takes_rows_and_cursor_together(journal: Journal) -> None:
    """What was taken waits in order, and the cursor says that it is here."""
    assert [1, 2] == journal.take("gen", 7, [(ANN, "<a/>"), (BOB, "<b/>")])
    assert ("gen", 7) == journal.cursor()
    assert [Outgoing(1, ANN, "<a/>", None, 0), Outgoing(2, BOB, "<b/>", None, 0)] == journal.pending(10)


def test_takes_numbers_without_rows(journal: Journal) -> None:
    """Stanzas that are not journaled move the cursor all the same."""
    assert [] == journal.take("gen", 3, [])
    assert ("gen", 3) == journal.cursor()


@pytest.mark.parametrize("n", [1, 6, 7])
def test_a_repeat_is_taken_once(journal: Journal, n: int) -> None:
    """A number of the same generation at or below the cursor journals nothing."""
    journal.take("gen", 7, [(ANN, "<a/>")])
    assert [] == journal.take("gen", n, [(ANN, "<a/>")])
    assert ("gen", 7) == journal.cursor()
    assert 1 == len(journal.pending(10))


def test_a_new_generation_starts_over(journal: Journal) -> None:
    """When Prosody's store was lost, small numbers count again."""
    journal.take("old", 70, [(ANN, "<a/>")])
    assert 1 == len(journal.take("new", 1, [(ANN, "<b/>")]))
    assert ("new", 1) == journal.cursor()


def test_generation_may_hold_colons(journal: Journal) -> None:
    """The generation is an opaque word."""
    journal.take("a:b", 5, [])
    assert ("a:b", 5) == journal.cursor()


def test_pages_through_what_waits(journal: Journal) -> None:
    """Rows come in pages, oldest first."""
    journal.take("gen", 5, [(ANN, f"<m{n}/>") for n in range(5)])
    first = journal.pending(2)
    assert ["<m0/>", "<m1/>"] == [row.xml for row in first]
    assert ["<m2/>", "<m3/>"] == [row.xml for row in journal.pending(2, after=first[-1].id)]


def test_the_first_id_chosen_stays(journal: Journal) -> None:
    """A repeat goes out under the id of the first try; tries are counted."""
    (row,) = journal.take("gen", 1, [(ANN, "<a/>")])
    assert journal.chosen(row, "ONE") == "ONE"
    assert journal.chosen(row, "TWO") == "ONE"
    assert [Outgoing(row, ANN, "<a/>", "ONE", 2)] == journal.pending(1)


def test_counts_tries_without_ids(journal: Journal) -> None:
    """A driver that cannot choose ids leaves the count of begun sends."""
    (row,) = journal.take("gen", 1, [(ANN, "<a/>")])
    assert journal.chosen(row, None) is None
    assert [Outgoing(row, ANN, "<a/>", None, 1)] == journal.pending(1)
    assert journal.chosen(row + 1, "GONE") == "GONE"


def test_takes_a_try_back(journal: Journal) -> None:
    """A send that surely did not happen is not counted; its id stays chosen."""
    (row,) = journal.take("gen", 1, [(ANN, "<a/>")])
    journal.chosen(row, "ONE")
    journal.unsent(row)
    journal.unsent(row)
    assert [Outgoing(row, ANN, "<a/>", "ONE", 0)] == journal.pending(1)


def test_sent_leaves_the_pair(journal: Journal) -> None:
    """A sent row is gone, and its message is known by both ids."""
    rows = journal.take("gen", 2, [(ANN, "<a/>"), (ANN, "<b/>")])
    journal.sent(rows[0], pair("W", "X", from_me=True))
    journal.sent(rows[1], None)
    assert [] == journal.pending(10)
    assert pair("W", "X", from_me=True) == journal.by_whatsapp(ANN, "W")


def test_row_ids_are_never_used_again(journal: Journal) -> None:
    """A dropped row's id does not come back: what the shard remembers by id stays true."""
    (row,) = journal.take("gen", 1, [(ANN, "<a/>")])
    journal.drop(row)
    assert [row + 1] == journal.take("gen", 2, [(ANN, "<b/>")])


def test_refuses_when_too_much_waits(journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    """At the bound nothing is taken and the cursor stays, so that Prosody keeps it."""
    monkeypatch.setattr(outgoing, "OUTGOING_MAX", 3)
    rows = journal.take("gen", 3, [(ANN, "<a/>")] * 3)
    with pytest.raises(JournalFull):
        journal.take("gen", 4, [(ANN, "<b/>")])
    assert ("gen", 3) == journal.cursor()
    journal.take("gen", 4, [])
    journal.drop(rows[1])
    assert 1 == len(journal.take("gen", 5, [(ANN, "<b/>")]))


# ---- to Prosody ---------------------------------------------------------------------------------------------------


def test_numbers_what_goes_to_prosody(journal: Journal) -> None:
    """Stanzas get numbers from 1 up and wait until they are covered."""
    assert [1, 2, 3] == [journal.emit(f"<m{n}/>") for n in range(3)]
    assert [(2, "<m1/>")] == journal.outbox(after=1, limit=1)
    assert 2 == journal.covered(2)
    assert [(3, "<m2/>")] == journal.outbox(after=0, limit=10)
    assert 0 == journal.covered(2)


def test_numbers_never_repeat(journal: Journal) -> None:
    """A covered number is not given again, even when the outbox is empty."""
    journal.covered(journal.emit("<a/>"))
    assert 2 == journal.emit("<b/>")


def test_a_fresh_store_continues(journal: Journal) -> None:
    """After a lost store the numbers go on above what Prosody has seen."""
    assert 0 == journal.continue_from(41)
    assert 42 == journal.emit("<a/>")


def test_rows_of_a_fresh_store_move_up(journal: Journal) -> None:
    """What waits in a fresh store gets numbers that Prosody does not take for repeats, in the same order."""
    for name in "abc":
        journal.emit(f"<{name}/>")
    assert 3 == journal.continue_from(2_000)
    assert [(2001, "<a/>"), (2002, "<b/>"), (2003, "<c/>")] == journal.outbox(0, 10)
    assert 2004 == journal.emit("<d/>")


def test_an_intact_store_keeps_its_numbers(journal: Journal) -> None:
    """Numbers that this store has given are no news."""
    for name in "abc":
        journal.emit(f"<{name}/>")
    assert 0 == journal.continue_from(3)
    assert 0 == journal.continue_from(0)
    assert [1, 2, 3] == [seq for seq, _ in journal.outbox(0, 10)]


def test_refuses_what_closes_the_stream(journal: Journal) -> None:
    """A stanza that the server answers by closing the stream is never journaled: it would come again for ever."""
    limit = outbox.MAX_STANZA
    assert 1 == journal.emit("x" * limit)
    for text in ("x" * (limit + 1), "é" * (limit // 2 + 1)):
        with pytest.raises(StanzaTooLarge):
            journal.emit(text)
    assert 1 == journal.counts().outbox


def test_refuses_when_the_server_is_away_too_long(journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    """At the bound of the outbox the caller hears of it; a covered row makes room."""
    monkeypatch.setattr(outbox, "OUTBOX_MAX", 2)
    journal.emit("<a/>")
    journal.emit("<b/>")
    with pytest.raises(JournalFull):
        journal.emit("<c/>")
    journal.covered(1)
    assert 3 == journal.emit("<c/>")


def test_counts_what_waits(journal: Journal) -> None:
    """The heartbeat's figures are exact, also with holes among the rows."""
    assert Counts(0, 0) == journal.counts()
    rows = journal.take("gen", 3, [(ANN, "<a/>")] * 5)
    for row in rows[1:4]:
        journal.drop(row)
    journal.emit("<b/>")
    assert Counts(2, 1) == journal.counts()


# ---- ids ----------------------------------------------------------------------------------------------------------


def test_a_redelivery_is_seen(journal: Journal) -> None:
    """The same message is new once; another chat, sender, id or kind is another."""
    assert journal.seen(ANN, ANN, "W", "message")
    assert not journal.seen(ANN, ANN, "W", "message")
    assert journal.seen(BOB, ANN, "W", "message")
    assert journal.seen(ANN, BOB, "W", "message")
    assert journal.seen(ANN, ANN, "V", "message")
    assert journal.seen(ANN, ANN, "W", "edit")


def test_finds_pairs_both_ways(journal: Journal) -> None:
    """A pair is found by either id, in its chat only."""
    journal.remember(pair("W", "X"))
    assert pair("W", "X") == journal.by_whatsapp(ANN, "W") == journal.by_xmpp(ANN, "X")
    assert journal.by_whatsapp(BOB, "W") is None
    assert journal.by_xmpp(BOB, "X") is None


def test_the_newer_xmpp_id_counts(journal: Journal) -> None:
    """The same message shown again is known by its newer id."""
    journal.remember(pair("W", "X"))
    journal.remember(pair("W", "Y"))
    assert pair("W", "Y") == journal.by_whatsapp(ANN, "W")
    assert journal.by_xmpp(ANN, "X") is None


def test_nobody_takes_anothers_id(journal: Journal) -> None:
    """A sender who reuses somebody's WhatsApp id does not take over the message behind it."""
    mine = pair("W", "X", from_me=True, sender="me@lid")
    journal.remember(mine)
    journal.remember(pair("W", "Y"))
    assert mine == journal.by_whatsapp(ANN, "W")


def test_a_client_that_repeats_ids_means_the_newest(journal: Journal) -> None:
    """Of two messages under one XMPP id the newest is meant."""
    journal.remember(pair("V", "1", from_me=True))
    journal.remember(pair("W", "1", from_me=True))
    assert pair("W", "1", from_me=True) == journal.by_xmpp(ANN, "1")


def test_unread_up_to_a_marker(journal: Journal) -> None:
    """A marker covers what others wrote up to its message, not the owner's own, not what was marked before."""
    for n in range(1, 6):
        journal.remember(pair(f"W{n}", f"X{n}", from_me=n == 2))
    journal.remember(pair("V", "X3", chat=BOB))
    covered = journal.unread_until(ANN, "X3")
    assert ["W1", "W3"] == [found.whatsapp for found in covered]
    journal.mark_read(covered)
    assert ["W4"] == [found.whatsapp for found in journal.unread_until(ANN, "X4")]
    assert [] == journal.unread_until(ANN, "unknown")


def test_a_marker_on_ones_own_message(journal: Journal) -> None:
    """A marker on the owner's own message covers what stands above it."""
    journal.remember(pair("W1", "X1"))
    journal.remember(pair("W2", "X2", from_me=True))
    assert ["W1"] == [found.whatsapp for found in journal.unread_until(ANN, "X2")]


def test_unread_comes_in_portions(journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    """A long absence is marked read in portions, oldest first."""
    monkeypatch.setattr(ids, "UNREAD_MAX", 2)
    for n in range(3):
        journal.remember(pair(f"W{n}", f"X{n}"))
    first = journal.unread_until(ANN, "X2")
    assert ["W0", "W1"] == [found.whatsapp for found in first]
    journal.mark_read(first)
    assert ["W2"] == [found.whatsapp for found in journal.unread_until(ANN, "X2")]


def test_old_ids_go_by_age(journal: Journal, clock: Clock) -> None:
    """What is older than any use of it is forgotten, without anybody asking for it."""
    journal.seen(ANN, ANN, "old", "message")
    journal.remember(pair("old", "old"))
    clock.now += (ids.PAIR_DAYS + 1) * DAY
    for n in range(PRUNE_EVERY):
        journal.seen(ANN, ANN, str(n), "message")
        journal.remember(pair(str(n), str(n)))
    assert journal.seen(ANN, ANN, "old", "message")
    assert journal.by_whatsapp(ANN, "old") is None
    assert journal.by_whatsapp(ANN, "0") is not None


def test_ids_are_bounded_in_number(journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    """A flood leaves the newest, and never many more than the bound."""
    monkeypatch.setattr(ids, "SEEN_MAX", 300)
    monkeypatch.setattr(ids, "PAIRS_MAX", 300)
    for n in range(2000):
        journal.seen(ANN, ANN, str(n), "message")
        journal.remember(pair(str(n), str(n)))
        counts = journal.db.execute("SELECT (SELECT count(*) FROM seen), (SELECT count(*) FROM pair)").fetchone()
        assert max(counts) <= 300 + PRUNE_EVERY
    assert journal.by_whatsapp(ANN, "1999") is not None
    assert journal.by_whatsapp(ANN, "0") is None


def test_pruning_gives_the_disk_back(journal: Journal, clock: Clock, tmp_path: Path) -> None:
    """Pruned to the end, the file holds fewer pages."""
    for n in range(3000):
        journal.remember(pair(f"{n:0100}", f"{n:0100}"))
    (before,) = journal.db.execute("PRAGMA page_count").fetchone()
    clock.now += 1000 * DAY
    while journal.prune():
        pass
    (after,) = journal.db.execute("PRAGMA page_count").fetchone()
    assert after < before / 4


# ---- settings -----------------------------------------------------------------------------------------------------


def test_settings(journal: Journal) -> None:
    """A setting is kept until it is changed or taken away."""
    assert journal.get("told") == ""
    assert journal.get("told", "nothing") == "nothing"
    journal.set("told", "Banned")
    journal.set("told", "Connected")
    assert journal.get("told") == "Connected"
    journal.set("told", "")
    assert journal.get("told", "nothing") == "nothing"


def test_a_setting_is_no_file(journal: Journal) -> None:
    """A value beyond a line is refused."""
    with pytest.raises(ValueError, match="too long"):
        journal.set("key", "x" * (VALUE_MAX + 1))
