"""A desk over a run that nobody computes, for the tests of what steers it."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np

from studio.frame import Frame
from studio.hybrid.view import View
from studio.library import Library
from studio.recipes.dynamics import Dynamics
from studio.steering import check_restraints, check_spring, spring_to
from studio.structure import Structure
from studio.system import FromSmiles, System, Vacuum
from studio.worker import Status
from tests.fake_runs import FakeRun
from widgets.desk import Desk

ETHANOL = Dynamics(system=System(source=FromSmiles(smiles="CCO"), surroundings=Vacuum()), view=View(resolution="mm"))


class SteeredRun(FakeRun):
    """Checks what pulls and holds its atoms, as a run does."""

    def step(self, count=1):
        self.told.append("step")

    def reset(self):
        self.told.append("reset")

    def undo(self):
        self.told.append("undo")

    def rollback(self):
        self.told.append("rollback")

    def release(self):
        self.told.append("release")

    def pull(self, atom, target_nm, stiffness=500.0):
        check_spring(self.structure, spring_to(atom, target_nm, stiffness))
        self.told.append(("pull", atom, tuple(target_nm)))

    def restrain(self, restraints):
        check_restraints(self.structure, restraints)
        self.told.append(("restrain", restraints))


class Bench:
    """A desk with one run open, playing."""

    def __init__(self, folder, monkeypatch):
        monkeypatch.setattr("widgets.store.runs.prewarm", lambda: None)
        self.runs, self.ready = [], True
        self.desk = Desk(Library(folder / "library"))
        self.store, self.pane = self.desk.store, self.desk.viewer.pane
        self.store._opening._launch = self._launch

    def _launch(self, recipe, structure, _folder):
        self.runs.append(SteeredRun(recipe, structure or recipe.system.prepare()))
        self.runs[-1].now = Status("paused", "Ready", 1.0) if self.ready else Status("preparing", "Preparing the system", 0.2)
        return self.runs[-1]

    @property
    def run(self):
        return self.runs[-1]

    def open(self, recipe=ETHANOL, structure=None):
        self.do(self.store.open(recipe, "Ethanol", structure))
        self.desk.refresh()
        return self.run

    def do(self, *works):
        """Do `works` in an event loop, and all that they begin."""

        async def all_of_it():
            for work in works:
                await (work() if callable(work) else work)
                while len(asyncio.all_tasks()) > 1:
                    await asyncio.gather(*(asyncio.all_tasks() - {asyncio.current_task()}))

        with ThreadPoolExecutor(1) as pool:  # the thread of the tests may have a loop already: Playwright's
            return pool.submit(asyncio.run, all_of_it()).result()

    def say(self, **status):
        """Have the run say how it is."""
        self.run.now = replace(self.run.now, **status)
        self.desk.refresh()

    def frame(self, shift=0.0, **values):
        """A frame of the present run, its first atom moved along x by `shift` nm."""
        positions = self.store.structure.positions.astype(np.float32).copy()
        positions[0, 0] += shift
        energies = {"potential": 10.0, "network": 0.0, "mm": 10.0, "pull": 0.0, "restraint": 0.0, "kinetic": 5.0}
        frame = Frame(step=1500, time=1.5, positions=positions, energies=energies, temperature=300.0, speed=50.0)
        self.store.take(replace(frame, **values))
        self.desk.refresh()


def frozen(recipe=ETHANOL, *atoms):
    """The structure of a recipe in which some atoms never move."""
    structure: Structure = recipe.system.prepare()
    fixed = np.zeros(len(structure), dtype=bool)
    fixed[list(atoms)] = True
    return replace(structure, fixed=fixed)
