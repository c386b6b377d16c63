"""The host's view of one account as people see it: its last day as plots, what happened to it; and 10,000 accounts."""

import os
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from playwright.async_api import Page, expect

from ponton_bridge.coordination.contract import Happening, Heartbeat, Keys
from ponton_bridge.core.day import BUCKET, BUCKETS, Day
from ponton_bridge.model.states import Reason
from ponton_operator.resources.account import AccountStatus, RetryStatus, ShardStatus, account_name
from ponton_operator.resources.base import Condition, Truth, moment
from ponton_operator.selfservice import languages
from tests.browser.conftest import Watched
from tests.browser.test_pages import ADMIN, DESK, NAME, PHONE, STATES, Look, Scheme, log_in
from tests.harness.redis import running_redis
from tests.integration.portal_bed import GATEWAY, Bed, portal_bed
from tests.unit.desk_world import ALICE, DOMAIN
from tests.unit.test_hosting import account

MANY = 10_000
TOOK = "() => performance.getEntriesByType('navigation')[0].loadEventEnd"
STROKE = "(path) => getComputedStyle(path).stroke"
BOX = "(path) => { const box = path.getBoundingClientRect(); return [box.width, box.height]; }"


@pytest.fixture
async def bed(tmp_path: Path) -> AsyncIterator[Bed]:
    """A portal on a Redis of its own, with one account that has had a day."""
    async with running_redis(tmp_path / "redis") as redis, portal_bed(redis, hosts=[ADMIN]) as made:
        await made.accounts.create(ALICE)
        await made.beat(ALICE, Reason.CONNECTED, queue_out=2, rss=74 * 1024)
        await live_a_day(made)
        yield made


async def live_a_day(bed: Bed) -> None:
    """Leave what a shard and the control plane leave: quiet at night, a flood at noon, an hour in which nothing ran."""
    now, day, total = time.time(), Day(), 0
    for number in range(BUCKETS):
        at = now - (BUCKETS - number) * BUCKET
        if 200 <= number < 212:
            continue
        total += 0 if number < 90 else number % 7 + (60 if 140 <= number < 150 else 0)
        waits = 40 if 140 <= number < 152 else number % 3
        day.note(Heartbeat(1, "i", at, sent=total, queue_in=waits, rss=(62 + number % 9 + number // 20) * 1024))
    await bed.redis.call("SET", Keys(GATEWAY, NAME).day, day.to_text())
    await bed.portal.door.record([
        (NAME, Happening(now - 86000, state="Starting Starting", started=1_795_000_000_000)),
        (NAME, Happening(now - 85990, state="Running Connected", turned="Ready=True Paired=True")),
        (NAME, Happening(now - 26000, ended="70", state="Starting Starting", turned="Ready=False")),
        (NAME, Happening(now - 22400, state="Running Connected", started=1_795_000_060_000, turned="Ready=True")),
        (NAME, Happening(now - 9000, tier="large")),
        (NAME, Happening(now - 60, deed="start", by=account_name(DOMAIN, ADMIN))),
    ])  # fmt: skip
    await bed.redis.call("HSET", Keys(GATEWAY, NAME).heartbeat, "time", str(now), "sent", "140", "received", "960")
    conditions = tuple(
        Condition(
            type=kind, status=Truth.TRUE, reason=reason, message=sentence, last_transition_time=moment(now - 22400)
        )
        for kind, reason, sentence in (
            ("Ready", "Connected", "Linked with WhatsApp."),
            ("Paired", "Paired", "The device is linked."),
        )
    )
    status = AccountStatus(
        conditions=conditions,
        phase="Running", reason="Connected", paired=True, epoch=1_795_000_060_000,
        shard=ShardStatus(epoch=1_795_000_060_000, started=moment(now - 22400), ended=None, exit_code=70),
        retry=RetryStatus(failures=2),
    )  # fmt: skip
    bed.accounts.accounts[NAME] = bed.accounts.accounts[NAME].model_copy(update={"status": status})


async def see(page: Page, bed: Bed) -> None:
    """Open the account as the host."""
    await log_in(page, bed, ADMIN)
    await page.goto(f"{bed.base}/host/account/{NAME}")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [PHONE, DESK], ids=["phone", "desk"])
async def test_the_day_is_for_everybody(bed: Bed, watched: Watched, size: dict[str, int], scheme: Scheme) -> None:
    """No rule of WCAG 2.2 AA is broken, nothing is wider than the screen; each line is there, and can be told apart."""
    page = await watched.person(viewport=size, color_scheme=scheme)
    await see(page, bed)
    shots = f"{'phone' if size is PHONE else 'desk'}-{scheme}" if os.environ.get("SHOTS") == "1" else ""
    look = Look([], shots)
    await look(page, "host-day")
    assert [] == look.wrong
    for name in ("messages", "waiting", "memory"):
        plot = page.locator(f"#plot-{name}")
        line, grid = plot.locator(".line"), plot.locator(".day")
        width, height = await line.evaluate(BOX)
        assert width > size["width"] / 2
        assert height > 10
        assert await line.evaluate(STROKE) not in {"none", await grid.evaluate(STROKE)}


async def test_the_figures_are_said_in_words(bed: Bed, watched: Watched) -> None:
    """Who does not see the lines hears what they say: a name for each, and latest, highest and lowest."""
    page = await watched.person(viewport=DESK)
    await see(page, bed)
    plot = page.get_by_role("img", name="Messages in 5 minutes")
    await expect(plot).to_have_accessible_description("Latest 0, highest 66, lowest 0.")
    await expect(page.get_by_role("img", name="Waiting, at most")).to_be_visible()
    await expect(page.get_by_role("img", name="Memory, at most, in MiB")).to_be_visible()


async def test_what_happened_is_told_newest_first(bed: Bed, watched: Watched) -> None:
    """And a button that the host presses stands on top at once, with who pressed it."""
    page = await watched.person(viewport=DESK)
    await see(page, bed)
    rows = page.locator("#history tbody tr")
    await expect(rows.nth(0)).to_contain_text(f"start, by {ADMIN}")
    await expect(rows.nth(1)).to_contain_text("size large")
    await expect(rows).to_have_count(6)
    await page.click("#do-park")
    await expect(rows.nth(0)).to_contain_text(f"park, by {ADMIN}")
    await expect(rows).to_have_count(7)


@pytest.mark.parametrize("language", languages.NAMES)
async def test_the_day_fits_in_every_language(bed: Bed, watched: Watched, language: str) -> None:
    """Longer words break nothing on a small screen."""
    page = await watched.person(viewport=PHONE, locale=language)
    await see(page, bed)
    look = Look([])
    await look(page, language)
    assert [] == look.wrong
    await expect(page.locator("html")).to_have_attribute("lang", language)


async def test_ten_thousand_accounts_in_a_browser(bed: Bed, watched: Watched) -> None:
    """First page, a choice and paging show what they should; how long each took is printed, and benched elsewhere."""
    for number in range(MANY):
        made = account(number, *STATES[number % 3])
        bed.accounts.accounts[account_name(DOMAIN, made.spec.owner)] = made
    page = await watched.person(viewport=DESK)
    await log_in(page, bed, ADMIN)
    while len(bed.portal.live.rows) < MANY:
        await page.reload()
    await page.goto(f"{bed.base}/host")
    took = {"first page": await page.evaluate(TOOK)}
    await expect(page.locator("#found")).to_contain_text(f"{MANY + 1} accounts")
    await page.select_option("#phase", "Parked")
    await page.click(".filters button >> nth=0")
    await expect(page.locator("#found")).to_contain_text(f"{MANY // 3} accounts")
    took["choice"] = await page.evaluate(TOOK)
    await expect(page.locator("tbody tr")).to_have_count(50)
    await page.click(".pages a >> nth=0")
    await expect(page.locator("#found")).to_contain_text("page 2 of")
    took["next page"] = await page.evaluate(TOOK)
    print({name: f"{milliseconds:.0f} ms" for name, milliseconds in took.items()})  # noqa: T201  # a figure
