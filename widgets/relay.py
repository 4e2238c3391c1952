"""Relay: one clock that serves many documents in turn, for those that are only looked at.

A clock for each of them would spend most of its time on Panel's light for busy pages. Knows documents and must not know what
they show.
"""

import asyncio
from collections import deque
from collections.abc import Callable

from bokeh.document import Document
from panel.io.document import unlocked
from panel.io.state import set_curdoc

from widgets.alerts import Handed

Undo = Callable[[], None]


class Relay:
    """Serves one document after the other, round and round; in between, the server does what else there is to do.

    Args:
        pause: Seconds until the next one is served.
    """

    def __init__(self, pause: Callable[[], float]) -> None:
        self._pause = pause
        self._round: deque[tuple[Document, Callable[[], None], Callable[[Exception], None]]] = deque()
        self._clock: asyncio.TimerHandle | None = None
        self._last = 0.0

    def join(self, document: Document, serve: Callable[[], None], on_error: Callable[[Exception], None]) -> Undo:
        """Serve a document from now on, with messages that need no lock: models stay as they are.

        Args:
            document: Whose page it is.
            serve: Called whenever it is its turn.
            on_error: Called with what `serve` raises.

        Returns:
            A function that takes it out; calling it again does nothing.
        """
        member = (document, serve, on_error)
        self._round.append(member)
        if self._clock is None:
            self._clock = asyncio.get_running_loop().call_later(self._pause(), self._beat)

        def leave() -> None:
            if member in self._round:
                self._round.remove(member)

        return leave

    def _beat(self) -> None:
        """Serve whose turn came since the last beat; a server that is busy elsewhere beats late."""
        self._clock = None
        if not self._round:
            return
        loop = asyncio.get_running_loop()
        passed, self._last = loop.time() - self._last, loop.time()
        for _ in range(min(len(self._round), max(1, round(passed / self._pause())))):
            document, serve, on_error = self._round[0]
            self._round.rotate(-1)
            with Handed(on_error), set_curdoc(document), unlocked():
                serve()
        self._clock = loop.call_later(self._pause(), self._beat)
