"""Single point: the energy and the forces of a system as it stands."""

import json
from typing import Literal

import numpy as np

from studio.errors import StudioError
from studio.hybrid.view import View
from studio.progress import Progress
from studio.recipes.base import OnFrame, Recipe
from studio.result import Failure, Result, versions
from studio.simulation import OpenMMSimulation, Thermostat
from studio.structure import Structure
from studio.system import System


class SinglePoint(Recipe):
    """Energy by component and forces, without moving an atom.

    Args:
        system: What is evaluated.
        view: How it is seen.
    """

    kind: Literal["single_point"] = "single_point"
    version: Literal[1] = 1
    system: System
    view: View = View()

    def run(self, structure: Structure | None = None, on_frame: OnFrame | None = None, progress: Progress | None = None) -> Result:
        """Evaluate; `values` has the components in kJ/mol, `arrays` the forces, (n, 3), kJ/mol/nm.

        Args:
            structure: The prepared structure, where there is one already.
            on_frame: Called with the one frame.
            progress: Called with a fraction and a sentence while the system is made.
        """
        recipe = json.loads(self.to_json())
        try:
            simulation = OpenMMSimulation(self.view.build(self.system, structure, progress), Thermostat())
            frame, forces = simulation.advance(0), simulation.forces()
        except StudioError as problem:
            return Result(recipe, provenance=versions(), failure=Failure.from_error(problem))
        if on_frame:
            on_frame(frame)
        values = {f"{name}_kj_mol": energy for name, energy in frame.energies.items() if name not in ("kinetic", "pull", "restraint")}
        arrays = {"forces_kj_mol_nm": forces, "positions_nm": np.array(simulation.structure.positions)}
        return Result(recipe, values, arrays, versions() | dict(simulation.provenance), simulation.structure.notes)
