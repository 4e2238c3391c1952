"""Minimise: the nearest minimum of a system."""

import json
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from studio.errors import StudioError
from studio.hybrid.view import View
from studio.progress import Progress
from studio.recipes.base import OnFrame, Recipe
from studio.result import Failure, Result, versions
from studio.simulation import OpenMMSimulation, Thermostat
from studio.structure import Structure
from studio.system import System


class Minimise(Recipe):
    """Walk downhill to the nearest minimum (L-BFGS).

    Args:
        system: What is minimised.
        view: How it is seen.
        iterations: At most so many.
    """

    kind: Literal["minimise"] = "minimise"
    version: Literal[1] = 1
    system: System
    view: View = View()
    iterations: Annotated[int, Field(ge=1, le=100_000)] = 1000

    def run(self, structure: Structure | None = None, on_frame: OnFrame | None = None, progress: Progress | None = None) -> Result:
        """Minimise; `arrays` has the positions at the minimum, (n, 3), nm, `values` the energies before and after, kJ/mol.

        Args:
            structure: The prepared structure, where there is one already.
            on_frame: Called with the frame at the minimum.
            progress: Called with a fraction and a sentence.
        """
        recipe = json.loads(self.to_json())
        tell = progress or (lambda _fraction, _message: None)
        try:
            simulation = OpenMMSimulation(self.view.build(self.system, structure, progress), Thermostat())
            before = simulation.advance(0).energies["potential"]
            frame = simulation.minimise(self.iterations, lambda n, energy: tell(n / self.iterations, f"Iteration {n}: {energy:.1f} kJ/mol") is None)
        except StudioError as problem:
            return Result(recipe, provenance=versions(), failure=Failure.from_error(problem))
        if on_frame:
            on_frame(frame)
        values = {"energy_before_kj_mol": before, "energy_kj_mol": frame.energies["potential"]}
        arrays = {"positions_nm": np.asarray(frame.positions, dtype=np.float64)}
        return Result(recipe, values, arrays, versions() | dict(simulation.provenance), simulation.structure.notes)
