"""View: how a system is seen - which atoms networks describe and what describes the rest - and the model that follows.

Knows systems, regions and potentials by name; must not know how the model is moved.
"""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from studio import plugins
from studio.coarse.calvados import Calvados
from studio.coarse.go import GoModel
from studio.coarse.learned_beads import Learned
from studio.coarse.martini import Martini
from studio.errors import UnsupportedError
from studio.forcefield.base import MMSystem
from studio.hybrid.boundary import LinkStyle, Part, cap
from studio.hybrid.coupling import Model, beads_only, couple_fragments, network_only, plain
from studio.hybrid.embedding import Electrostatic, Polarisation
from studio.hybrid.schedule import LADDER, Schedule
from studio.potentials.base import BoundPotential, Device, Potential
from studio.progress import Progress
from studio.region import AnyRegion, Focus
from studio.structure import Structure
from studio.system import System

Resolution = Literal["nnp", "nnp/mm", "mm", "beads"]
BeadModel = Annotated[GoModel | Calvados | Learned | Martini, Field(discriminator="kind")]
"""What beads feel."""

TIMESTEPS: dict[Resolution, float] = {"nnp": 1.0, "nnp/mm": LADDER[0], "mm": 2.0, "beads": 10.0}
"""Time steps that each resolution is tried with, fs: bonds to hydrogen vibrate freely under a network and are held under MM;
NNP/MM has a schedule; beads are heavy."""


class MLFragment(BaseModel):
    """One more region with a network of its own.

    Args:
        region: What the network describes.
        potential: Registered name of the network.
        charge: Total charge that the network is told, e; as drawn when left out.
        multiplicity: Spin multiplicity that the network is told; the structure's when left out.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    region: AnyRegion
    potential: str = "so3lr"
    charge: int | None = None
    multiplicity: Annotated[int, Field(ge=1)] | None = None


class View(BaseModel):
    """How a system is seen.

    Args:
        resolution: `nnp` (the region alone, in vacuum, by the network), `nnp/mm` (the region by the network, the rest
            by MM), `mm`, or `beads`.
        region: What the network describes; not used by `mm` and `beads`. Bonds that it cuts are capped with hydrogens.
        potential: Registered name of the network.
        device: Where the networks run.
        charge: Total charge that the network is told, e; as drawn when left out.
        multiplicity: Spin multiplicity that the network is told; the structure's when left out.
        also: Further regions with networks of their own, for `nnp/mm`; what is between regions stays MM.
        link: Where link hydrogens sit: at a fixed distance, or at a fixed part of the bond.
        embedding: `mechanical` (MM charges), or `electrostatic` (the network's own charges feel those around).
        polarisation: Of electrostatic embedding: `none`, `P1` (each atom by itself) or `P2` (coupled dipoles).
        lam: From 0 (all MM) to 1 (`nnp/mm`).
        beads: Which residues become beads, and what those feel; for `beads`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    resolution: Resolution = "mm"
    region: AnyRegion = Focus()
    potential: str = "so3lr"
    device: Device = "auto"
    charge: int | None = None
    multiplicity: Annotated[int, Field(ge=1)] | None = None
    also: tuple[MLFragment, ...] = ()
    link: LinkStyle = "fixed"
    embedding: Literal["mechanical", "electrostatic"] = "mechanical"
    polarisation: Polarisation = "none"
    lam: Annotated[float, Field(ge=0.0, le=1.0)] = 1.0
    beads: BeadModel = GoModel()

    @model_validator(mode="after")
    def _consistent(self) -> "View":
        if self.polarisation != "none" and self.embedding != "electrostatic":
            raise ValueError("polarisation belongs to electrostatic embedding: choose embedding = electrostatic, or polarisation = none")
        return self

    @property
    def fragments(self) -> tuple[MLFragment, ...]:
        """All ML regions, the first one first."""
        return (MLFragment(region=self.region, potential=self.potential, charge=self.charge, multiplicity=self.multiplicity), *self.also)

    @property
    def asks_network(self) -> bool:
        """A network describes something."""
        return self.resolution in ("nnp", "nnp/mm")

    @property
    def sees_all(self) -> bool:
        """What moves are all atoms of the system."""
        return self.resolution in ("nnp/mm", "mm")

    @property
    def timestep(self) -> float:
        """The time step that it is tried with first, fs."""
        return self.beads.timestep if self.resolution == "beads" else TIMESTEPS[self.resolution]

    @property
    def clock(self) -> str:
        """What its time is called: that of beads, which slide past each other without friction, is not that of atoms."""
        return "CG time" if self.resolution == "beads" else "time"

    def build(
        self,
        system: System,
        structure: Structure | None = None,
        progress: Progress | None = None,
        schedule: Schedule | None = None,
        temperature: float = 300.0,
    ) -> Model:
        """Make the model that this view has of `system`.

        Args:
            system: What the user named.
            structure: Its prepared structure, where there is one already.
            progress: Called with a fraction and a sentence.
            schedule: Makes NNP/MM ready for long time steps; as the networks and the force field are when left out.
            temperature: At which it will move, K.

        Raises:
            StudioError: Preparation, parametrisation or the potential refuses; the sentence says why.
        """
        tell = progress or (lambda _fraction, _message: None)
        structure = structure if structure is not None else system.prepare(progress)
        if self.resolution == "beads":
            return beads_only(self.beads.build(system.prepare(progress), structure, temperature, system.ph))
        if structure.is_coarse:
            raise UnsupportedError("These are beads, and this level needs atoms. Choose a level of beads, or open the protein with its atoms.")
        if self.resolution == "nnp":
            return self._network(system, structure, tell)
        mm = system.parametrise(structure, progress)
        return plain(mm) if self.resolution == "mm" else self._hybrid(mm, tell, schedule, temperature)

    def _network(self, system: System, structure: Structure, tell: Progress) -> Model:
        region = self._cap(structure, self.fragments[0])
        part = region.structure
        if len(region.atoms) < len(structure):
            part = part.with_notes(
                f"{len(structure) - len(region.atoms)} atoms around {self.region} were left out: NNP describes {len(region.atoms)} atoms in vacuum."
            )
        if len(region.hosts):
            part = part.with_notes(f"{len(region.hosts)} bonds were cut and capped with hydrogens.")
        return network_only(part, self._bind(self.potential, part, tell), system.forcefield.hydrogen_mass)

    def _hybrid(self, mm: MMSystem, tell: Progress, schedule: Schedule | None = None, temperature: float = 300.0) -> Model:
        parts = [self._cap(mm.structure, fragment) for fragment in self.fragments]
        if sum(len(part.atoms) for part in parts) >= len(mm.structure):
            raise UnsupportedError("The region holds every atom, so that nothing is left for MM. Choose NNP, or a smaller region.")
        described = [(part, self._bind(fragment.potential, part.structure, tell)) for part, fragment in zip(parts, self.fragments, strict=True)]
        electrostatic = Electrostatic(self.polarisation) if self.embedding == "electrostatic" else None
        motion = schedule.motion(mm, described, temperature, tell) if schedule else None
        return couple_fragments(mm, described, self.lam, electrostatic, motion)

    def _cap(self, structure: Structure, fragment: MLFragment) -> Part:
        return cap(structure, fragment.region.select(structure), self.link, fragment.charge, fragment.multiplicity)

    def _bind(self, name: str, part: Structure, tell: Progress) -> BoundPotential:
        potential = plugins.load("studio.potentials", name)()
        if not isinstance(potential, Potential):
            raise UnsupportedError(f"The plug-in '{name}' is not a potential: it lacks `card` or `bind`.")
        tell(0.9, f"Loading {potential.card.title}")
        return potential.bind(part, device=self.device)
