"""The host's table of 10,000 accounts in Debian's Chromium: how long a page takes until it is drawn. Part of `portal`.

The portal is the real program on a folder of as many accounts and statuses; their shards' heartbeats and days are put
into Redis as they would write them. Times are the browser's own, from the click to the end of loading.
"""

import time
from dataclasses import replace
from pathlib import Path
from typing import Final

from playwright.async_api import Page

from ponton_bridge.coordination.contract import Heartbeat, Keys
from ponton_bridge.core.day import BUCKET, BUCKETS, Day
from ponton_operator.resources.account import AccountSpec, AccountStatus, BridgeAccount, GatewayRef, account_name
from ponton_operator.resources.base import Condition, Metadata, Truth
from ponton_operator.resources.conditions import Type
from ponton_operator.resources.yamlfile import dump
from tests.bench.figures import Figures, Line, at_most, quantile
from tests.bench.portal_field import Field, field
from tests.browser.conftest import chromium
from tests.harness.prosody import until
from tests.harness.redis import RedisServer
from tests.integration.portal_bed import GATEWAY
from tests.unit.desk_world import DOMAIN, NOW

ACCOUNTS: Final = 10_000
LOADS: Final = 20  # of each page
MUST: Final = 300.0  # milliseconds until a page is drawn, nine times of ten
DAY_BYTES: Final = 4096.0  # of Redis, for an account's day
HOST: Final = "admin@example.org"
STATES: Final = (("Running", "Connected"), ("Parked", "LoggedOut"), ("Failed", "Crashing"))
TOOK: Final = "() => performance.getEntriesByType('navigation')[0].loadEventEnd"
PAGE: Final = 1000  # accounts of one round trip


def write_accounts(folder: Path, count: int) -> list[str]:
    """Write accounts and statuses as the runtime would; gives their names. Made of text: 20,000 dumps take minutes."""
    texts = [_texts(*state) for state in STATES]
    names = []
    for number in range(count):
        owner = f"owner{number}@example.org"
        name = account_name(DOMAIN, owner)
        for ending, text in zip((".yaml", ".status.yaml"), texts[number % len(texts)], strict=True):
            (folder / f"{name}{ending}").write_text(text.replace("acc-name", name).replace("owner@", f"owner{number}@"))
        names.append(name)
    return names


def _texts(phase: str, reason: str) -> tuple[str, str]:
    """Give the two files of an account, with a name and an owner to be replaced."""
    wanted = BridgeAccount(
        metadata=Metadata(name="acc-name", creation_timestamp=NOW),
        spec=AccountSpec(owner="owner@example.org", gateway_ref=GatewayRef(name=GATEWAY)),
    )
    kinds = (Type.READY, Type.POD_SCHEDULED, Type.XMPP_CONNECTED, Type.PAIRED, Type.WHATSAPP_CONNECTED, Type.UP_TO_DATE)
    conditions = tuple(
        Condition(type=kind, status=Truth.TRUE, reason=reason, message="As it should be.", last_transition_time=NOW)
        for kind in kinds
    )
    status = AccountStatus(phase=phase, reason=reason, paired=True, epoch=1_795_000_000_000, conditions=conditions)
    return dump(wanted), dump(wanted.model_copy(update={"status": status}))


async def beat(portal: Field, names: list[str]) -> float:
    """Leave what shards leave; gives the bytes of Redis that one account's day takes."""
    day, beating = Day(), Heartbeat(1, "i", time.time(), reason="Connected", rss=70 * 1024)
    for number in range(BUCKETS):
        day.note(replace(beating, time=beating.time - (BUCKETS - number) * BUCKET, sent=number * 7))
    flat = [part for pair in beating.to_redis().items() for part in pair]
    for start in range(0, len(names), PAGE):
        commands: list[list[str | float]] = []
        for name in names[start : start + PAGE]:
            keys = Keys(GATEWAY, name)
            commands += [["HSET", keys.heartbeat, *flat], ["SET", keys.day, day.to_text()]]
        await portal.wire.calls(commands, seconds=20)
    return float(await portal.wire.call("MEMORY", "USAGE", Keys(GATEWAY, names[0]).day))


async def measure_table(folder: Path, redis: RedisServer, *, short: bool) -> tuple[Figures, list[Line]]:
    """Open the first page, choose, and go to a page further back, again and again."""
    count, loads = (300, 3) if short else (ACCOUNTS, LOADS)
    async with field(folder, redis, [HOST], hosts=[HOST], fill=lambda where: write_accounts(where, count)) as portal:
        day = await beat(portal, [account_name(DOMAIN, f"owner{number}@example.org") for number in range(count)])
        async with chromium() as browser:
            context = await browser.new_context(locale="en-GB")
            await context.add_cookies([{"name": f"ponton-{GATEWAY}", "value": portal.cookies[0], "url": portal.base}])
            page = await context.new_page()
            await until(lambda: _knows(page, portal, count), what="the portal to know all accounts", timeout=300)
            first = [await _took(page, f"{portal.base}/host") for _ in range(loads)]
            chosen = [await _chosen(page, portal) for _ in range(loads)]
            last = [await _took(page, f"{portal.base}/host?page={count // 100}") for _ in range(loads)]
    figures = {
        "accounts": count,
        **{
            f"table_{name}_ms_{share}": round(quantile(took, part), 1)
            for name, took in (("first_page", first), ("filter", chosen), ("later_page", last))
            for share, part in (("median", 0.5), ("p90", 0.9))
        },
        "day_bytes_of_redis": day,
    }
    many = f"of {count} accounts, 9 of 10, in Chromium"
    return figures, [
        at_most(f"the first page {many}", MUST, quantile(first, 0.9), "ms"),
        at_most(f"a choice {many}", MUST, quantile(chosen, 0.9), "ms"),
        at_most("Redis for an account's last day", DAY_BYTES, day, "bytes"),
    ]


async def _knows(page: Page, portal: Field, count: int) -> bool:
    await page.goto(f"{portal.base}/host")
    return await page.locator("#found").inner_text() != "" and f"{count} account" in await page.inner_text("#found")


async def _took(page: Page, url: str) -> float:
    await page.goto(url)
    return float(await page.evaluate(TOOK))


async def _chosen(page: Page, portal: Field) -> float:
    """Choose the parked ones by the form, from the first page."""
    await page.goto(f"{portal.base}/host")
    await page.select_option("#phase", "Parked")
    await page.click(".filters button >> nth=0")
    await page.wait_for_url("**/host?phase=Parked*")
    return float(await page.evaluate(TOOK))
