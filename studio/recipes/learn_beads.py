"""Learn beads: a coarse model of one peptide, learned while people watch, and judged before anybody may use it.

Configurations -> mean forces -> prior and an ensemble of networks -> replicas -> labels where the model is in doubt -> gates -> card.
This file says what can be asked and what comes out; how it is done is in `learning`.
"""

from pathlib import Path
from typing import Annotated, ClassVar, Literal

from pydantic import Field, model_validator

from studio.coarse import shelf
from studio.coarse.card import CARD
from studio.coarse.held import Sampling
from studio.coarse.mapping import Scheme, map_protein
from studio.coarse.training import Training
from studio.errors import UnsupportedError
from studio.hybrid.view import View
from studio.recipes.base import Study
from studio.recipes.dynamics import Dynamics
from studio.recipes.lasting import Lasting
from studio.recipes.learn_beads_report import report
from studio.recipes.learning import Course
from studio.recipes.learning_plan import Plan
from studio.recipes.let_go import Trial
from studio.recipes.work import Watch, share
from studio.region import AnyRegion, KindIs
from studio.report import Report
from studio.result import Result
from studio.structure import Structure
from studio.system import Implicit, System
from studio.units import Kelvin

FEWEST_BEADS = 4
"""A chain of fewer beads does not turn."""
FEWEST_SHARE = 10
"""Labels of each temperature, at least, that the first model is learned from."""
CANDIDATES = 2
"""Configurations that are sampled for each that is taken."""
MOST_ATOMS = 3000
"""Beyond that, hundreds of mean forces take days here."""
PREPARING = 0.01
"""Share of the work, guessed."""


class LearnBeads(Lasting):
    """A coarse model of a peptide, from nothing to a card with gates.

    Args:
        system: The peptide.
        name: Of the model on the shelf; of the peptide when empty.
        labels: Mean forces that it learns from, those of active learning among them.
        rounds: Of active learning: how often the model says which configurations it wants to know more about.
        added: Part of the labels that active learning asks for.
        scheme: Which beads a residue has.
        water: Continuum water, or what is around the molecule as it was set up.
        reference: What makes the forces.
        potential: The network, where one makes them.
        region: What the network describes in NNP/MM.
        reference_ns: Length of the trajectory of all atoms that the model is compared with, ns.
        temperature: At which the model holds, K.
        workers: Processes that measure mean forces.
        hot: Of the trajectories that are driven, for configurations that are not met at the temperature, K.
        drive: How far they are pushed out of the turns of the backbone that they were at, kJ/mol.
        spacing_ps: Between configurations, ps.
        settle_ps: Before each average, ps.
        average_ps: Of each mean force, ps.
        training: How networks are trained.
        trial: How the model is let go.
        seed: Of everything random.

    `values` has labels, label_error_kj_mol_nm, held_out_error_kj_mol_nm, js, js_limit, fes_error_kcal_mol, passed (1 or 0),
    reference_ns, replicas and set_aside. `arrays` has verdict and card as JSON text, beads_nm (copies, b, 3) where the replicas are,
    losses and held_out (members, epochs), label_errors_kj_mol_nm, counts of the surfaces of the model and the reference, rounds
    (labels, held-out error, divergence and its floor of each), and controls.
    """

    study: ClassVar[Study | None] = Study(
        "Learn a coarse model of this peptide",
        "A model of a few beads is learned from mean forces of the atoms, compared with them, and offered on the dial if it passes. "
        "Ten minutes to a quarter of an hour for alanine dipeptide.",
        "system",
    )

    kind: Literal["learn_beads"] = "learn_beads"
    version: Literal[1] = 1
    system: System
    labels: Annotated[
        int,
        Field(ge=40, le=100_000, title="Labels", description="Mean forces to learn from: 1,500 give a dipeptide to 0.2 kcal/mol; longer ones need far more."),
    ] = 1500
    reference: Annotated[
        Literal["mm", "nnp", "nnp/mm"],
        Field(title="Forces by", description="The force field, a network alone (in vacuum), or a network for the peptide and the force field for its water."),
    ] = "mm"
    potential: Annotated[str, Field(title="Network", description="Whose forces are carried up to beads, where a network makes them.")] = "so3lr"
    reference_ns: Annotated[
        float, Field(gt=0.0, le=10_000.0, title="Comparison, ns", description="Length of the trajectory of all atoms that the model has to agree with.")
    ] = 3.0
    scheme: Annotated[
        Scheme, Field(title="Beads", description="backbone: N, CA and C of each residue; ca: one bead a residue; ca-cb: two. A dipeptide needs backbone.")
    ] = "backbone"
    rounds: Annotated[
        int, Field(ge=0, le=20, title="Rounds of active learning", description="How often the model asks for labels where it goes and is least sure.")
    ] = 0
    added: Annotated[
        float, Field(ge=0.05, le=0.9, title="Asked for by the model", description="Part of the labels that active learning adds, in all its rounds.")
    ] = 0.25
    water: Annotated[
        Literal["continuum", "as_set_up"],
        Field(title="Water", description="Where the force field makes all forces: continuum water, or what is around the molecule. NNP/MM has what is set up."),
    ] = "continuum"
    name: Annotated[
        str,
        Field(
            pattern=r"^([a-z0-9][a-z0-9-]{0,59})?$",
            title="Name of the model",
            description="For the dial; lower case, digits and hyphens. Of the peptide when empty.",
        ),
    ] = ""
    temperature: Kelvin = 300.0
    workers: Annotated[int, Field(ge=1, le=64, title="Workers", description="Processes that measure mean forces; one more moves all atoms.")] = 1
    region: AnyRegion = KindIs(of="protein")
    hot: Annotated[tuple[Kelvin, ...], Field(max_length=8)] = (330.0,)
    drive: Annotated[float, Field(ge=0.0, le=100.0)] = 60.0
    spacing_ps: Annotated[float, Field(gt=0.0, le=1000.0)] = 0.2
    settle_ps: Annotated[float, Field(ge=0.0, le=1000.0)] = 0.24
    average_ps: Annotated[float, Field(gt=0.0, le=1000.0)] = 2.4
    training: Training = Training(members=8, decay=0.1, epochs=400)
    trial: Trial = Trial()
    seed: Annotated[int, Field(ge=0, lt=2**31 - 1)] = 0

    @model_validator(mode="after")
    def _consistent(self) -> "LearnBeads":
        if any(hot <= self.temperature for hot in self.hot):
            raise ValueError(f"hot: expected temperatures above that of the model, {self.temperature:g} K; got {', '.join(f'{hot:g}' for hot in self.hot)}")
        begun, least = self.labels - self.asked, FEWEST_SHARE * (1 + len(self.hot))
        if begun < least:
            raise ValueError(f"{begun} labels are left to begin with, and at least {least} are needed: ask for more labels, or let the model ask for fewer")
        self.sampling  # noqa: B018 - what it refuses is refused here, before anything is measured
        return self

    def answer(self, structure: Structure | None, watch: Watch, folder: Path | None) -> Result:
        """Learn, judge, and put the model on the shelf if it passes; the model lies in `model` in the folder either way."""
        atoms = structure if structure is not None else self.seen.prepare(share(watch, 0.0, PREPARING))
        return Course(self.plan(atoms), atoms, folder, watch).learn()

    def report(self, result: Result, molecule: Structure | None = None) -> Report:
        """The verdict, surfaces beside each other, gates, basins, how it learned, its card."""
        return report(result, molecule)

    @property
    def seen(self) -> System:
        """The system whose forces are learned."""
        return self.system.model_copy(update={"surroundings": Implicit()}) if self.water == "continuum" and self.reference == "mm" else self.system

    @property
    def view(self) -> View:
        """What makes the forces."""
        return View(resolution=self.reference, potential=self.potential, region=self.region)

    def plan(self, atoms: Structure) -> Plan:
        """All that is needed to do it.

        Args:
            atoms: The prepared structure.

        Raises:
            UnsupportedError: It is no peptide, too large, or its beads are too few.
        """
        if len(atoms) > MOST_ATOMS:
            smaller = "continuum water" if self.reference == "mm" else "a smaller box"
            raise UnsupportedError(
                f"Hundreds of mean forces of {len(atoms):,} atoms take days here; up to {MOST_ATOMS:,} are taken. Choose {smaller}, or a shorter peptide."
            )
        if self.name and (shelf.SHIPPED / self.name / CARD).exists():
            raise UnsupportedError(f"'{self.name}' is the name of a bead model that comes with the program. Give yours another name.")
        mapping = map_protein(atoms, self.scheme, "slice")
        if len(mapping) < FEWEST_BEADS:
            raise UnsupportedError(f"{len(mapping)} beads are no chain that could turn; at least {FEWEST_BEADS} are needed. Choose backbone beads.")
        training = self.training.model_copy(update={"seed": self.training.seed + self.seed})
        return Plan(
            recipe=self.to_json(), name=self.name or free_name(name_of(atoms.title)), title=atoms.title, system=self.seen, view=self.view, mapping=mapping,
            scheme=self.scheme, sampling=self.sampling, labels=self.labels - self.asked, training=training, rounds=self.rounds,
            asked=self.asked, trial=self.trial, dynamics=Dynamics(system=self.seen, view=self.view, temperature=self.temperature, seed=self.seed),
            reference_ns=self.reference_ns, by=self.by,
        )  # fmt: skip

    @property
    def sampling(self) -> Sampling:
        """How configurations are found and mean forces are measured."""
        return Sampling(
            configurations=CANDIDATES * (self.labels - self.asked), temperatures=(self.temperature, *self.hot), drive=self.drive,
            spacing_ps=self.spacing_ps, settle_ps=self.settle_ps, average_ps=self.average_ps, workers=self.workers, seed=self.seed,
        )  # fmt: skip

    @property
    def asked(self) -> int:
        """Labels that active learning adds in all rounds."""
        return int(self.added * self.labels) if self.rounds else 0

    @property
    def by(self) -> str:
        """What makes the forces, in words."""
        water = {"implicit": "continuum water", "vacuum": "vacuum", "water_box": "water"}.get(self.seen.surroundings.kind, self.seen.surroundings.kind)
        field = f"MM ({self.seen.forcefield.protein})"
        by = {"mm": field, "nnp": self.potential, "nnp/mm": f"{self.potential} / MM"}[self.reference]
        return f"{by} in {'vacuum' if self.reference == 'nnp' else water}, {self.temperature:g} K"


def free_name(name: str) -> str:
    """The name, or another one where a model that comes with the program has it.

    Args:
        name: For files.
    """
    return f"own-{name}"[:60] if (shelf.SHIPPED / name / CARD).exists() else name


def name_of(title: str) -> str:
    """A name for files from a title.

    Args:
        title: For people.
    """
    words = "".join(letter if letter.isascii() and letter.isalnum() else "-" for letter in title.lower())
    return "-".join(filter(None, words.split("-")))[:60] or "peptide"
