"""Binding free energies by alchemical transfer: of one ligand (absolute), or of one less another (relative).

MM, or NNP/MM with a network for the ligand. Windows are sampled in turn, with replica exchange; after every sweep the
numbers can be kept, so that a run goes on where it was left.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path as Folder
from time import monotonic
from typing import Annotated, ClassVar, Literal

import numpy as np
from pydantic import Field, model_validator

from studio.errors import StoppedError
from studio.frame import Frame
from studio.hybrid.coupling import Model
from studio.hybrid.view import MLFragment, View
from studio.ladder import Ladder
from studio.progress import Progress
from studio.recipes.base import Study
from studio.recipes.dynamics import Dynamics
from studio.recipes.lasting import Lasting, keep_structure, part_key
from studio.recipes.transfer_report import absolute_report, relative_report, values_of
from studio.recipes.work import Watch, share
from studio.region import AnyRegion, Atoms, Focus
from studio.report import Report
from studio.result import Result, versions
from studio.structure import Integers, Structure
from studio.system import Source, System
from studio.thermostat import Thermostat
from studio.transfer import Site, Transfer, displacement, one_way, transfer, two_ways
from studio.transfer_estimate import estimated, histogram, travelled
from studio.transfer_pair import paired
from studio.transfer_site import binding_site, chosen_ligand
from studio.units import BOLTZMANN, KJ_PER_KCAL, Kelvin, Nanometer

SAMPLES = "windows.npz"
"""In the folder: all samples, and where every copy is."""
SAVING_SECONDS = 10.0
"""Wall time between two savings, at least."""
FEWEST = 10
"""Sweeps without which there is no estimate."""
LARGE = 3000
"""Atoms from which on a processor is slow enough to say so."""
LEANING = 0.5
"""Energy of the walls at the bound end from which on it is told, kT."""
HEAVY = 3.0
"""Mass of hydrogens, Da, from which on steps of 4 fs are safe where bonds to them are held."""


class _FreeEnergy(Lasting):
    """What both recipes share.

    `values` has dg_kcal_mol and dg_error_kcal_mol, the parts they are made of, and what says whether to believe them; `arrays` U0 and U1 of every sample,
    (sweeps, windows), and what the charts show.
    """

    system: System
    ligand: AnyRegion = Focus()
    network: Annotated[
        str,
        Field(
            title="Network for the ligand",
            description="A potential that describes the ligand inside, such as so3lr (NNP/MM). Left empty, molecular mechanics describes everything.",
        ),
    ] = ""
    sampling: Annotated[
        float,
        Field(
            gt=0.0, le=1e6, title="Sampling per window (ps)", description="How long each window is simulated. Ten times longer makes the error about a third."
        ),
    ] = 40.0
    windows: Annotated[
        int,
        Field(ge=4, le=64, title="Windows", description="Steps on the way from bound to unbound. Neighbours must overlap: take more where they do not."),
    ] = 14
    temperature: Annotated[Kelvin, Field(title="Temperature (K)", description="Of the simulation, and of the free energy.")] = 300.0
    radius: Annotated[
        Nanometer,
        Field(
            title="Radius of the binding site (nm)",
            description="The ligand counts as bound while its centre is this close to that of the site; walls hold it there, which is corrected for.",
        ),
    ] = 0.2
    tilt: Annotated[
        float,
        Field(
            gt=5.0,
            le=90.0,
            title="Tilt of the ligand (degrees)",
            description="The long axis of the ligand may turn this far from where it is in the pose, either way round; this is corrected for. 90: anywhere.",
        ),
    ] = 30.0
    exchange: Annotated[float, Field(gt=0.0, le=100.0)] = 0.4
    discard: Annotated[float, Field(ge=0.0, le=0.9)] = 0.2
    seed: Annotated[int, Field(ge=0, lt=2**31 - 1)] = 0

    def answer(self, structure: Structure | None, watch: Watch, folder: Folder | None) -> Result:
        """Sample, or go on sampling, and estimate; stopped early, the estimate rests on what there is."""
        plan = self.plan(structure, share(watch, 0.0, 0.1))
        keep_structure(plan.transfer.model.structure, folder)
        ladder = Ladder(plan.transfer, plan.drive)
        course = _Course(self, plan, ladder, watch)
        result = self._result(plan, ladder, _sample(self, plan, ladder, course, folder))
        return replace(result, notes=(*result.notes, *course.advice))

    @property
    def sweeps(self) -> int:
        """How often the copies exchange."""
        return max(FEWEST, round(self.sampling / self.exchange))

    def plan(self, structure: Structure | None = None, progress: Progress | None = None) -> "Plan":
        """All that is needed to sample.

        Args:
            structure: The prepared structure, where there is one already.
            progress: Called with a fraction and a sentence.

        Raises:
            StudioError: The system cannot be prepared, described or transferred.
        """
        raise NotImplementedError

    def _model(self, whole: Structure, ligands: Sequence[Integers], progress: Progress | None) -> tuple[Model, Thermostat]:
        """What moves, and how."""
        if not self.network:
            field = self.system.forcefield
            step = 4.0 if field.constrain_hydrogens and field.hydrogen_mass >= HEAVY else 2.0
            return View().build(self.system, whole, progress), Thermostat(self.temperature, timestep=step, seed=self.seed)
        first, *others = (MLFragment(region=Atoms(indices=tuple(atoms.tolist())), potential=self.network) for atoms in ligands)
        view = View(resolution="nnp/mm", region=first.region, potential=self.network, also=tuple(others))
        trial = Dynamics(system=self.system, view=view, temperature=self.temperature, seed=self.seed)
        drive = trial.simulation(whole, progress).thermostat
        return view.build(self.system, whole, progress, trial.schedule_for(drive.timestep), self.temperature), drive

    def _result(self, plan: "Plan", ladder: Ladder, whole: bool) -> Result:
        path = plan.transfer.path
        found = estimated(path, ladder.bound, ladder.unbound, self.temperature, self.discard, walkers=ladder.walkers)
        standard = plan.site.standard_state(self.temperature) / KJ_PER_KCAL
        values, arrays = values_of(found, standard) if plan.absolute else values_of(found, 0.0, sign=-1.0)
        values |= {"sweeps": float(len(ladder)), "ps_per_window": len(ladder) * self.exchange, "site_volume_nm3": plan.site.volume(self.temperature)}
        values |= {"copies_crossing": float(found.crossed or 0), "copies_all_the_way": float(travelled(ladder.walkers))}
        centres, densities = histogram(path, ladder.bound, ladder.unbound)
        arrays |= {"u0_kj_mol": ladder.bound, "u1_kj_mol": ladder.unbound, "walkers": ladder.walkers}
        arrays |= {"gap_kcal_mol": centres, "gap_density": densities, "direction": np.array([w.direction for w in path.windows])}
        arrays |= {"lambda": np.array([w.strength for w in path.windows])}
        notes = list(plan.transfer.model.structure.notes)
        if not whole:
            notes.append(f"Stopped after {len(ladder)} of {self.sweeps} sweeps: what is finished is kept, run it again to go on.")
        provenance = versions() | plan.transfer.model.provenance | plan.provenance | {"openmm_platform": ladder.platform}
        doubts = (*found.doubts, *self._leaning(ladder))
        return Result({}, values | {"doubts": float(len(doubts))}, arrays, provenance, (*notes, *doubts))

    def _leaning(self, ladder: Ladder) -> tuple[str, ...]:
        """A sentence if the walls of the site do more at the bound end than keep a ligand from getting lost."""
        energy = float(ladder.held[int(self.discard * len(ladder)) :, 0].mean())
        if energy < LEANING * BOLTZMANN * self.temperature:
            return ()
        return (
            f"Do not trust this number: in its site the ligand leans on the walls ({energy:.1f} kJ/mol on average). "
            "Take a larger radius or tilt - or it does not stay in this site.",
        )


@dataclass(frozen=True, eq=False)
class Plan:
    """What is sampled, and how.

    Args:
        transfer: The model and its windows.
        drive: Thermostat and time step.
        site: Where the (first) ligand is held.
        absolute: Whether the unbound end is the ligand by itself.
    """

    transfer: Transfer
    drive: Thermostat
    site: Site
    absolute: bool = True

    @property
    def provenance(self) -> dict[str, str]:
        """The method."""
        drive, site = self.drive, self.site
        return {
            "method": "alchemical transfer (openmm.ATMForce), Hamiltonian replica exchange, MBAR",
            "integrator": f"LangevinMiddle, {drive.schedule}, friction {drive.friction:g}/ps, seed {drive.seed}",
            "restraint": f"centre of {len(site.ligand)} ligand atoms within {site.radius:g} nm of that of {len(site.host)} atoms of the host",
        }


class AbsoluteBinding(_FreeEnergy):
    """How strongly a ligand binds: its standard free energy of binding.

    Args:
        system: Host and ligand, the ligand in its site.
        ligand: What is moved out: one molecule.
        network: Registered name of the potential that describes the ligand; none for MM.
        sampling: Of each window, ps.
        windows: How many.
        temperature: K.
        radius: Of the binding site, nm.
        tilt: Of the ligand's long axis, degrees.
        exchange: Time between exchanges of copies, ps.
        discard: Share of the sweeps at the start that is left out as equilibration.
        seed: Of velocities, thermostat and exchanges.
    """

    study: ClassVar[Study | None] = Study(
        "Binding free energy",
        "How strongly does it bind? The ligand is moved out of its site in small steps of energy. A host and its guest in continuum water take about ten "
        "minutes on one core; a protein wants a GPU and hours, and can be continued at any time.",
        "system",
    )

    kind: Literal["absolute_binding"] = "absolute_binding"
    version: Literal[1] = 1

    def plan(self, structure: Structure | None = None, progress: Progress | None = None) -> Plan:
        """All that is needed to sample.

        Args:
            structure: The prepared structure, where there is one already.
            progress: Called with a fraction and a sentence.

        Raises:
            StudioError: The system cannot be prepared, described or transferred.
        """
        whole = structure if structure is not None else self.system.prepare(progress)
        ligand, notes = chosen_ligand(whole, self.ligand.select(whole))
        site, told = binding_site(whole, ligand, self.radius, self.tilt)
        shift = displacement(whole, ligand)
        model, drive = self._model(whole.with_notes(*notes, *told), [ligand], progress)
        path = one_way(self.windows) if whole.box is None else two_ways(self.windows)
        moved = transfer(model, [(ligand, shift)], path, site.forces(whole.box is not None))
        return Plan(moved, drive, site)

    def report(self, result: Result, molecule: Structure | None = None) -> Report:
        """The number, whether to believe it, and how it came about.

        Args:
            result: Without a failure.
            molecule: Host and ligand.
        """
        return absolute_report(result, molecule)


class RelativeBinding(_FreeEnergy):
    """How much more strongly one ligand binds than another: the two change places between site and bulk.

    Args:
        system: Host and first ligand, in its site.
        replacement: The second ligand, in the same site and frame.
        ligand: The first ligand: one molecule.
        network: Registered name of the potential that describes both ligands; none for MM.
        sampling: Of each window, ps.
        windows: How many; even.
        temperature: K.
        radius: Of the binding site, nm.
        tilt: Of the ligand's long axis, degrees.
        exchange: Time between exchanges of copies, ps.
        discard: Share of the sweeps at the start that is left out as equilibration.
        seed: Of velocities, thermostat and exchanges.
    """

    kind: Literal["relative_binding"] = "relative_binding"
    version: Literal[1] = 1
    replacement: Annotated[
        Source,
        Field(title="Second ligand", description="In the same site and in the same frame as the first one, for example another record of the same SDF file."),
    ]

    @model_validator(mode="after")
    def _even(self) -> "RelativeBinding":
        if self.windows % 2:
            raise ValueError(f"windows: expected an even number, half of them for each end; got {self.windows}")
        return self

    def plan(self, structure: Structure | None = None, progress: Progress | None = None) -> Plan:
        """All that is needed to sample.

        Args:
            structure: Host and first ligand without surroundings, where they are there already.
            progress: Called with a fraction and a sentence.

        Raises:
            StudioError: The system cannot be prepared, described or transferred.
        """
        tell, system = progress or (lambda _fraction, _sentence: None), self.system
        host = structure if structure is not None else system.source.build(system.ph, system.seed, system.repairs)
        ligand, notes = chosen_ligand(host, self.ligand.select(host))
        site, told = binding_site(host, ligand, self.radius, self.tilt)
        pair = paired(system, ligand, host.with_notes(*notes, *told), self.replacement, tell)
        model, drive = self._model(pair.structure, [pair.first, pair.second], progress)
        holds = [*site.forces(pair.structure.box is not None), pair.alignment()]
        moved = transfer(model, [(pair.first, pair.shift), (pair.second, -pair.shift)], two_ways(self.windows), holds)
        return Plan(moved, drive, site, absolute=False)

    def report(self, result: Result, molecule: Structure | None = None) -> Report:
        """The number, whether to believe it, and how it came about.

        Args:
            result: Without a failure.
            molecule: Host and ligands.
        """
        return relative_report(result, molecule)


def _sample(recipe: _FreeEnergy, plan: Plan, ladder: Ladder, course: "_Course", folder: Folder | None) -> bool:
    """Sweep until there are enough; whether that was reached."""
    key = part_key(recipe.model_copy(update={"sampling": 1.0, "discard": 0.0}).to_json(), plan.transfer.model.structure.key)
    if not (folder and ladder.restore(folder / SAMPLES, key)):
        course.tell(0.0, "Relaxing the start")
        ladder.start()
    steps = max(1, round(1000 * recipe.exchange / plan.drive.timestep))
    course.begin()
    saved, whole = monotonic(), True
    while len(ladder) < recipe.sweeps and whole:
        whole = ladder.sweep(steps, course)
        if folder and (not whole or len(ladder) == recipe.sweeps or monotonic() - saved > SAVING_SECONDS):
            ladder.save(folder / SAMPLES, key)
            saved = monotonic()
    if len(ladder) < FEWEST:
        raise StoppedError(f"Stopped after {len(ladder)} sweeps; {FEWEST} are needed for an estimate. What is finished is kept: run it again to go on.")
    return whole


@dataclass
class _Course:
    """Tells after every stretch how far the sampling is, and hears that it should stop."""

    recipe: _FreeEnergy
    plan: Plan
    ladder: Ladder
    watch: Watch

    def __post_init__(self) -> None:
        self.tell = share(self.watch, 0.1, 1.0)

    def begin(self) -> None:
        """Now the sampling begins, here or where it was left."""
        self._start, self._before, self._stretches = monotonic(), len(self.ladder), 0
        self._shown = self.plan.transfer.model.structure.positions.astype(np.float32)

    @property
    def advice(self) -> tuple[str, ...]:
        """How long all of it takes on a processor, where that is long."""
        if not self._stretches or self.ladder.platform != "CPU" or len(self.plan.transfer.model.structure) < LARGE:
            return ()
        whole = (monotonic() - self._start) / self._stretches * self.recipe.sweeps * self.recipe.windows
        return (f"On this processor all windows take about {_duration(whole)}. Systems of this size want a GPU; the folder can be taken there and continued.",)

    def __call__(self, window: int, positions: np.ndarray) -> bool:
        self._stretches += 1
        sweeps, count = self.recipe.sweeps, self.recipe.windows
        if window == 0:
            self._shown = positions.astype(np.float32)
        done = (len(self.ladder) + (window + 1) / count) / sweeps
        left = (monotonic() - self._start) / self._stretches * ((sweeps - self._before) * count - self._stretches)
        step = len(self.ladder) + 1
        self.watch.frame = Frame(step, step * self.recipe.exchange, self._shown, energies={"potential": 0.0, "kinetic": 0.0})
        try:
            self.tell(min(done, 1.0), f"Sweep {step} of {sweeps}, window {window + 1} of {count}; about {_duration(left)} left")
        except StoppedError:
            return False
        return True


def _duration(seconds: float) -> str:
    """In words."""
    for unit, length in (("day", 86400.0), ("hour", 3600.0), ("minute", 60.0)):
        if seconds >= 1.5 * length:
            return f"{seconds / length:.0f} {unit}s"
    return f"{max(seconds, 0.0):.0f} seconds"
