"""The front desk's stream: the same protocol as a shard's, with the role `gateway` and no owner.

What came in counts as safe once it was answered, so a request that a crash cut short comes again; all requests are
idempotent. Called by `programs.frontdesk`.
"""

import asyncio

from ponton_bridge.xmpp.stream import Arrived, Closed, Opened, ShardStream, StreamSettings
from ponton_operator.selfservice.xmpp.desk import Desk
from ponton_operator.selfservice.xmpp.events import DeskEvent, Report


class DeskSettings(StreamSettings):
    """Settings of the stream; `owner` is empty."""

    def header(self, cursor: str | None) -> str:
        """Write the opening tag without an owner, which makes it the gateway's (component-shards/1, 1.2)."""
        whole = super().header(cursor)
        return whole.replace(" from=''", " sh:role='gateway'", 1)


async def serve(stream: ShardStream, desk: Desk, report: Report) -> bool:
    """Feed the desk from the stream until it ends; False when a newer front desk has taken over."""
    running = asyncio.create_task(stream.run())
    feeding = asyncio.create_task(_feed(stream, desk, report))
    try:
        await asyncio.wait([running, feeding], return_when=asyncio.FIRST_COMPLETED)
        if feeding.done():
            feeding.result()  # raises what went wrong: the program ends with it, nothing fails in silence
        return (await running) is None
    finally:
        feeding.cancel()
        running.cancel()
        await asyncio.gather(feeding, running, return_exceptions=True)
        await desk.close()


async def _feed(stream: ShardStream, desk: Desk, report: Report) -> None:
    while True:
        match await stream.inbox.get():
            case Arrived(ticket, stanza):
                task = desk.receive(stanza)
                if task is None:
                    stream.done(ticket)
                else:
                    task.add_done_callback(lambda _, ticket=ticket: stream.done(ticket))  # type: ignore[misc]
            case Opened():
                report(DeskEvent.STREAM_OPENED, None)
            case Closed():
                report(DeskEvent.STREAM_CLOSED, None)
