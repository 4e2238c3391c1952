"""Beside: the atoms beside the beads, in a second part of the 3D view under the same camera, built anew as the beads move.

Where they cannot be built - the program is missing, or refuses - the atoms stay as they were before the beads. Knows the desk
and previews; must not know how atoms are built.
"""

from collections.abc import Callable

import numpy as np

from studio.errors import StudioError
from studio.frame import Frame
from studio.preview import Preview
from studio.structure import Floats, Structure
from widgets.desk import Desk

BEADS, BUILT, BEFORE = "Beads", "Atoms, built on the beads", "Atoms, as they were before the beads"
CELL = 1
"""Where the atoms stand in the view."""
NO_BEADS, NO_ATOMS = "For beads: turn the dial to a level of beads.", "These chains are beads from the start: there are no atoms to build."


class Beside:
    """The atoms of one desk's beads.

    Args:
        desk: Whose.

    Attributes:
        on: They are wanted.
        problem: Why they are not built anew, a sentence; empty while they are.
        built: How often they were.
    """

    def __init__(self, desk: Desk) -> None:
        self.desk, self.store = desk, desk.store
        self.on, self.problem, self.built = False, "", 0
        self._preview: Preview | None = None
        self._seen: Frame | None = None
        self._atoms: Floats = np.zeros((0, 3))
        self._look: Callable[[], None] = lambda: None
        desk.each_tick(self.refresh)
        desk.pump.connect(self.follow)
        desk.on_close(self.leave)

    @property
    def obstacle(self) -> str:
        """Why there can be no atoms beside; empty when there can."""
        structure, whole = self.store.structure, self.store.whole
        if structure is None or not structure.is_beads:
            return NO_BEADS
        return NO_ATOMS if whole is None or whole.is_beads else ""

    def on_change(self, look: Callable[[], None]) -> None:
        """Have `look` called when the picture has to be laid out anew.

        Args:
            look: Shows what is now.
        """
        self._look = look

    def switch(self) -> None:
        """Show the atoms, or no longer."""
        self.on = not self.on
        self._look()

    def enter(self) -> Structure | None:
        """The atoms to be shown beside the present beads; none where there are to be none."""
        self.leave()
        structure, whole = self.store.now(), self.store.whole
        if not self.on or self.obstacle or structure is None or whole is None:
            return None
        self.problem, self.built = "", 0
        self._preview = Preview(structure, whole)
        like = self._preview.like  # the camera of its cell looks where it is now; the beads may have gone far from where it was
        self._atoms = self._preview.follow(like.positions, structure.positions)
        return like.with_positions(self._atoms)

    @property
    def title(self) -> str:
        """What the atoms are, in a few words."""
        return BEFORE if self.problem else BUILT

    def refresh(self) -> None:
        """Take what was built, and have atoms built on the newest beads; also while these wait."""
        preview, frame = self._preview, self.store.frame
        if preview is None or frame is None or self.problem or self.store.compared or self.store.reported:
            return
        if self._take(preview):
            self.follow(frame)
        if frame is not self._seen:
            self._seen = frame
            try:
                preview.offer(frame.positions.astype(np.float64))
            except StudioError as problem:
                self._fail(problem)

    def follow(self, frame: Frame) -> None:
        """Lay the atoms over the beads of a frame, with which they are drawn: small chains tumble within a blink.

        Args:
            frame: The newest, of the beads.
        """
        preview = self._preview
        if preview is not None and not self.store.compared and not self.store.reported:
            atoms = preview.follow(self._atoms, frame.positions.astype(np.float64))
            self.desk.viewer.send(Frame(step=frame.step, time=frame.time, positions=atoms.astype(np.float32)), CELL)

    def _take(self, preview: Preview) -> bool:
        """What was built meanwhile; true where something was."""
        try:
            places = None if self.problem else preview.latest()
        except StudioError as problem:
            self._fail(problem)
            return False
        if places is None:
            return False
        self._atoms, self.built = places, self.built + 1
        return True

    def leave(self) -> None:
        """Build no more."""
        preview, self._preview, self._seen = self._preview, None, None
        if preview is not None:
            preview.close()

    def _fail(self, problem: StudioError) -> None:
        """The atoms stay as they were, and it is said why."""
        self.problem = str(problem)
        self.desk.alert.say(f"{self.problem} The atoms beside are those from before the beads.", kind="note")
