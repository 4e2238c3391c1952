"""Pulling: from the hand in the picture to the spring in the run, and back to what stands beside the spring.

A run that waits plays while an atom is pulled, and waits again when it is let go: a spring at atoms that do not move would
show nothing. Knows the viewer and the store; must not know what a spring does.
"""

from widgets.desk import Desk
from widgets.viewer import PullEvent
from widgets.words import effort

RECORDING = "this is a recording: go back to live to pull"
WAITING = "nothing moves yet: wait until the run is ready"
DOUBTED = "paused in doubt: go on first"
BESIDE = "these atoms follow the beads: pull a bead"
STOPPED = "the run has stopped: recover it first"


class Pulling:
    """The hand of one desk.

    Args:
        desk: Its viewer is pulled in, its store takes the pulls.

    Attributes:
        atom: What is pulled now, if anything is.
    """

    def __init__(self, desk: Desk) -> None:
        self.desk, self.store, self.pane = desk, desk.store, desk.viewer.pane
        self.atom: int | None = None
        self._lent = False
        desk.viewer.on_pull(self.take)
        desk.each_tick(self.refresh)

    def take(self, event: PullEvent) -> None:
        """What the hand does.

        Args:
            event: Start, move or end; what follows a refused start is ignored.
        """
        with self.desk.guard:
            if event.phase == "start":
                self._begin(event)
            elif event.phase == "end":
                self._end()
            elif self.atom is not None:
                self._pull(event)

    def refresh(self) -> None:
        """Force and work of now, beside the spring."""
        frame = self.store.frame
        if self.atom is not None and frame is not None:
            self.pane.spring_label = effort(frame)

    def _begin(self, event: PullEvent) -> None:
        if self.store.compared or self.store.reported:
            return  # that hand is in another molecule
        self.pane.spring_label = BESIDE if event.cell else self._obstacle()
        if self.pane.spring_label:
            return
        if self.store.structure is not None and self.store.structure.fixed[event.atom]:
            self.pane.spring_label = "frozen: this atom never moves"
        self._pull(event)
        self.atom = event.atom
        if self.store.status.state == "paused":
            self._lent = True
            self.store.play()

    def _pull(self, event: PullEvent) -> None:
        if self.store.run is not None:
            self.store.run.pull(event.atom, event.target_nm)

    def _end(self) -> None:
        if self.atom is not None:
            if self.store.run is not None:
                self.store.run.release()
            if self._lent:
                self.store.pause()
        self.atom, self._lent, self.pane.spring_label = None, False, ""

    def _obstacle(self) -> str:
        """Why nothing can be pulled now; empty when it can."""
        store = self.store
        if store.player is not None:
            return RECORDING
        if store.run is None or store.pending is not None or store.status.state == "preparing":
            return WAITING
        if store.status.state == "paused" and any(doubt.action == "pause" for doubt in store.status.doubts):
            return DOUBTED
        return "" if store.status.state in ("playing", "paused") else STOPPED
