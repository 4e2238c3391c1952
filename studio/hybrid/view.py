"""View: how a system is seen - which atoms a network describes and what describes the rest - and the model that follows.

Knows systems, regions and potentials by name; must not know how the model is moved.
"""

from collections.abc import Callable
from typing import Literal

from pydantic import BaseModel, ConfigDict

from studio import plugins
from studio.errors import UnsupportedError
from studio.forcefield.base import MMSystem
from studio.hybrid.coupling import Model, couple, network_only, plain
from studio.potentials.base import Device, Potential
from studio.region import AnyRegion, Focus
from studio.structure import Structure
from studio.system import System

Progress = Callable[[float, str], None]
Resolution = Literal["nnp", "nnp/mm", "mm"]

TIMESTEPS: dict[Resolution, float] = {"nnp": 1.0, "nnp/mm": 1.0, "mm": 2.0}
"""Time steps that each resolution bears, fs: bonds to hydrogen vibrate freely under a network and are held under MM."""


class View(BaseModel):
    """How a system is seen.

    Args:
        resolution: `nnp` (the region alone, in vacuum, by the network), `nnp/mm` (the region by the network, the rest
            by MM) or `mm`.
        region: What the network describes; not used by `mm`.
        potential: Registered name of the network.
        device: Where the network runs.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    resolution: Resolution = "mm"
    region: AnyRegion = Focus()
    potential: str = "so3lr"
    device: Device = "auto"

    def build(self, system: System, structure: Structure | None = None, progress: Progress | None = None) -> Model:
        """Make the model that this view has of `system`.

        Args:
            system: What the user named.
            structure: Its prepared structure, where there is one already.
            progress: Called with a fraction and a sentence.

        Raises:
            StudioError: Preparation, parametrisation or the potential refuses; the sentence says why.
        """
        tell = progress or (lambda _fraction, _message: None)
        structure = structure if structure is not None else system.prepare(progress)
        if self.resolution == "nnp":
            return self._network(system, structure, tell)
        mm = system.parametrise(structure, progress)
        return plain(mm) if self.resolution == "mm" else self._hybrid(mm, tell)

    def _network(self, system: System, structure: Structure, tell: Progress) -> Model:
        atoms = self.region.select(structure)
        part = structure.take(atoms)
        if len(part) < len(structure):
            part = part.with_notes(f"{len(structure) - len(part)} atoms around {self.region} were left out: NNP describes {len(part)} atoms in vacuum.")
        potential = self._load()
        tell(0.9, f"Loading {potential.card.title}")
        return network_only(part, potential.bind(part, device=self.device), system.forcefield.hydrogen_mass)

    def _hybrid(self, mm: MMSystem, tell: Progress) -> Model:
        atoms = self.region.select(mm.structure)
        if len(atoms) == len(mm.structure):
            raise UnsupportedError("The region holds every atom, so that nothing is left for MM. Choose NNP, or a smaller region.")
        potential = self._load()
        tell(0.9, f"Loading {potential.card.title}")
        return couple(mm, atoms, potential.bind(mm.structure, atoms, self.device))

    def _load(self) -> Potential:
        potential = plugins.load("studio.potentials", self.potential)()
        if not isinstance(potential, Potential):
            raise UnsupportedError(f"The plug-in '{self.potential}' is not a potential: it lacks `card` or `bind`.")
        return potential
