"""Flow: how many frames may be on their way to a browser, and which one goes next.

It knows frames, numbers and times, and must not know what carries them or who draws them.
"""

from collections import deque
from dataclasses import dataclass, field

from studio.frame import Frame

PATIENCE = 5.0
"""Seconds after which a frame without acknowledgement counts as lost and the newest one is sent."""

WINDOW = 2
"""Frames that may be on their way at once."""


@dataclass
class Flow:
    """Flow control: at most `WINDOW` frames on their way, one waiting, newest wins.

    Two on their way keep the browser busy: one travels while the other is drawn.
    """

    delivered: int = 0
    ready: bool = False
    waiting: Frame | None = None
    last: Frame | None = None
    number: int = 0
    sent: dict[int, float] = field(default_factory=dict)
    times: deque[float] = field(default_factory=lambda: deque(maxlen=240))

    def restart(self) -> None:
        """Hold everything until the browser has loaded the molecule; what waited is dropped."""
        self.ready, self.waiting, self.last = False, None, None
        self.sent.clear()

    def open(self) -> None:
        """The browser is ready, or ready again after a reconnect: then the last frame is due once more."""
        self.ready = True
        self.sent.clear()
        self.waiting = self.waiting or self.last

    def offer(self, frame: Frame) -> None:
        """Make `frame` the one that waits."""
        self.waiting = frame

    def take(self, now: float) -> Frame | None:
        """The frame to send at time `now`, or none; its number is `number`."""
        if self.sent and now - max(self.sent.values()) >= PATIENCE:
            self.sent.clear()
        if not self.ready or self.waiting is None or len(self.sent) >= WINDOW:
            return None
        self.last, self.waiting = self.waiting, None
        self.number += 1
        self.sent[self.number] = now
        return self.last

    def acknowledge(self, number: int, now: float) -> None:
        """The browser has drawn frame `number`; earlier ones went into the same picture."""
        if number in self.sent:
            self.sent = {later: then for later, then in self.sent.items() if later > number}
            self.delivered += 1
            self.times.append(now)

    def rate(self, now: float, window: float = 2.0) -> float:
        """Acknowledged frames per second over the last `window` seconds."""
        return sum(now - then <= window for then in self.times) / window
