"""Stage: what the 3D view of a desk shows by itself - the present run, its region, what is picked, measured and doubted.

One for a desk, however many live views show it. Knows the store, the viewer and the plots; must not know layout.
"""

import asyncio
from collections.abc import Sequence
from weakref import WeakValueDictionary

import numpy as np

from studio.coarse.go import GoModel
from studio.errors import SettingsError
from studio.frame import Frame
from studio.messages import Status
from studio.observables import Between, Distance, NativeContacts, Observable, deviation_of, from_picks, shape_of
from studio.recipes.dynamics import Dynamics
from studio.steering import DistanceRestraint, PositionRestraint
from studio.structure import Structure
from studio.system import System
from studio.trust import Doubt, atoms_of
from studio.units import NM_PER_ANGSTROM
from widgets.alerts import WayOut
from widgets.beside import BEADS, CELL, Beside
from widgets.desk import Desk
from widgets.pulling import Pulling
from widgets.sources import on_loop
from widgets.viewer import Pick


class Stage:
    """Keeps the view in step with the store, and hears what the user does in it.

    Args:
        desk: Whose view it is.
    """

    def __init__(self, desk: Desk) -> None:
        self.desk, self.store, self.viewer, self.plots = desk, desk.store, desk.viewer, desk.plots
        self._shown: Structure | None = None
        self._own: set[str] = set()
        self._said, self._doubting = "", False
        self._warned: tuple[int, ...] = ()
        self._camera: tuple[float, ...] = ()
        self.pulling, self.beside = Pulling(desk), Beside(desk)
        self.beside.on_change(self.look)
        self.viewer.on_pick(self.pick)
        self._connect()
        self.show()

    def _connect(self) -> None:
        guard, watch = self.desk.guard, self.store.param.watch
        watch(guard.around(lambda _event: self.show()), "run")
        watch(guard.around(lambda event: self._show_status(event.new)), "status")
        watch(guard.around(lambda event: self._show_doubts(event.new[len(event.old) :])), "doubts")
        watch(guard.around(lambda event: self._show_picks(event.new)), "picks")
        watch(guard.around(lambda _event: self._observe()), "observables")
        watch(guard.around(lambda event: None if event.new else self._leave_board()), "compared")
        watch(guard.around(lambda event: self._lend() if event.new else self._take_back()), "reported")
        self.desk.alert.param.watch(guard.around(lambda event: None if event.new else self._warn(())), "visible")
        self.desk.each_tick(self._measure)

    # -- what is shown -------------------------------------------------------------------------------------------------

    def show(self) -> None:
        """Show the present run, with empty plots; while runs are compared, that waits."""
        structure, alert = self.store.structure, self.desk.alert
        if structure is None or self.store.compared or self.store.reported:
            return
        if self._said and alert.sentence == self._said:
            alert.dismiss()  # it was about the run before
        self._doubting = False
        self.look(keep_camera=self._shown is not None and _same_atoms(self._shown, structure))
        self._shown = structure
        self.plots.restart()
        self.plots.panel.clock = self.store.clock
        self._watch_deviation(structure)
        self._observe()

    def look(self, keep_camera: bool = False, camera: Sequence[float] = ()) -> None:
        """Turn the picture to the present run as it is now, also after others were shown in its place.

        Args:
            keep_camera: The camera stays.
            camera: Where it stands, as the view told it; empty for the best view.
        """
        structure, recipe = self.store.now(), self.store.recipe
        if structure is None or recipe is None:
            return
        atoms = self.beside.enter()
        if atoms is None:
            self.viewer.show(structure, glowing(structure, recipe), keep_camera=keep_camera, camera=camera)
        else:
            self.viewer.show_many([(structure, (), BEADS), (atoms, (), self.beside.title)], keep_camera=keep_camera, camera=camera)
        self._show_picks(self.store.picks)

    def _leave_board(self) -> None:
        """Nothing is compared any more: the present run again, which may be another by now."""
        if self._shown is not self.store.structure:
            self.show()
        else:
            self.look()

    def _lend(self) -> None:
        """The view is for something else now; marks of the run are not made there."""
        self._camera = tuple(self.viewer.pane.camera)

    def _take_back(self) -> None:
        """The present run as it was seen before; another one, if it was opened meanwhile."""
        if self.store.compared:
            return
        if self._shown is not self.store.structure:
            self.show()
        else:
            self.look(camera=self._camera)
            self._warn(self._warned)

    def _watch_deviation(self, structure: Structure) -> None:
        """How far what it is about has gone from its start is plotted for every run."""
        deviation = deviation_of(structure)
        followed: tuple[Observable, ...] = shape_of(structure) if structure.is_beads else (deviation,) if deviation is not None else ()
        self._own = {each.label for each in followed}
        for each in followed:
            self.plots.observe(each)
        recipe = self.store.recipe
        if structure.is_beads and recipe is not None and isinstance(recipe.view.beads, GoModel) and on_loop():
            self.desk.guard.start(self._watch_contacts(structure, recipe.view.beads, recipe.system))

    async def _watch_contacts(self, structure: Structure, model: GoModel, system: System) -> None:
        """How many native contacts are made is plotted for beads that these hold together."""
        _, contacts = await asyncio.to_thread(lambda: model.native(system.prepare()))
        if structure is self._shown and not self.store.compared:
            made = NativeContacts.of(contacts)
            self._own.add(made.label)
            self.plots.observe(made)

    def _observe(self) -> None:
        """The plots follow what is measured; one too many is taken back."""
        if self.store.compared:
            return
        wanted, there = {each.label: each for each in self.store.observables}, self.plots.observed
        for label in set(there) - set(wanted) - self._own:
            self.plots.forget(label)
        try:
            for label, each in wanted.items():
                if label not in there:
                    self.plots.observe(each)
        except SettingsError:
            self.store.observables = tuple(each for each in self.store.observables if each.label in self.plots.observed)
            raise
        self._measure()

    def _measure(self) -> None:
        """Dashed lines with the values of now."""
        if self.store.reported:
            return
        frame, measured = self.store.frame, [each for each in self.store.observables if isinstance(each, Between)]
        picked = self.picked
        if picked is not None and picked.label not in {each.label for each in measured}:
            measured.append(picked)
        measures = [{"atoms": list(each.atoms), "text": value_of(each, frame)} for each in measured]
        if measures != self.viewer.pane.measures:
            self.viewer.pane.measures = measures

    def _warn(self, atoms: Sequence[int]) -> None:
        self._warned = tuple(int(atom) for atom in atoms)
        if not self.store.reported:
            self.viewer.pane.warned = list(self._warned)

    # -- picks ---------------------------------------------------------------------------------------------------------

    @property
    def picked(self) -> Between | None:
        """What the picked atoms measure, if they are two to four."""
        structure, picks = self.store.structure, self.store.picks
        if structure is None or not 2 <= len(picks) <= 4 or max(picks) >= len(structure):
            return None
        return from_picks(structure, picks)

    def pick(self, pick: Pick) -> None:
        """A click on an atom: adds it, or takes it back; with its whole residue, that alone.

        Args:
            pick: What the hand did.
        """
        if self.store.compared or self.store.reported or pick.cell >= CELL:
            return  # that hand is in another molecule
        with self.desk.guard:
            if pick.remove:
                self.store.picks = tuple(atom for atom in self.store.picks if atom != pick.atom)
            elif pick.whole_residue:
                self.pick_residues((pick.atom,))
            else:
                self.store.pick(pick.atom)

    def pick_residues(self, atoms: Sequence[int]) -> None:
        """Pick the whole residues of atoms, and nothing else.

        Args:
            atoms: One or more of each.
        """
        structure = self.store.structure
        if structure is not None and atoms:
            inside = np.isin(structure.residue_index, structure.residue_index[list(atoms)])
            self.store.picks = tuple(int(atom) for atom in np.flatnonzero(inside))

    def plot_picks(self) -> None:
        """Follow what two to four picked atoms measure.

        Raises:
            StudioError: Too few or too many are picked, or too much is followed already.
        """
        if self.store.structure is None:
            return
        wanted = from_picks(self.store.structure, self.store.picks)
        if wanted.label not in {each.label for each in self.store.observables}:
            self.store.observables = (*self.store.observables, wanted)
        self.plots.turn_to(wanted)

    def hold_distance(self, stiffness: float) -> None:
        """Hold two picked atoms at the distance that they have now.

        Args:
            stiffness: Of the spring, kJ/mol/nm^2.

        Raises:
            SettingsError: Not two atoms, or neither of them can move.
        """
        frame, pair = self.store.frame, self.picked
        if frame is None or not isinstance(pair, Distance):
            raise SettingsError(f"Pick two atoms to hold their distance; {len(self.store.picks)} are picked.")
        nm = pair(frame.positions, frame.box) * NM_PER_ANGSTROM
        self.store.restrain((*self.store.restraints, DistanceRestraint(atoms=pair.atoms, nm=nm, stiffness=stiffness)))

    def hold_here(self, stiffness: float) -> None:
        """Hold the picked atoms where they are now.

        Args:
            stiffness: Of each spring, kJ/mol/nm^2.

        Raises:
            SettingsError: Nothing is picked, or an atom never moves anyway.
        """
        frame, picks = self.store.frame, self.store.picks
        if frame is None or not picks:
            raise SettingsError("Pick one atom or more to hold them where they are.")
        places = tuple((float(x), float(y), float(z)) for x, y, z in frame.positions[list(picks)])
        self.store.restrain((*self.store.restraints, PositionRestraint(atoms=picks, positions=places, stiffness=stiffness)))

    def _show_picks(self, picks: tuple[int, ...]) -> None:
        if self.store.reported:
            return
        self.viewer.pane.picked = list(picks)
        self._measure()

    # -- what is wrong -------------------------------------------------------------------------------------------------

    def _say(self, sentence: str, *ways: WayOut, kind: str = "problem", title: str = "") -> None:
        self._said = sentence
        self.desk.alert.say(sentence, *ways, kind=kind, title=title)

    def _show_status(self, status: Status) -> None:
        run = self.store.run
        if status.state == "lost":
            self._say(status.message, WayOut("Recover", self.store.recover))
        elif status.state == "failed" and run is not None:
            self._say(status.message, WayOut("Play on from the checkpoint", self.store.play if run.shared is not None else self.store.recover))
            self._warn(status.atoms)
        elif status.state == "playing" and not status.doubts and self._doubting:
            self._doubting = False  # gone on anyway
            self.desk.alert.dismiss()

    def _show_doubts(self, doubts: tuple[Doubt, ...]) -> None:
        if not doubts:
            return
        self._doubting = paused = doubts[0].action == "pause"
        ways = (WayOut("Go on anyway", self.store.play), WayOut("Back to the checkpoint", self.store.rollback)) if paused else ()
        title = "Paused: the network may be wrong here" if paused else "The network may be wrong here"
        self._say(" ".join(doubt.sentence for doubt in doubts), *ways, kind="problem" if paused else "note", title=title)
        self._warn(atoms_of(doubts))


_stages: "WeakValueDictionary[int, Stage]" = WeakValueDictionary()  # the desk's own connections keep a stage alive


def stage_of(desk: Desk) -> Stage:
    """The stage of a desk; made when it is first asked for.

    Args:
        desk: Whose.
    """
    stage = _stages.get(id(desk))
    if stage is None:
        _stages[id(desk)] = stage = Stage(desk)
    return stage


def glowing(structure: Structure, recipe: Dynamics) -> list[int]:
    """The atoms that networks describe, where something else is around them.

    Args:
        structure: As simulated.
        recipe: How it is seen.
    """
    if recipe.view.resolution != "nnp/mm":
        return []
    atoms = np.concatenate([fragment.region.select(structure) for fragment in recipe.view.fragments])
    return [int(atom) for atom in np.unique(atoms)]


def value_of(measured: Between, frame: Frame | None) -> str:
    """A distance, angle or torsion as people read it.

    Args:
        measured: What is measured.
        frame: Where the atoms are; none yet gives a dash.
    """
    if frame is None or max(measured.atoms) >= len(frame.positions):
        return "\u2013"
    value = measured(frame.positions, frame.box)
    text = f"{value:.2f} \u00c5" if isinstance(measured, Distance) else f"{value:.0f}\u00b0"
    return text.replace("-", "\u2212")


def _same_atoms(one: Structure, other: Structure) -> bool:
    return one.names == other.names and bool(np.array_equal(one.numbers, other.numbers))
