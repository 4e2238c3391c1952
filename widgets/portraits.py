"""Portraits: the small pictures by which people find a run again, taken from the 3D view when there is something to see.

Knows when a run starts, rests and is left; what a picture shows is the business of the view.
"""

import asyncio
from time import monotonic

from param.parameterized import Event

from studio.errors import WorkerError
from widgets.desk import Desk
from widgets.sources import on_loop

WIDTH = 160
"""Pixels across."""
SOON = 5.0
"""Wall time that a run plays before its first picture, s."""


class Portraits:
    """Takes the pictures of the runs that a desk shows.

    Args:
        desk: Its view is the camera.
    """

    def __init__(self, desk: Desk) -> None:
        self.desk, self.store = desk, desk.store
        self._began = monotonic()
        self._due = False
        watch = self.store.param.watch
        watch(desk.guard.around(lambda _event: self._begin()), "run")
        watch(desk.guard.around(self._on_status), "status")
        watch(desk.guard.around(self._on_pending), "pending")

    def refresh(self) -> None:
        """Take the first picture of a run when it is due."""
        if self._due and self.store.status.state == "playing" and monotonic() - self._began > SOON:
            self._due = False
            self.take()

    def take(self) -> None:
        """Take a picture of what is shown; nothing happens where nobody looks."""
        if self.store.entry is not None and not (self.store.compared or self.store.reported) and on_loop():
            self.desk.guard.start(self._take(self.store.entry.id))

    def _begin(self) -> None:
        self._began, self._due = monotonic(), True

    def _on_status(self, event: Event) -> None:
        if (event.old.state, event.new.state) == ("playing", "paused"):
            self.take()

    def _on_pending(self, event: Event) -> None:
        """Another run is wished: this one is about to be left."""
        if event.old is None and event.new is not None:
            self.take()

    async def _take(self, number: int) -> None:
        try:
            picture = await self.desk.viewer.snapshot(WIDTH)
        except WorkerError:  # no page shows the view
            return
        if self.store.entry is not None and self.store.entry.id == number:
            await asyncio.to_thread(self.store.library.set_thumbnail, number, picture)
            self.store.shelf += 1
