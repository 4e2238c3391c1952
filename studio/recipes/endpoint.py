"""End-point binding: MM/GBSA over a recorded run, or at one relaxed pose, with the ligand's strain by any potential.

See `studio.endpoint` for what is computed and what is left out.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from time import monotonic
from typing import Annotated, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from studio import plugins
from studio.conformers import check_molecule, conformers
from studio.endpoint import TERMS, Ends, doubts, strains, total
from studio.errors import StoppedError, StudioError
from studio.forcefield.pocket import Capped
from studio.partners import partners
from studio.parts import Part, keep, kept
from studio.potentials.base import Potential
from studio.progress import Progress
from studio.recipes.base import Study
from studio.recipes.interaction import complex_of
from studio.recipes.lasting import Lasting, keep_structure, part_key
from studio.recipes.recorded import Frames, recorded
from studio.recipes.work import Watch, going, share
from studio.region import AnyRegion, Focus
from studio.report import Report
from studio.result import Result, versions
from studio.settle import settled
from studio.structure import Floats, Integers, Structure
from studio.system import Implicit, System
from studio.timeseries import mean_of, running
from studio.units import KJ_PER_KCAL, Nanometer

STRAINED = 10
"""Frames at most in which the ligand's strain is measured: it costs some seconds each."""
SAVED = 5.0
"""Wall time between two savings of what is known, s."""
CHARGED = (
    "The ligand has a charge of {:+.0f}: Coulomb and polar energies are large and cancel, and what is left out of the protein shifts their sum by "
    "some kcal/mol, much alike for ligands of one charge. Do not compare it with ligands of another charge."
)
SHORT = 100.0
"""A recording that covers less says little about how the ligand moves, ps."""
_HELD = 0.03
"""How far a heavy atom of the ligand may go when a frame is relaxed for its strain, nm."""


class _Ends(Lasting):
    """What the recipes of this file share.

    Args:
        solvent: Generalised Born model.
        reach: Protein within this distance of the ligand is kept, nm.
        potential: Registered name of the potential that gives the ligand's strain; empty for none.
        conformers: Shapes from which the free ligand's minimum is searched.

    `values` has binding_kcal_mol and binding_error_kcal_mol, each of the `TERMS` and strain likewise, frames, and ligand_charge_e.

    `arrays` has binding_kcal_mol (frames,), terms_kcal_mol (frames, 4), strain_kcal_mol (frames,), not a number where it was not measured, and ligand_atoms;
    of a run besides frame (its number in the recording), time_ps, running_frames, running_kcal_mol and running_error_kcal_mol.
    """

    solvent: Literal["gbn2", "obc2"] = Field(default="gbn2", title="Water model", description="Generalised Born: GBn2 is the newer one; OBC2 the more common.")
    reach: Nanometer = Field(default=0.8, title="Protein around the ligand (nm)", description="What lies farther off is left out; it hardly matters.")
    potential: str = Field(default="so3lr", title="Strain by", description="Which potential says how much the ligand pays for its shape; empty for none.")
    conformers: Annotated[int, Field(ge=0, le=1000)] = 20

    def answer(self, structure: Structure | None, watch: Watch, folder: Path | None) -> Result:
        """Evaluate all frames; what the potential refuses is a note."""
        work = _Work(self, self.source(structure, watch), folder)
        watch.show(work.source.pair.structure.positions)
        work.evaluate(watch)
        return work.result()

    def source(self, structure: Structure | None, watch: Watch) -> Frames:
        """The frames in which ligand and receptor are looked at.

        Args:
            structure: The prepared structure, where there is one already.
            watch: Is told.

        Raises:
            StudioError: There are none, or no ligand and receptor in them.
        """
        raise NotImplementedError

    def report(self, result: Result, molecule: Structure | None = None) -> Report:
        """What people see: the free energy with its error, where it comes from, and how it settles along the run.

        Args:
            result: Without a failure.
            molecule: That was kept with it.
        """
        from studio.recipes.endpoint_report import endpoint_report

        return endpoint_report(result, molecule)


class EndPoint(_Ends):
    """MM/GBSA over a recorded run.

    Args:
        recording: Folder of the run.
        ligand: Which atoms are the ligand.
        skip: Share of the run at its start that is left out.
        frames: At most so many are evaluated, equally far apart.
    """

    study: ClassVar[Study | None] = Study(
        "End-point binding energy of a run",
        "MM/GBSA with the ligand's strain by a network, over the frames of a run: a quick estimate for ranking similar ligands. About a second a frame.",
        "recording",
    )

    kind: Literal["endpoint"] = "endpoint"
    version: Literal[1] = 1
    recording: str
    ligand: AnyRegion = Focus()
    skip: Annotated[float, Field(ge=0.0, le=0.9)] = Field(default=0.2, title="Leave out at the start (share)", description="The run settles there.")
    frames: Annotated[int, Field(ge=1, le=100_000)] = Field(default=50, title="Frames", description="At most so many are evaluated, equally far apart.")

    def source(self, structure: Structure | None, watch: Watch) -> Frames:
        """Frames of the recording; the structure is not used."""
        return recorded(self.recording, self.ligand, self.skip, self.frames)


class EndPointPose(_Ends):
    """MM/GBSA of one pose, relaxed: a first look in half a minute, with no idea of its own error.

    Args:
        system: Where the pose comes from: a complex, or the ligand alone with its `receptor` beside it.
        ligand: Which atoms are the ligand.
        receptor: What the ligand binds to, where the system does not hold it.
    """

    study: ClassVar[Study | None] = Study(
        "End-point binding energy of a pose",
        "MM/GBSA of one relaxed pose with the ligand's strain by a network: a first look, for ranking similar ligands. About a minute.",
        "system",
    )

    kind: Literal["endpoint_pose"] = "endpoint_pose"
    version: Literal[1] = 1
    system: System
    ligand: AnyRegion = Focus()
    receptor: System | None = None

    def source(self, structure: Structure | None, watch: Watch) -> Frames:
        """The pose alone."""
        whole, chosen = complex_of(self.system, self.receptor, self.ligand, structure, watch)
        return Frames(partners(whole, chosen), self.system, np.zeros(0, dtype=np.int64), np.zeros(0), lambda _number: whole.positions, whole.key)


@dataclass
class _Work:
    """What is known so far."""

    recipe: _Ends
    source: Frames
    folder: Path | None
    terms: Floats = field(default_factory=lambda: np.zeros((0, len(TERMS))))
    strain: Floats = field(default_factory=lambda: np.zeros(0))
    notes: list[str] = field(default_factory=list)
    provenance: dict[str, str] = field(default_factory=dict)

    @property
    def single(self) -> bool:
        """One pose, without a run."""
        return not len(self.source.numbers)

    def evaluate(self, watch: Watch) -> None:
        """The terms of all frames, then the strain in some of them.

        Raises:
            StudioError: Nothing could be evaluated, it was stopped, or the folder cannot be written.
        """
        keep_structure(self.source.pair.structure, self.folder)
        watch(0.01, "Cutting the neighbourhood of the ligand out")
        near, cut = self.source.pair.cut(self.recipe.reach)
        places = self._settled(watch)
        surroundings = Implicit(model=self.recipe.solvent)
        watch(0.1, f"Force-field parameters of {len(near.structure)} atoms")
        mm = self.source.system.model_copy(update={"surroundings": surroundings}).parametrise(near.structure)
        self.provenance |= {f"mm: {name}": text for name, text in mm.provenance.items()}
        self.notes.append(
            f"Evaluated with {len(near.structure)} atoms: the ligand and residues within {10 * self.recipe.reach:g} angstrom of it, without water and salt."
        )
        self._frames(Ends(near, mm), cut, places, watch)
        self._strained(share(watch, 0.7, 1.0), places)

    def _settled(self, watch: Watch) -> Callable[[int], Floats]:
        """Gives the positions of a frame; of a single pose those after relaxing it."""
        pair = self.source.pair
        if not self.single or pair.structure.box is not None or pair.structure.droplet is not None:
            return self.source.read
        path, key = self._path("pose"), self._key("pose")
        part = kept(path, key)
        if part is None:
            pose = settled(pair, self.source.system.parametrise, going(watch, 0.02, 0.1, "Relaxing the pose"))
            part = Part({"pose": pose}, {})
            keep(path, key, part)
        pose = part.arrays["pose"]
        watch.show(pose)
        keep_structure(pair.structure.with_positions(pose), self.folder)
        return lambda _number: pose

    def _frames(self, ends: Ends, cut: Capped, places: Callable[[int], Floats], watch: Watch) -> None:
        """Terms of all frames; those that are known are not computed again."""
        numbers = self._numbers
        path, key, saved = self._path("terms"), self._key("terms", str(self.recipe.reach), self.recipe.solvent), monotonic()
        known = kept(path, key)
        terms = known.arrays["terms"].copy() if known else np.full((len(numbers), len(TERMS)), np.nan)
        try:
            for index in np.flatnonzero(np.isnan(terms[:, 0])).tolist():
                frame = places(int(numbers[index]))
                watch.show(frame, int(numbers[index]))
                watch(0.1 + 0.6 * index / len(numbers), f"Frame {index + 1} of {len(numbers)}")
                terms[index] = ends(cut.place(frame))
                if monotonic() - saved > SAVED:
                    keep(path, key, Part({"terms": terms}, {}))
                    saved = monotonic()
        finally:
            keep(path, key, Part({"terms": terms}, {}))
        self.terms, self.strain = terms, np.full(len(numbers), np.nan)

    @property
    def _numbers(self) -> Integers:
        return np.zeros(1, dtype=np.int64) if self.single else self.source.numbers

    def _strained(self, watch: Progress, places: Callable[[int], Floats]) -> None:
        """Strain of the ligand in some frames; a potential that refuses is a note."""
        if not self.recipe.potential:
            self.notes.append("The ligand's strain is not in it.")
            return
        chosen = np.unique(np.linspace(0, len(self._numbers) - 1, min(STRAINED, len(self._numbers))).astype(np.int64))
        try:
            potential: Potential = plugins.load("studio.potentials", self.recipe.potential)()
            path, key = self._path("strain"), self._key("strain", repr(potential), str(self.recipe.conformers))
            part = kept(path, key)
            if part is None:
                poses = np.array([places(int(self._numbers[index]))[self.source.pair.ligand] for index in chosen])
                part = self._relaxed(potential, poses, watch)
                keep(path, key, part)
        except StoppedError:
            raise
        except StudioError as problem:
            self.notes.append(f"The ligand's strain is not in it: {problem}")
            return
        self.strain[chosen] = part.arrays["strain"]
        self.notes += part.words["notes"]

    def _relaxed(self, potential: Potential, poses: Floats, watch: Progress) -> Part:
        whole = self.source.pair.structure
        ligand = whole.take(self.source.pair.ligand)
        ligand = replace(ligand, box=None, droplet=None, fixed=np.zeros(len(ligand), dtype=np.bool_), positions=poses[0])
        check_molecule(ligand)
        watch(0.0, f"Making {self.recipe.conformers} shapes of the ligand")
        shapes = conformers(ligand, self.recipe.conformers) if self.recipe.conformers else np.zeros((0, *poses[0].shape))
        steps = iter(range(1, 10**9))

        def on_step(_iteration: int, moving: int) -> None:
            done = next(steps)
            watch(done / (done + 60), f"{potential.card.title}: relaxing the ligand, step {done}, {moving} still moving")

        found = strains(potential, ligand, poses, shapes, tolerance=_HELD, on_step=on_step)
        return Part({"strain": found.energies}, {"notes": list(found.notes)})

    def _path(self, name: str) -> Path | None:
        return self.folder / f"endpoint-{name}.npz" if self.folder else None

    def _key(self, *more: str) -> str:
        """A hash of all that a part depends on."""
        chosen = self.source
        return part_key(chosen.key, str(chosen.pair.ligand.tolist()), chosen.system.forcefield.model_dump_json(), *more)

    def result(self) -> Result:
        """Values, arrays, provenance and notes."""
        whole, pair = total(self.terms, self.strain), self.source.pair
        columns = {"binding": whole, **dict(zip(TERMS, self.terms.T / KJ_PER_KCAL, strict=True)), "strain": self.strain / KJ_PER_KCAL}
        values = {"frames": float(len(whole)), "ligand_charge_e": float(pair.structure.formal_charges[pair.ligand].sum())}
        for name, column in columns.items():
            mean = mean_of(column)
            values |= {f"{name}_{what}kcal_mol": float(number) for what, number in (("", mean.value), ("error_", mean.error)) if np.isfinite(number)}
        if "strain_error_kcal_mol" in values and "binding_error_kcal_mol" in values:
            values["binding_error_kcal_mol"] = float(np.hypot(values["binding_error_kcal_mol"], values["strain_error_kcal_mol"]))
        arrays: dict[str, NDArray[np.generic]] = {
            "binding_kcal_mol": whole, "terms_kcal_mol": self.terms / KJ_PER_KCAL, "strain_kcal_mol": columns["strain"], "ligand_atoms": pair.ligand,
        }  # fmt: skip
        if self.single:
            notes = ["One relaxed frame: an estimate without an error. Run dynamics and evaluate the recording to have one."]
        else:
            counts, means, errors = running(whole)
            arrays |= {"running_frames": counts, "running_kcal_mol": means, "running_error_kcal_mol": errors}
            arrays |= {"frame": self.source.numbers, "time_ps": self.source.times}
            notes = [*_short(self.source.times), *doubts(whole)]
        notes += [CHARGED.format(values["ligand_charge_e"])] if values["ligand_charge_e"] else []
        return Result({}, values, arrays, versions() | self.provenance, (*notes, *pair.notes, *self.notes, *pair.structure.notes))


def _short(times: Floats) -> list[str]:
    """A sentence if the frames cover little time, ps."""
    covered = float(times[-1] - times[0])
    if covered >= SHORT:
        return []
    return [f"The frames cover {covered:.3g} ps: what moves more slowly than that is not in the error. Some hundred picoseconds are usual."]
