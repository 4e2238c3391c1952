"""Levels: the resolutions at which one system can be seen, from networks to continuum water, as entries of one dial.

A level says what it is, what it cannot do for a system, which recipe it means, and how positions come along when the dial is
turned. Levels register by entry point (`studio.levels`); one whose particles are not atoms has a `carry` of its own, or
refuses in a sentence. Knows recipes and structures; must not know how they are simulated or shown.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from importlib.util import find_spec
from typing import ClassVar, Protocol, runtime_checkable

import numpy as np

from studio import plugins
from studio.carry import Carried, carry_atoms, protein_of
from studio.coarse.calvados import Calvados
from studio.coarse.go import FEWEST, GoModel
from studio.coarse.learned_beads import Learned
from studio.coarse.mapping import map_protein
from studio.coarse.martini import Martini
from studio.coarse.martini_trace import alphas_of
from studio.coarse.martini_water import DENSITY, width_of
from studio.coarse.parts import chosen
from studio.coarse.residues import bead_of
from studio.errors import PluginError, RegionError, StructureError, UnsupportedError, WeightsError
from studio.forcefield.ligand import ELEMENTS
from studio.hybrid.boundary import cut_bonds
from studio.hybrid.view import BeadModel, MLFragment, Resolution, View
from studio.recipes.dynamics import Dynamics
from studio.region import KindIs, Ligand, Solute
from studio.region_card import describe
from studio.structure import CAP_NAMES, Residue, Structure
from studio.system import Implicit, Pocket, System, Vacuum

LARGEST_IMPLICIT = 1500
"""Atoms up to which continuum water is offered: every pair counts, and a whole kinase (4,700 atoms) takes 2 s a step on two cores."""

NO_PROTEIN = "Beads stand for amino acids, and there is none here. Choose a level of atoms."
WHOLE = "The whole protein becomes beads, not its pocket alone."
NO_ATOMS = "These are beads, one a residue, without atoms. Choose CALVADOS, or open the protein with its atoms."


@dataclass(frozen=True)
class Limits:
    """What a level cannot do for one system.

    Args:
        blocking: Why it cannot be chosen at all; empty when it can.
        advice: What to know when it is chosen; empty when there is nothing.
    """

    blocking: str = ""
    advice: str = ""

    @property
    def possible(self) -> bool:
        """The level can be chosen."""
        return not self.blocking

    def __str__(self) -> str:
        return self.blocking or self.advice


@runtime_checkable
class Level(Protocol):
    """One entry of the dial. All recipes and systems in these calls are as the user set them up, whatever level is on now."""

    @property
    def name(self) -> str:
        """As registered."""
        ...

    @property
    def title(self) -> str:
        """For people."""
        ...

    @property
    def meaning(self) -> str:
        """What it does, in one sentence."""
        ...

    @property
    def rank(self) -> int:
        """Place on the dial: the finest first, 10 to 40 for those that come along, more for coarser ones."""
        ...

    def particles(self, structure: Structure, view: View) -> int:
        """How many particles would move or hold.

        Args:
            structure: The prepared structure.
            view: As set up.
        """
        ...

    def limits(self, system: System, structure: Structure, view: View) -> Limits:
        """What the level cannot do here, without loading anything.

        Args:
            system: As set up.
            structure: Its prepared structure.
            view: As set up.
        """
        ...

    def apply(self, recipe: Dynamics) -> Dynamics:
        """The recipe at this level; applying it twice changes nothing more.

        Args:
            recipe: As set up.
        """
        ...

    def carry(self, now: Structure, target: Structure) -> Carried:
        """Where to start at this level, when another one is on.

        Args:
            now: What moves now, at its present positions.
            target: The prepared structure of the recipe at this level; where there are further atoms, at their last known positions.

        Raises:
            UnsupportedError: Nothing can be carried; the sentence says why, and the target can be started as it is.
        """
        ...


class _AtomLevel:
    """What levels of atoms share."""

    resolution: ClassVar[Resolution]

    def particles(self, structure: Structure, view: View) -> int:
        """All atoms; see `Level`."""
        return len(structure)

    def apply(self, recipe: Dynamics) -> Dynamics:
        """The same system in another view, with the time step that it bears; see `Level`."""
        if recipe.view.resolution == self.resolution:
            return recipe
        other = {"friction": Dynamics.model_fields["friction"].default} if recipe.view.resolution == "beads" else {}
        return recipe.model_copy(update={"view": recipe.view.model_copy(update={"resolution": self.resolution}), "timestep": None, **other})

    def carry(self, now: Structure, target: Structure) -> Carried:
        """Atoms keep their places, or their shape where others surround them; see `Level`."""
        return carry_atoms(now, target)


class NetworkLevel(_AtomLevel):
    """The region alone, by the network."""

    name, title, rank = "nnp", "NNP", 10
    meaning = "The ML region by the network, alone in vacuum."
    resolution = "nnp"

    def particles(self, structure: Structure, view: View) -> int:
        """The region and its link hydrogens; see `Level`."""
        try:
            atoms = view.region.select(structure)
        except RegionError:
            return 0
        return len(atoms) + len(cut_bonds(structure, atoms))

    def limits(self, system: System, structure: Structure, view: View) -> Limits:
        """What the network refuses; what is left out. See `Level`."""
        blocking, atoms = _networks_refuse(structure, view.fragments[:1])
        left = len(structure) - atoms
        advice = f"{left:,} atoms around the region are left out: nothing screens its charges or holds it in place." if left and not blocking else ""
        if isinstance(system.surroundings, Implicit):
            advice += " The continuum water is left out."
        if view.also:
            advice += f" Only the first of {1 + len(view.also)} ML regions is seen."
        return Limits(blocking, advice.strip())

    def carry(self, now: Structure, target: Structure) -> Carried:
        """The region keeps its shape; see `Level`."""
        return replace(super().carry(now, target), sentence="The ML region keeps its shape; what is around it is left out.")


class HybridLevel(_AtomLevel):
    """The region by the network, the rest by MM."""

    name, title, rank = "nnp/mm", "NNP/MM", 20
    meaning = "The ML region by the network, everything else by the force field."
    resolution = "nnp/mm"

    def limits(self, system: System, structure: Structure, view: View) -> Limits:
        """What the network or the force field refuses; see `Level`."""
        blocking, atoms = _networks_refuse(structure, view.fragments)
        if not blocking and atoms == len(structure):
            blocking = "The region holds every atom, so that nothing is left for MM. Choose NNP, or a smaller region."
        return Limits(
            blocking or _forcefield_refuses(structure), "" if view.embedding == "electrostatic" else "The region feels its surroundings by MM charges."
        )


class MechanicsLevel(_AtomLevel):
    """Everything by MM."""

    name, title, rank = "mm", "MM", 30
    meaning = "Everything by the force field."
    resolution = "mm"

    def limits(self, system: System, structure: Structure, view: View) -> Limits:
        """What the force field refuses; see `Level`."""
        return Limits(_forcefield_refuses(structure), "Bonds neither form nor break, and charges do not respond to their surroundings.")


class ContinuumLevel(_AtomLevel):
    """The solute by MM, water as a continuum."""

    name, title, rank = "mm-implicit", "MM implicit", 40
    meaning = "The solute by the force field, in water as a continuum, whatever surrounds it otherwise."
    resolution = "mm"

    def particles(self, structure: Structure, view: View) -> int:
        """The solute; see `Level`."""
        return int(Solute().mask(structure).sum())

    def limits(self, system: System, structure: Structure, view: View) -> Limits:
        """Pockets and large solutes are refused; see `Level`."""
        solute = self.particles(structure, view)
        if isinstance(system.surroundings, Pocket):
            return Limits("A pocket is cut out of its protein, and continuum water would need all of it. Choose MM, or set the system up without the protein.")
        if not solute:
            return Limits("There is no solute, just water and ions. Choose MM.")
        if solute > LARGEST_IMPLICIT:
            return Limits(
                f"Continuum water is offered for up to {LARGEST_IMPLICIT:,} atoms, as every pair of them counts; this solute has {solute:,}. Choose MM."
            )
        left = len(structure) - solute
        advice = (
            f"{left:,} atoms of water and ions give way to a continuum: no single water can bridge or block."
            if left
            else "No single water can bridge or block."
        )
        return Limits(_forcefield_refuses(structure), advice)

    def apply(self, recipe: Dynamics) -> Dynamics:
        """The system in continuum water, all by MM; see `Level`."""
        mm = super().apply(recipe)
        if isinstance(mm.system.surroundings, Implicit):
            return mm
        return mm.model_copy(update={"system": mm.system.model_copy(update={"surroundings": Implicit()})})


class _BeadLevel:
    """What levels of beads share."""

    title: ClassVar[str]

    def model(self) -> BeadModel:
        """What beads feel when this level is chosen."""
        raise NotImplementedError

    def particles(self, structure: Structure, view: View) -> int:
        """One for each residue; see `Level`."""
        return len(_residues(structure))

    def limits(self, system: System, structure: Structure, view: View) -> Limits:
        """What is no protein is refused, or left out; see `Level`."""
        residues = _residues(structure)
        if len(residues) < FEWEST:
            few = {0: "there is none", 1: "there is only one"}.get(len(residues), f"there are only {len(residues)}")
            return Limits(f"Beads stand for amino acids, and {few} here. Choose a level of atoms.")
        try:
            for residue in residues:
                bead_of(residue.name)
            beads = map_protein(structure).beads
        except UnsupportedError as problem:
            return Limits(str(problem))
        doubt = WHOLE if isinstance(system.surroundings, Pocket) else self.doubt(structure, beads)
        return Limits("", " ".join(filter(None, (_left_out(structure), doubt))))

    def doubt(self, structure: Structure, beads: Structure) -> str:
        """What to know about this protein at this level, a sentence.

        Args:
            structure: Its atoms, or beads.
            beads: One a residue.
        """
        raise NotImplementedError

    def apply(self, recipe: Dynamics) -> Dynamics:
        """The protein as beads, without what was around it; see `Level`."""
        model, chosen = self.model(), recipe.view.beads
        if chosen.kind == model.kind:  # with the settings that were chosen before
            if recipe.view.resolution == "beads":
                return recipe
            model = chosen
        view = recipe.view.model_copy(update={"resolution": "beads", "beads": model})
        system = recipe.system.model_copy(update={"surroundings": Vacuum()})
        return recipe.model_copy(update={"view": view, "system": system, "timestep": None, "friction": model.friction})

    def carry(self, now: Structure, target: Structure) -> Carried:
        """Beads lie where their atoms are, or stay; see `Level`."""
        if now.is_beads:
            return Carried(now, "The beads keep their places, with new velocities.", len(now))
        if now.is_coarse and not target.is_coarse:
            alphas = alphas_of(protein_of(now), target)
            return Carried(alphas, "The beads lie where C-alphas follow from the beads of Martini, with new velocities.", len(alphas))
        return replace(carry_atoms(now, target), sentence="The beads lie where their atoms were, with new velocities.")


class LearnedLevel(_BeadLevel):
    """A peptide as backbone beads by a model that was learned from its atoms."""

    name, title, rank = "learned", "Learned beads", 50
    meaning = "The backbone as beads, by a network that learned the mean forces of all other atoms on them. Time is CG time."

    def model(self) -> BeadModel:
        """See `Learned`."""
        return Learned()

    def particles(self, structure: Structure, view: View) -> int:
        """The beads of the backbone; see `Level`."""
        try:
            return len(map_protein(structure, "backbone"))
        except UnsupportedError:
            return 0

    def limits(self, system: System, structure: Structure, view: View) -> Limits:
        """Residues that no model was learned for are refused; see `Level`."""
        model = view.beads if isinstance(view.beads, Learned) else Learned()
        try:
            part = chosen(structure, model.of)
            name, card = model.choose(part)
        except (RegionError, UnsupportedError, WeightsError, PluginError) as problem:
            return Limits(str(problem) if _residues(structure) else NO_PROTEIN)
        doubt = (
            WHOLE
            if isinstance(system.surroundings, Pocket)
            else f"The model '{name}' holds at {card.temperature:g} K ({card.reference or 'reference not told'})."
        )
        return Limits("", " ".join(filter(None, (_left_out(structure), doubt))))

    def carry(self, now: Structure, target: Structure) -> Carried:
        """Beads of the backbone stay; from C-alphas alone there is no way to the others. See `Level`."""
        if now.is_beads and set(now.names) == {"CA"}:
            raise UnsupportedError("These are C-alphas alone, and learned beads need the whole backbone. They start from the prepared structure.")
        if now.is_coarse and not now.is_beads:
            return replace(carry_atoms(now, target), sentence="The beads lie where atoms were built on the beads of Martini, with new velocities.")
        return super().carry(now, target)


class MartiniLevel(_BeadLevel):
    """A protein as a few beads a residue in water beads."""

    name, title, rank = "martini3", "Martini 3 beads", 45
    meaning = "Beads of two to four heavy atoms with their chemistry, in water beads; springs keep the fold. Time is CG time."

    def model(self) -> BeadModel:
        """See `Martini`."""
        return Martini()

    def particles(self, structure: Structure, view: View) -> int:
        """About how many beads there are, nearly all of them water: a bit fewer, as beads lie within their atoms; see `Level`."""
        try:
            return round(DENSITY * width_of(structure.positions[structure.atoms_of("protein")], Martini().padding_nm) ** 3) if _residues(structure) else 0
        except StructureError:
            return 0

    def limits(self, system: System, structure: Structure, view: View) -> Limits:
        """Beads without atoms have no side chains; a large box is refused. See `Level`."""
        if structure.is_beads:
            return Limits("These are beads without side chains, and Martini needs to know where those are. Choose CALVADOS.")
        if find_spec("vermouth") is None:
            return Limits("Martini beads need the package vermouth. Install it: pip install vermouth.")
        limits = super().limits(system, structure, view)
        try:
            if limits.possible:
                width_of(structure.positions[structure.atoms_of("protein")], Martini().padding_nm)
        except StructureError as problem:
            return Limits(str(problem))
        return limits

    def doubt(self, structure: Structure, beads: Structure) -> str:
        """Folds are held; see `_BeadLevel`."""
        return "Secondary structure and fold stay as prepared: it neither unfolds nor folds."

    def carry(self, now: Structure, target: Structure) -> Carried:
        """Beads lie where their atoms are, or stay; see `Level`."""
        if now.is_coarse and not now.is_beads:
            return Carried(now, "The beads keep their places, with new velocities.", len(now))
        return replace(carry_atoms(now, target), sentence="The beads lie where their atoms were, in new water, with new velocities.")


class GoLevel(_BeadLevel):
    """A folded protein as beads that its native contacts hold together."""

    name, title, rank = "go-ca", "G\u014d beads", 60
    meaning = "One bead a residue; the contacts of the prepared structure hold it together. Time is CG time."

    def model(self) -> BeadModel:
        """See `GoModel`."""
        return GoModel()

    def limits(self, system: System, structure: Structure, view: View) -> Limits:
        """Beads without atoms have no native contacts; see `Level`."""
        if structure.is_beads:
            return Limits("These chains have no native structure that could hold them together. Choose CALVADOS.")
        return super().limits(system, structure, view)

    def doubt(self, structure: Structure, beads: Structure) -> str:
        """Breaks of the chain; see `_BeadLevel`."""
        pieces = len(beads.molecules)
        broken = f" It is {pieces} pieces, which only contacts hold together." if pieces > 1 else ""
        return f"The prepared structure is the lowest by construction.{broken}"


class CalvadosLevel(_BeadLevel):
    """Disordered chains as beads in salt water."""

    name, title, rank = "calvados2", "CALVADOS beads", 70
    meaning = "One bead a residue, by stickiness and charge in salt water: for disordered chains. Time is CG time."

    def model(self) -> BeadModel:
        """See `Calvados`."""
        return Calvados()

    def doubt(self, structure: Structure, beads: Structure) -> str:
        """What is folded comes apart; see `_BeadLevel`."""
        pieces = len(beads.molecules)
        apart = f" The {pieces} chains or pieces drift apart." if pieces > 1 and structure.box is None else ""
        folded = "" if structure.is_beads else "Nothing holds a fold: what is folded comes apart (name its domains, with version 3, or choose G\u014d beads)."
        return f"{folded}{apart}".strip()


def _residues(structure: Structure) -> list[Residue]:
    """Amino acids, caps aside."""
    return [residue for residue in structure.residues if residue.kind == "protein" and residue.name not in CAP_NAMES]


def _left_out(structure: Structure) -> str:
    left = [name for name, region in (("the ligand", Ligand()), ("water", KindIs(of="water")), ("ions", KindIs(of="ion"))) if region.mask(structure).any()]
    listed = ", ".join(left[:-1]) + " and " * (len(left) > 1) + left[-1] if left else ""
    return f"{listed[0].upper()}{listed[1:]} {'are' if len(left) > 1 or left == ['ions'] else 'is'} left out." if left else ""


def levels() -> tuple[Level, ...]:
    """All registered levels, the finest first; a plug-in that cannot be used is left out, as `level` says why."""
    found = []
    for name in plugins.names("studio.levels"):
        try:
            found.append(level(name))
        except PluginError:
            continue
    return tuple(sorted(found, key=lambda one: (one.rank, one.name)))


def level(name: str) -> Level:
    """A level by name.

    Args:
        name: As registered.

    Raises:
        PluginError: No level has this name, or what has it is none.
        MissingPackageError: Something that it needs is not installed.
    """
    found = plugins.load("studio.levels", name)()
    if not isinstance(found, Level):
        raise PluginError(f"The plug-in '{name}' is not a level: it lacks one of name, title, meaning, rank, particles, limits, apply, carry.")
    return found


def level_of(recipe: Dynamics) -> Level | None:
    """The level that a recipe is at, the coarsest that changes nothing about it; none if there is no such level.

    Args:
        recipe: Any.
    """
    return next((one for one in reversed(levels()) if one.apply(recipe) == recipe), None)


def _networks_refuse(structure: Structure, fragments: Sequence[MLFragment]) -> tuple[str, int]:
    """Why a network cannot describe its region (empty if all can), and how many atoms the regions have."""
    if structure.is_beads:
        return NO_ATOMS, 0
    atoms = 0
    for fragment in fragments:
        card = describe(structure, fragment.region, fragment.charge, fragment.multiplicity)
        ability = card.ability(fragment.potential)
        if card.refusal or (ability is not None and ability.state not in ("ready", "needs download")):
            return card.refusal or (ability.reason if ability else ""), atoms
        atoms += len(card.atoms)
    return "", atoms


def _forcefield_refuses(structure: Structure) -> str:
    """Why the force field cannot describe the small molecules, as far as can be seen without it."""
    if structure.is_beads:
        return NO_ATOMS
    ligand = structure.atoms_of("ligand")
    foreign = ligand[~np.isin(structure.numbers[ligand], list(ELEMENTS.values()))]
    if len(foreign):
        return (
            f"The force field for small molecules does not know the element of {structure.label(int(foreign[0]))}; it knows {' '.join(ELEMENTS)}. Choose NNP."
        )
    if structure.multiplicity != 1:
        return f"The force field describes closed shells only; this system has multiplicity {structure.multiplicity}. Choose NNP."
    return ""
