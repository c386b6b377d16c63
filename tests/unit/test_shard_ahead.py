"""Rows at hand between the journal and its reader: each once, in order, and few reads."""

import asyncio
from dataclasses import dataclass, field

from hypothesis import given
from hypothesis import strategies as st

from ponton_bridge.shard.ahead import Ahead

PAGE, MOST = 3, 5


@dataclass
class Town:
    """A journal of numbered rows, its reader, and what the reader got."""

    ahead: Ahead[str] = field(default_factory=lambda: Ahead(PAGE, MOST))
    kept: list[tuple[int, str]] = field(default_factory=list)
    got: list[tuple[int, str]] = field(default_factory=list)
    position: int = 0
    reads: int = 0
    during: list[int] = field(default_factory=list)  # rows to be written in the middle of the next reads

    def write(self, count: int) -> list[tuple[int, str]]:
        """Journal rows; gives them."""
        last = self.kept[-1][0] if self.kept else 0
        rows = [(last + each, f"row {last + each}") for each in range(1, count + 1)]
        self.kept += rows
        return rows

    def write_and_bring(self, count: int) -> None:
        """Journal rows and bring them along."""
        self.ahead.bring(self.write(count))

    async def read(self, after: int, most: int) -> list[tuple[int, str]]:
        """Read the journal; others write before and after it looks."""
        self.reads += 1
        before, behind = (self.during.pop(0) if self.during else 0 for _ in range(2))
        self.write_and_bring(before)
        found = [row for row in self.kept if row[0] > after][:most]
        self.write_and_bring(behind)
        await asyncio.sleep(0)
        return found

    async def take(self) -> list[tuple[int, str]]:
        """Have the reader take what comes next."""
        rows = await self.ahead.after(self.position, self.read)
        if rows:
            self.position = rows[-1][0]
        self.got += rows
        return rows

    async def take_all(self) -> None:
        """Have the reader take until there is nothing more."""
        while self.ahead.pending:
            await self.take()


async def test_the_journal_is_read_before_anybody_brought_a_row() -> None:
    """A process that starts finds what is left of the one before, page by page."""
    town = Town()
    town.write(PAGE + 1)
    await town.take_all()
    assert (town.kept, 2) == (town.got, town.reads)


async def test_rows_at_hand_are_not_read() -> None:
    """Nor is an empty journal asked again for nothing."""
    town = Town()
    await town.take_all()
    assert 1 == town.reads
    for _ in range(4):
        town.write_and_bring(2)
        await town.take_all()
    assert (town.kept, 1) == (town.got, town.reads)


async def test_no_more_than_a_page_is_given_at_once() -> None:
    """Whoever takes them can look around between two pages."""
    town = Town()
    await town.take_all()
    town.write_and_bring(PAGE + 1)
    assert [PAGE, 1] == [len(await town.take()), len(await town.take())]


async def test_a_row_that_nobody_brought_is_read_in_its_place() -> None:
    """The ones behind it wait for it."""
    town = Town()
    await town.take_all()
    town.write(1)
    town.write_and_bring(1)
    await town.take_all()
    assert (town.kept, 2) == (town.got, town.reads)


async def test_rows_that_fell_out_are_read() -> None:
    """What is at hand is bounded; the journal is not."""
    town = Town()
    await town.take_all()
    town.write_and_bring(2 * MOST + 1)
    await town.take_all()
    assert town.kept == town.got


async def test_a_row_that_was_read_and_brought_is_given_once() -> None:
    """It is brought while the read that finds it goes on."""
    town = Town()
    town.during = [1, 1]
    town.write(1)
    await town.take_all()
    assert town.kept == town.got


async def test_a_row_is_looked_for_when_somebody_says_so() -> None:
    """Without a row brought, and not before."""
    town = Town()
    await town.take_all()
    town.write(1)
    assert [] == await town.take()
    town.ahead.look()
    await town.take_all()
    assert town.kept == town.got


async def test_news_in_the_middle_of_a_read_is_not_forgotten() -> None:
    """The journal is read once more."""
    town = Town()

    async def read(after: int, most: int) -> list[tuple[int, str]]:
        rows = await town.read(after, most)
        town.write(1)
        town.ahead.look()
        return rows

    assert [] == await town.ahead.after(0, read)
    assert town.ahead.pending
    await town.take_all()
    assert town.kept == town.got


async def test_what_is_cleared_comes_from_the_journal_again() -> None:
    """As when a stream ends and the next one begins at an earlier row."""
    town = Town()
    await town.take_all()
    town.write_and_bring(2)
    await town.take_all()
    town.write_and_bring(2)
    town.ahead.clear()
    assert not town.ahead.pending
    town.position, town.got = 1, []
    town.ahead.look()
    await town.take_all()
    assert town.kept[1:] == town.got


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("brought"), st.integers(0, 2 * MOST)),
        st.tuples(st.just("told"), st.integers(0, 2 * PAGE)),
        st.tuples(st.just("taken"), st.integers(1, 3)),
        st.tuples(st.just("during"), st.integers(0, PAGE)),
    ),
    max_size=30,
)


@given(STEPS)
def test_each_row_is_given_once_and_in_order_whatever_comes_between(steps: list[tuple[str, int]]) -> None:
    """Rows brought, rows only told of, reads with rows written in their middle: nothing missing, nothing twice."""

    async def play() -> Town:
        town = Town()
        for step, count in steps:
            match step:
                case "brought":
                    town.write_and_bring(count)
                case "told":
                    town.write(count)
                    town.ahead.look()
                case "during":
                    town.during.append(count)
                case _:
                    for _ in range(count):
                        await town.take()
        town.during.clear()
        await town.take_all()
        return town

    town = asyncio.run(play())
    assert town.kept == town.got
