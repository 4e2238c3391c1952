"""Pump: the one clock of a document; it takes the newest frame of a stream at display rate and hands it to whoever shows it.

A periodic callback of the document, no thread. It knows a stream and its listeners and must not know what they draw. What a
listener raises goes to `on_error`, never into the event loop.
"""

import time
from collections import deque
from collections.abc import Callable
from typing import Any

import panel as pn

from studio.frame import Frame, FrameStream, Subscription
from widgets.alerts import Handed

Listener = Callable[[Frame], None]
Undo = Callable[[], None]


class Pump:
    """From one stream to many listeners, at most `rate` times a second.

    Args:
        on_error: Called with each error of a listener or of the stream.
        rate: Frames per second at most.
    """

    def __init__(self, on_error: Callable[[Exception], None], rate: float = 40.0) -> None:
        self.on_error, self.rate = on_error, rate
        self._listeners: list[Listener] = []
        self._cursor: Subscription | None = None
        self._clock: Any = None
        self._times: deque[float] = deque(maxlen=240)

    @property
    def running(self) -> bool:
        """Whether the clock ticks."""
        return self._clock is not None

    @property
    def fps(self) -> float:
        """Frames handed on per second, over the last two seconds."""
        now = time.monotonic()
        return sum(now - then <= 2.0 for then in self._times) / 2.0

    def connect(self, listener: Listener) -> Undo:
        """Hand every frame to `listener` from now on.

        Returns:
            A function that takes the connection back; calling it again does nothing.
        """
        self._listeners.append(listener)

        def undo() -> None:
            self._listeners[:] = [each for each in self._listeners if each is not listener]

        return undo

    def watch(self, stream: FrameStream | None) -> Undo:
        """Take frames from `stream` in place of the one before; from none, nothing comes.

        Returns:
            A function that stops watching, unless another stream has taken its place.
        """
        cursor = self._cursor = None if stream is None else stream.subscribe()

        def undo() -> None:
            if self._cursor is cursor:
                self._cursor = None

        return undo

    def start(self) -> Undo:
        """Start the clock in the current document; it stops with the session.

        Returns:
            `stop`.
        """
        if self._clock is None:
            self._clock = pn.state.add_periodic_callback(self.tick, period=round(1000 / self.rate))
            self._clock.log = False
            if pn.state.curdoc is not None:
                pn.state.on_session_destroyed(lambda _session: self.stop())
        return self.stop

    def stop(self) -> None:
        """Stop the clock; listeners stay connected."""
        clock, self._clock = self._clock, None
        if clock is not None:
            clock.stop()

    def tick(self) -> None:
        """Hand on the newest frame, if there is one that was not handed on."""
        frame = None
        with Handed(self.on_error):
            frame = self._cursor.latest() if self._cursor is not None else None
        if frame is None:
            return
        self._times.append(time.monotonic())
        for listener in tuple(self._listeners):
            with Handed(self.on_error):
                listener(frame)
