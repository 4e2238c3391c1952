"""Delivery: a kept run becomes a file on the user's disk - written in a thread, sent in pieces, each when the last has arrived.

So a long trajectory is never in memory as a whole, here, and the page stays awake. Knows parcels and pieces; must not know the
list that asks for them.
"""

import asyncio
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from time import monotonic
from typing import Any

from studio.entry import Entry
from studio.errors import WorkerError
from studio.parcel import KINDS, megabytes, pack

PIECE = 1 << 20
"""Bytes of one message."""
PATIENCE = 60.0
"""Wall time after which a page that takes no piece is given up, s."""
LOOK = 0.25
"""Wall time between two looks at how far the file is, s."""

Send = Callable[[dict[str, Any]], None]
Tell = Callable[[str, float], None]


class Delivery:
    """Brings files to the page, one at a time; a newer one takes the place of the one before.

    Args:
        send: Sends a message to the page.
        tell: Called with a sentence and a fraction; with an empty sentence at the end.
    """

    def __init__(self, send: Send, tell: Tell) -> None:
        self._send, self._tell = send, tell
        self._number = 0
        self._arrived: asyncio.Future[None] | None = None

    def stop(self) -> None:
        """Call off what is on its way."""
        self._number += 1
        self._tell("", 0.0)
        if self._arrived is not None:
            self._arrived.cancel()

    def arrived(self, number: int) -> None:
        """The page has taken a piece and wants the next.

        Args:
            number: Of the delivery, as sent with the piece.
        """
        if number == self._number and self._arrived is not None and not self._arrived.done():
            self._arrived.set_result(None)

    async def deliver(self, entry: Entry, kind: str) -> None:
        """Write a file and send it.

        Args:
            entry: The run.
            kind: One of `KINDS`.

        Raises:
            StudioError: It cannot be written.
        """
        self.stop()
        number, name = self._number, f"run-{entry.id}{KINDS[kind].ending}"
        with tempfile.TemporaryDirectory(prefix="potential-studio-") as folder:
            path = Path(folder) / name
            try:
                await self._write(entry, kind, path, number)
                await self._bring(path, number)
            except asyncio.CancelledError:
                if number == self._number:
                    raise
            except TimeoutError as problem:
                raise WorkerError(f"The page did not take '{name}'. Keep it in front while a file is sent, and try again.") from problem
            finally:
                if number == self._number:
                    self._tell("", 0.0)

    async def _write(self, entry: Entry, kind: str, path: Path, number: int) -> None:
        """Write the file; a writer that was called off ends in its own time, since a thread cannot be stopped."""
        work = asyncio.ensure_future(asyncio.to_thread(pack, entry, kind, path))
        expected, began = megabytes(entry, kind) * 1e6, monotonic()
        while not (await asyncio.wait({work}, timeout=LOOK))[0]:
            if number == self._number:
                self._say("Writing", min(_size(path.parent) / expected, 1.0), began)
        await work

    async def _bring(self, path: Path, number: int) -> None:
        size, sent, began = path.stat().st_size, 0, monotonic()
        with path.open("rb") as file:
            while number == self._number and (sent < size or sent == 0):
                data = await asyncio.to_thread(partial(file.read, PIECE))
                sent += len(data)
                self._arrived = asyncio.get_running_loop().create_future()
                self._send({"type": "piece", "number": number, "name": path.name, "data": data, "last": sent >= size})
                await asyncio.wait_for(self._arrived, PATIENCE)
                if number == self._number:
                    self._say("Sending", sent / max(size, 1), began)
                if not data:
                    return

    def _say(self, what: str, fraction: float, began: float) -> None:
        passed = monotonic() - began
        left = f", about {passed * (1 - fraction) / fraction:.0f} s left" if fraction > 0.05 and passed > 2 else ""
        self._tell(f"{what} the file{left}", fraction)


def _size(folder: Path) -> int:
    """Bytes that lie in a folder; what vanishes meanwhile counts nothing."""
    total = 0
    for path in folder.iterdir():
        try:
            total += path.stat().st_size
        except OSError:
            continue
    return total
