"""`ponton shard`: one account's process, from its configuration to its exit code (docs/shard.md).

The order of the start is the fence: the store's lock first, then the epoch at the XMPP server,
WhatsApp last. A part that fails ends the process with one clear event; whoever runs it starts it again.
"""

import asyncio
import os
import signal
import sys
import time
from functools import partial
from pathlib import Path
from typing import Final

from ponton_bridge.coordination.client.shard import ShardClient
from ponton_bridge.coordination.contract import Keys, StateChange
from ponton_bridge.shard.account import Account
from ponton_bridge.shard.config import EX_CONFIG, EX_OK, EX_SOFTWARE, EX_TEMPFAIL, Config, ConfigError, read_config
from ponton_bridge.shard.driver import Make
from ponton_bridge.shard.ending import LastState, leave
from ponton_bridge.shard.events import Event
from ponton_bridge.shard.logs import Log
from ponton_bridge.shard.shard import Shard
from ponton_bridge.store.errors import StaleStore, StoreError, StoreLocked
from ponton_bridge.store.journal import Journal
from ponton_bridge.store.opening import open_store
from ponton_bridge.store.worker import JournalWorker
from ponton_bridge.whatsapp import port
from ponton_bridge.whatsapp.core_driver import place
from ponton_bridge.whatsapp.neonize_driver import stdio

LAST_WORDS: Final = "whatsapp-last-words.txt"  # what the Go library writes when it dies


def main(arguments: list[str]) -> int:
    """Run a shard; the exit codes are those of docs/shard.md."""
    if arguments:
        sys.stderr.write("ponton shard takes no arguments: it is configured by its environment (docs/shard.md).\n")
        return EX_CONFIG
    try:
        config = read_config(os.environ)
    except ConfigError as error:
        sys.stderr.write(f"{Event.CONFIG_REFUSED}: this shard cannot start.\n{error.sentence}\n")
        return EX_CONFIG
    stdio.keep_apart(config.store / LAST_WORDS)
    log = Log(config.log_level, bound={"account": config.account, "epoch": config.epoch, "instance": config.instance})
    log.catch_libraries()
    code = asyncio.run(serve(config, log, driver_of(config)))
    sys.stderr.flush()
    os._exit(code)  # the Go library's threads (neonize) may call back while the interpreter is being taken down


def driver_of(config: Config) -> Make:
    """Give what makes this shard's driver: the one that the host has chosen, else the core where it is installed."""
    program = place.program()
    if place.chosen(config.whatsapp, program) == place.NEONIZE:
        return neonize
    return partial(core, program or Path(place.PROGRAM))


def neonize(database: Path) -> port.WhatsApp:
    """Make the driver within this process; imported here, after the XMPP server has let us in."""
    from ponton_bridge.whatsapp.neonize_driver.driver import NeonizeDriver  # noqa: PLC0415 - see above

    return NeonizeDriver(database)


def core(program: Path, database: Path) -> port.WhatsApp:
    """Make the driver with a process of its own."""
    from ponton_bridge.whatsapp.core_driver.driver import CoreDriver  # noqa: PLC0415 - as above

    return CoreDriver(database, program)


async def serve(config: Config, log: Log, make: Make) -> int:
    """Open the store and run the shard until it is told to end or cannot go on; gives the exit code."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, partial(_asked_to_stop, log, stop))
    client = ShardClient(
        config.redis_url,
        Keys(config.gateway, config.account),
        config.epoch,
        config.instance,
        changed=lambda away: log(Event.REDIS_LOST if away else Event.REDIS_FOUND, "warning"),
    )
    try:
        journal = await asyncio.to_thread(open_store, config.store, config.epoch, previous=config.previous_epoch)
    except StoreError as error:
        return await _refused(config, log, client, error)
    log(Event.SHARD_STARTED, pid=os.getpid())
    try:
        reason = await _run(config, log, make, client, journal, stop)
    except Exception as error:  # noqa: BLE001 - the last place where anything can be said about it
        log.failure(Event.SHARD_CRASHED, error)
        return EX_SOFTWARE
    log(Event.SHARD_STOPPED, reason=reason)
    return EX_OK


async def _run(config: Config, log: Log, make: Make, client: ShardClient, journal: Journal, stop: asyncio.Event) -> str:
    account = Account(config, log, JournalWorker(journal))
    try:
        shard = await Shard.make(account, make, client)
        return await shard.run(stop)
    finally:
        await account.journal.close()


async def _refused(config: Config, log: Log, client: ShardClient, error: StoreError) -> int:
    """Say why the store cannot be used, where the operator looks for it."""
    log.failure(Event.STORE_REFUSED, error, reason=error.reason)
    if isinstance(error, StoreLocked):
        return EX_TEMPFAIL
    now = time.time()
    if isinstance(error, StaleStore):
        await asyncio.to_thread(leave, config.store, LastState(config.epoch, config.instance, error.reason, now))
        client.publish_state(StateChange(config.account, config.epoch, config.instance, error.reason, now))
        await client.release()
        return EX_OK
    return EX_SOFTWARE


def _asked_to_stop(log: Log, stop: asyncio.Event) -> None:
    log(Event.SIGNAL_RECEIVED)
    stop.set()
