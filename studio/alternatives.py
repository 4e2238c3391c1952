"""Alternatives: what a run is worth being compared with - another level, potential, ligand or region - as recipes that differ in that only.

Knows recipes and what can describe what; must not know how anything is run or shown.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from studio import levels
from studio.carry import carry_atoms
from studio.errors import SettingsError, StudioError, UnsupportedError
from studio.io.records import blocks
from studio.io.targets import target
from studio.levels import Level
from studio.recipes.dynamics import Dynamics
from studio.region import AnyRegion, Near, Union
from studio.region_card import describe
from studio.sources import FromFile, FromTarget, Source
from studio.structure import Structure

LARGER = 0.3
"""What comes this close to the region, nm, belongs to the larger one, in whole residues."""


@dataclass(frozen=True)
class Alternative:
    """Something to be compared with.

    Args:
        name: `level`, `potential`, `ligand`, `region` or `scales`.
        title: For people.
        recipe: What to run; none where it cannot be done.
        reason: Why it cannot be done; empty when it can.
        more: What else to run beside it.
    """

    name: str
    title: str
    recipe: Dynamics | None = None
    reason: str = ""
    more: tuple[Dynamics, ...] = ()


def varied(
    recipe: Dynamics, home: Dynamics, *, level: str = "", potential: str = "", region: AnyRegion | None = None, source: Source | None = None
) -> Dynamics:
    """The recipe with one thing changed; what is left out stays, the seed too.

    Args:
        recipe: Of the run to be compared with.
        home: The same as the user set it up, whatever level is on.
        level: Name of another level.
        potential: Name of another network.
        region: Another ML region.
        source: Another molecule.

    Raises:
        SettingsError: Nothing was named, or a network or region for a level that has none.
        PluginError: There is no such level.
    """
    network: dict[str, object] = {"potential": potential} if potential else {}
    if region is not None:
        network |= {"region": region, "charge": None, "multiplicity": None}
    if not (level or network or source):
        raise SettingsError("Expected a level, a potential, a region or another molecule to compare with; got nothing.")
    changed = levels.level(level).apply(home) if level else recipe
    if not changed.view.asks_network and network:
        raise SettingsError("This level has no network. Choose level = nnp/mm or nnp to compare potentials and regions.")
    view = changed.view.model_copy(update=network)
    system = changed.system if source is None else changed.system.model_copy(update={"source": source})
    return changed.model_copy(update={"view": view, "system": system, "timestep": changed.timestep if changed.view == view else None})


def alternatives(recipe: Dynamics, home: Dynamics, structure: Structure) -> tuple[Alternative, ...]:
    """What the run is worth being compared with; takes a moment, so call it in a thread.

    Args:
        recipe: Of the run.
        home: The same as the user set it up.
        structure: The prepared structure of the whole system.
    """
    makers = {"level": _level, "potential": _potential, "ligand": _ligand, "region": _region}
    return (*(_attempted(name, make, recipe, home, structure) for name, make in makers.items()), _scales(recipe, home, structure))


TITLES = {
    "level": "MM against NNP/MM",
    "potential": "Another potential",
    "ligand": "Another ligand",
    "region": "Small region against large",
    "scales": "As atoms and as beads",
}
SCALES = (("mm-implicit", "mm"), ("go-ca", "learned", "calvados2"))
"""Levels of atoms, of which the first possible one counts, and of beads."""
ABREAST = 3
"""Scales side by side."""
_Make = Callable[[Dynamics, Dynamics, Structure], tuple[str, Dynamics]]


def _attempted(name: str, make: _Make, recipe: Dynamics, home: Dynamics, structure: Structure) -> Alternative:
    try:
        title, changed = make(recipe, home, structure)
    except StudioError as problem:
        return Alternative(name, TITLES[name], reason=str(problem))
    return Alternative(name, title, changed)


def _level(recipe: Dynamics, home: Dynamics, structure: Structure) -> tuple[str, Dynamics]:
    """The force field against a network, whichever of them is on."""
    now = levels.level_of(recipe)
    wanted = ("nnp/mm", "nnp") if recipe.view.resolution == "mm" else ("mm",)
    found = [levels.level(name) for name in wanted]
    limits = [each.limits(home.system, structure, home.view) for each in found]
    possible: Level | None = next((each for each, limit in zip(found, limits, strict=True) if limit.possible), None)
    if possible is None:
        raise UnsupportedError(limits[0].blocking)
    return f"{now.title if now is not None else 'This'} against {possible.title}", varied(recipe, home, level=possible.name)


def _potential(recipe: Dynamics, home: Dynamics, structure: Structure) -> tuple[str, Dynamics]:
    """The first other network that can describe the region."""
    if not recipe.view.asks_network:
        raise UnsupportedError("This run has no network. Choose NNP or NNP/MM to compare potentials.")
    card = describe(structure, recipe.view.region, recipe.view.charge, recipe.view.multiplicity)
    others = [each for each in card.potentials if each.state == "ready" and each.card.name != recipe.view.potential]
    if not others:
        raise UnsupportedError("No other installed potential can describe this ML region.")
    return f"{recipe.view.potential} against {others[0].card.title}", varied(recipe, home, potential=others[0].card.name)


def _ligand(recipe: Dynamics, home: Dynamics, structure: Structure) -> tuple[str, Dynamics]:
    """The next ligand of the series or of the file."""
    source = recipe.system.source
    if isinstance(source, FromTarget):
        names = list(target(source.target).ligands)
        after = names[(names.index(source.ligand) + 1) % len(names)] if source.ligand in names else names[0]
        return f"{source.ligand} against {after}", varied(recipe, home, source=source.model_copy(update={"ligand": after}))
    if isinstance(source, FromFile) and Path(source.path).suffix.lower() in (".sdf", ".mol2"):
        return _next_record(source, recipe, home)
    raise UnsupportedError("This system has one ligand only. Open a series (a bundled target, or an SDF with several molecules) to compare ligands.")


def _scales(recipe: Dynamics, home: Dynamics, structure: Structure) -> Alternative:
    """The same protein as atoms and by models of beads, three abreast."""
    now = levels.level_of(recipe)
    here = "" if now is None else now.name
    atoms, beads = (_possible(names, home, structure) for names in SCALES)
    others = [each for each in (*(atoms[:1] if recipe.view.resolution == "beads" else ()), *beads) if each.name != here][: ABREAST - 1]
    if not beads or not others:
        refused = levels.level("go-ca").limits(home.system, structure, home.view).blocking
        return Alternative("scales", TITLES["scales"], reason=refused or "There is no other scale for these beads.")
    recipes = tuple(varied(recipe, home, level=each.name) for each in others)
    return Alternative("scales", TITLES["scales"], recipes[0], more=recipes[1:])


def _possible(names: tuple[str, ...], home: Dynamics, structure: Structure) -> list[Level]:
    known = {each.name: each for each in levels.levels()}
    return [known[name] for name in names if name in known and known[name].limits(home.system, structure, home.view).possible]


def _next_record(source: FromFile, recipe: Dynamics, home: Dynamics) -> tuple[str, Dynamics]:
    try:
        text = Path(source.path).read_text(encoding="utf-8", errors="replace")
    except OSError as problem:
        raise UnsupportedError(f"{source.path} cannot be read any more: {problem.strerror}.") from problem
    count, now = len(blocks(text, "mol2" if source.path.lower().endswith("mol2") else "sdf")), source.index or 0
    if count < 2:
        raise UnsupportedError("The file holds one molecule only. Open one with several to compare ligands.")
    after = (now + 1) % count
    return f"Molecule {now + 1} against {after + 1} of the file", varied(recipe, home, source=source.model_copy(update={"index": after}))


def _region(recipe: Dynamics, home: Dynamics, structure: Structure) -> tuple[str, Dynamics]:
    """The region against the same with what touches it."""
    if recipe.view.resolution != "nnp/mm":
        raise UnsupportedError("Regions of different size are compared at the level NNP/MM.")
    small = recipe.view.region
    large = Union(parts=(small, Near(of=small, nm=LARGER)))
    sizes = [len(each.select(structure)) for each in (small, large)]
    if sizes[0] == sizes[1]:
        raise UnsupportedError("Nothing lies within 3 angstrom of the region.")
    card = describe(structure, large)
    ability = card.ability(recipe.view.potential)
    if card.refusal or (ability is not None and not ability.able):
        raise UnsupportedError(card.refusal or (ability.reason if ability is not None else ""))
    return f"Region of {sizes[0]} atoms against {sizes[1]}", varied(recipe, home, region=large)


def same_start(recipe: Dynamics, start: Structure | None) -> tuple[Structure | None, str]:
    """Where the second run starts, so that both start alike as far as they have the same atoms; slow.

    Args:
        recipe: Of the second run.
        start: Where the first one started; none to start as prepared.

    Returns:
        Its structure, none where it is to be prepared, and a sentence for the user, empty where nothing is to be said.

    Raises:
        StudioError: The system cannot be prepared.
    """
    if start is None:
        return None, ""
    if start.is_beads and recipe.view.resolution == "beads":
        return start, ""
    prepared = recipe.system.prepare()
    if len(start) == len(prepared) and start.names == prepared.names and np.array_equal(start.numbers, prepared.numbers):
        return start, ""
    try:
        carried = carry_atoms(start, prepared)
    except UnsupportedError as problem:
        return prepared, str(problem)
    return carried.structure, ""
