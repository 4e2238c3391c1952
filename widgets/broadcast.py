"""Broadcast: one desk that many others watch - what it shows now, and its newest frame, made once for all of them.

The frames are those that the desk itself shows, live or replayed; nobody who watches costs a worker or slows one. Knows the
store and the pump of the desk, and how many watch; must not know pages.
"""

import secrets
from dataclasses import dataclass, field

from studio.frame import Frame, LocalFrames
from studio.structure import Structure
from studio.timeseries import Samples
from widgets.pump import Pump
from widgets.relay import Relay, Undo
from widgets.store import Store

FASTEST, SLOWEST = 25.0, 8.0
"""Frames per second that one viewer gets, at most and at least."""
BUDGET = 300.0
"""Frames per second that all viewers get together; the server has one thread for them and for the lecturer."""
HISTORY = 2048
"""Samples kept for those who come late; even."""


@dataclass(frozen=True, eq=False)
class Showing:
    """What is shown from one switch of system to the next.

    Args:
        title: Name of the system for people.
        structure: The atoms.
        highlight: Atoms that glow: the ML region.
        frames: Where its newest frame is, one object for all viewers.
        samples: Temperature and energies since it is shared, for those who come late.
    """

    title: str
    structure: Structure
    highlight: tuple[int, ...]
    frames: LocalFrames = field(default_factory=LocalFrames)
    samples: Samples = field(default_factory=lambda: Samples(HISTORY))

    def take(self, frame: Frame) -> None:
        """Show a frame; one of other atoms is late and ignored, one that carries the energies of the frame before adds no sample.

        Args:
            frame: The newest.
        """
        if len(frame.positions) != len(self.structure):
            return
        self.frames.publish(frame)
        known = "potential" in self.samples.columns and frame.time >= self.samples.now
        if frame.energies and not (known and self.samples.newest("potential") == frame.energies["potential"]):
            self.samples.append(frame.time, {"temperature": frame.temperature, **frame.energies})


class Broadcast:
    """What many see of one desk; its desk may be closed and another take its place.

    Args:
        seats: Viewers at once.

    Attributes:
        token: Who knows it may watch.
        over: Ended for good.
        relay: Serves the pages of the viewers.
    """

    def __init__(self, seats: int) -> None:
        self.seats, self.token, self.over = seats, secrets.token_urlsafe(16), False
        self.watching = 0
        self.relay = Relay(lambda: 1 / (self.rate * max(1, self.watching)))
        self._store: Store | None = None
        self._showing: Showing | None = None
        self._undo: Undo = lambda: None

    @property
    def rate(self) -> float:
        """Frames per second for each viewer: fewer the more there are."""
        return max(SLOWEST, min(FASTEST, BUDGET / max(1, self.watching)))

    @property
    def present(self) -> bool:
        """Whether the lecturer's desk is open."""
        return self._store is not None

    @property
    def playing(self) -> bool:
        """Whether what is shown moves."""
        store = self._store
        return store is not None and (store.player is not None or store.status.state == "playing")

    @property
    def showing(self) -> Showing | None:
        """What is shown now; another object after a switch."""
        store = self._store
        if store is None or store.structure is None:
            return self._showing
        if self._showing is None or self._showing.structure is not store.structure:
            self._showing = Showing(store.title, store.structure, _glowing(store, store.structure))
        return self._showing

    def attach(self, store: Store, pump: Pump) -> None:
        """Follow a desk, in place of the one before.

        Args:
            store: What it is about.
            pump: Gives its frames.
        """
        self.detach()
        self._store, self._undo = store, pump.connect(self._take)

    def detach(self) -> None:
        """The desk is closed; viewers keep the last picture and wait."""
        self._undo()
        self._store, self._undo = None, lambda: None

    def end(self) -> None:
        """No more."""
        self.detach()
        self.over = True

    def enter(self) -> Undo | None:
        """Take a seat.

        Returns:
            A function that gives it back, or none when all are taken.
        """
        if self.watching >= self.seats:
            return None
        self.watching += 1
        held = [True]

        def leave() -> None:
            if held:
                held.clear()
                self.watching -= 1

        return leave

    def _take(self, frame: Frame) -> None:
        showing = self.showing
        if showing is not None:
            showing.take(frame)


def _glowing(store: Store, structure: Structure) -> tuple[int, ...]:
    if store.recipe is None or store.recipe.view.resolution != "nnp/mm":
        return ()
    return tuple(int(atom) for atom in store.recipe.view.region.select(structure))
