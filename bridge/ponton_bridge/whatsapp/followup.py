"""What has to be done some time after an event, because WhatsApp's library does not tell: timers on the loop.

Part of both drivers. Contacts change silently in the library's store, so it is read again (and told when it has
changed); an unreadable message is final when no retry has brought it.
"""

import asyncio
from collections.abc import Callable
from typing import Final

from ponton_bridge.model.states import Reason
from ponton_bridge.whatsapp import port

REFRESH: Final = (2.0, 8.0, 30.0, 120.0)  # seconds after a connect: the phone shares its contacts within the first
REFRESH_EVERY: Final = 900.0  # seconds afterwards
FINAL_AFTER: Final = 60.0  # seconds; retries come within a second, a phone may take longer
MAX_UNREADABLE: Final = 1000  # that are waited for


class Followup:
    """Timers of one driver; all methods on the loop, but `learned` wherever `bring` may be called.

    `put` and `bring` tell an event, on the loop and from `learned`; `refresh` begins to read the address book again.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        *,
        put: Callable[[port.Event], None],
        bring: Callable[[port.Event], None],
        refresh: Callable[[], None],
    ) -> None:
        self._loop, self._put, self._bring, self._refresh = loop, put, bring, refresh
        self._unreadable: dict[str, tuple[port.Undecryptable, asyncio.TimerHandle]] = {}
        self._refreshing: asyncio.TimerHandle | None = None
        self._step = 0
        self._last: tuple[port.Contact, ...] = ()
        self._sure = False  # the last book was read twice

    @property
    def first_refresh(self) -> bool:
        """Tell whether this is the first reading after a connect."""
        return self._step == 1

    def heard(self, event: port.Event) -> None:
        """Look at every event."""
        match event:
            case port.Undecryptable(final=False):
                self._wait_for(event)
            case port.Message(id=id_):
                self._forget(id_)
            case port.Link(Reason.CONNECTED):
                self._step = 0
                self._schedule()
            case _:
                pass

    def pause(self) -> None:
        """Stop what needs a session."""
        if self._refreshing is not None:
            self._refreshing.cancel()
            self._refreshing = None

    def stop(self) -> None:
        """Stop everything; what was waited for is told as final."""
        self.pause()
        for id_ in list(self._unreadable):
            self._final(id_)

    # ---- unreadable messages ----------------------------------------------------------------------------------

    def _wait_for(self, event: port.Undecryptable) -> None:
        if event.id in self._unreadable:
            return
        if len(self._unreadable) >= MAX_UNREADABLE:
            self._final(next(iter(self._unreadable)))
        self._unreadable[event.id] = (event, self._loop.call_later(FINAL_AFTER, self._final, event.id))

    def _forget(self, id_: str) -> None:
        if (waiting := self._unreadable.pop(id_, None)) is not None:
            waiting[1].cancel()

    def _final(self, id_: str) -> None:
        event, timer = self._unreadable.pop(id_)
        timer.cancel()
        self._put(port.Undecryptable(event.id, event.chat, event.sender, event.time, final=True))

    # ---- the address book -------------------------------------------------------------------------------------

    def _schedule(self) -> None:
        if self._refreshing is not None:
            self._refreshing.cancel()
        delay = REFRESH[self._step] if self._step < len(REFRESH) else REFRESH_EVERY
        self._refreshing = self._loop.call_later(delay, self._due)

    def _due(self) -> None:
        self._refreshing = None
        self._step += 1
        self._refresh()
        self._schedule()

    def learned(self, known: port.Contacts, groups: tuple[port.Contact, ...]) -> None:
        """Tell the address book if it has changed, and the groups' names.

        As complete (who is missing is gone) only when two readings agree: after linking it comes in pieces.
        """
        if known.entries and known.entries != self._last:
            self._last, self._sure = known.entries, False
            self._bring(port.Contacts(known.entries))
        elif known.complete and not self._sure:
            self._sure = True
            self._bring(known)
        if groups:
            self._bring(port.Contacts(groups))
