"""Testing: contract checks that plug-in authors run on their own potentials, and tiny molecules to run them on.

`check_potential(MyPotential())` in a test is all that a plug-in needs. Each check is a sentence about physics or about the
contract; a broken one raises an `AssertionError` that says what was expected and what came. It must not know any one model.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Protocol, cast

import numpy as np
from pydantic import BaseModel
from rdkit.Chem import GetPeriodicTable

from studio.errors import UnsupportedError
from studio.potentials.base import Batched, BoundPotential, Card, Charged, Ensemble, Potential
from studio.structure import Floats, Structure

STEPS = {"single": 1e-3, "double": 1e-4}
"""Displacements of the finite differences, nm, by the precision of the energy."""
ENERGY_NOISE = 0.02
"""What two equal energies may differ by in single precision, kJ/mol."""
FORCE_NOISE = 0.5
"""What two equal forces may differ by in single precision, kJ/mol/nm."""


def water() -> Structure:
    """A water molecule."""
    return Structure.from_smiles("O")


def formaldehyde() -> Structure:
    """Formaldehyde, bent out of its plane so that no force vanishes by symmetry."""
    flat = Structure.from_smiles("C=O")
    return flat.with_positions(flat.positions + 0.004 * np.random.default_rng(0).normal(size=(len(flat), 3)))


def acetate() -> Structure:
    """The acetate ion."""
    return Structure.from_smiles("CC(=O)[O-]")


def methylammonium() -> Structure:
    """The methylammonium ion."""
    return Structure.from_smiles("C[NH3+]")


def water_dimer() -> Structure:
    """Two water molecules, oxygens 0.3 nm apart."""
    one = water()
    return one.join(one.with_positions(one.positions + np.array([0.0, 0.05, 0.3])))


class _Charged(Protocol):
    def partial_charges(self, positions: Floats) -> Floats: ...


def check_potential(potential: Potential, structure: Structure | None = None) -> None:
    """Run all checks on one potential.

    Args:
        potential: The settings, as a user would construct them.
        structure: A small closed-shell molecule that the potential knows; formaldehyde when left out.

    Raises:
        AssertionError: A check failed; the text says which expectation.
    """
    structure = structure or formaldehyde()
    check_settings(potential)
    check_card(potential.card)
    check_refusals(potential, structure)
    bound = potential.bind(structure, device="cpu")
    check_bound(bound, structure)
    check_invariances(bound, structure)
    precise = in_double(potential)
    tolerance = 0.02 if _is_double(precise) else 5.0
    differentiable = precise.bind(structure, device="cpu")
    check_forces(differentiable, structure, tolerance)
    check_permutation(potential, structure)
    check_part(potential, structure)
    if potential.card.partial_charges:
        check_charges(potential, structure)
    if isinstance(differentiable, Charged):
        check_response(differentiable, structure, tolerance)
    if isinstance(bound, Batched):
        check_batch(bound, structure)
    if isinstance(bound, Ensemble):
        check_members(bound, structure)


def in_double(potential: Potential) -> Potential:
    """The same potential in float64, where its settings have a `precision`; itself otherwise."""
    if isinstance(potential, BaseModel) and "precision" in type(potential).model_fields and not _is_double(potential):
        return cast("Potential", type(potential)(**{**dict(potential), "precision": "float64"}))
    return potential


def check_settings(potential: Potential) -> None:
    """Settings are frozen, hashable, refuse unknown keys, have defaults for all fields and survive JSON."""
    _expect(isinstance(potential, BaseModel), f"{type(potential).__name__} has to be a pydantic model; it is not.")
    settings, cls = cast("BaseModel", potential), cast("type[BaseModel]", type(potential))
    _expect(settings.model_config.get("frozen") is True, f"{cls.__name__} has to be frozen: set model_config = ConfigDict(frozen=True, extra='forbid').")
    _expect(settings.model_config.get("extra") == "forbid", f"{cls.__name__} has to refuse unknown keys: set extra='forbid' in its model_config.")
    required = [name for name, field in cls.model_fields.items() if field.is_required()]
    _expect(not required, f"{cls.__name__}() has to work without arguments; these fields have no default: {', '.join(required)}.")
    again = cls.model_validate_json(settings.model_dump_json())
    _expect(again == settings and hash(again) == hash(settings), f"{cls.__name__} has to be equal, with an equal hash, after a round trip through JSON.")


def check_card(card: Card) -> None:
    """The card is filled in, its name is lower case and its elements exist."""
    empty = [name for name in ("name", "title", "elements", "method", "licence", "citation", "doi") if not getattr(card, name)]
    _expect(not empty, f"The card of {card.name or 'a potential'} has to say: {', '.join(empty)}.")
    _expect(card.name == card.name.lower(), f"A card's name has to be lower case; got '{card.name}'.")
    _expect(len(set(card.elements)) == len(card.elements), f"The card of {card.name} lists an element twice.")
    known = {GetPeriodicTable().GetElementSymbol(z) for z in range(1, 119)}
    _expect(set(card.elements) <= known, f"The card of {card.name} lists symbols that are no elements: {', '.join(sorted(set(card.elements) - known))}.")
    _expect(card.max_atoms > 0, f"The card of {card.name} allows no atoms at all.")


def check_refusals(potential: Potential, structure: Structure) -> None:
    """What the card excludes is refused by `bind` with `UnsupportedError`."""
    card, title = potential.card, potential.card.title
    table = GetPeriodicTable()
    foreign = next((z for z in (5, 14, 34, 35, 54, 79, 92) if table.GetElementSymbol(z) not in card.elements), None)
    if foreign is not None:
        symbol = table.GetElementSymbol(foreign)
        stranger = Structure.from_smiles(f"[{symbol}]")
        _expect_refusal(potential, stranger, f"{title} has to refuse {symbol}, which is not on its card.")
    lopsided = replace(structure, multiplicity=structure.multiplicity + 1)
    _expect_refusal(potential, lopsided, f"{title} has to refuse multiplicity {lopsided.multiplicity} for an even number of electrons.")
    if not card.open_shell:
        _expect_refusal(potential, replace(structure, multiplicity=3), f"{title} has to refuse a triplet: its card says closed shells only.")
    if not card.charged:
        ion = replace(structure, formal_charges=np.eye(1, len(structure), dtype=np.int64)[0] * 2)
        _expect_refusal(potential, ion, f"{title} has to refuse ions: its card says that it does not know charge.")


def check_bound(bound: BoundPotential, structure: Structure) -> None:
    """A call gives a finite energy and finite (n, 3) forces, twice the same, and leaves the positions as they were."""
    title = bound.card.title
    positions = np.array(structure.positions)
    first, second = bound(positions), bound(positions)
    _expect(np.array_equal(positions, structure.positions), f"{title} changed the positions that it was given.")
    _expect(isinstance(first.energy, float) and np.isfinite(first.energy), f"{title} has to give a finite energy as a float; got {first.energy!r}.")
    _expect(first.forces.shape == positions.shape, f"{title} has to give forces of shape {positions.shape}; got {first.forces.shape}.")
    _expect(first.forces.dtype == np.float64 and bool(np.isfinite(first.forces).all()), f"{title} has to give finite forces in float64.")
    same = first.energy == second.energy and np.array_equal(first.forces, second.forces)
    _expect(same, f"{title} has to give the same bits for the same positions; two calls differ by {abs(first.energy - second.energy):.3g} kJ/mol.")
    hashes = [value for key, value in bound.provenance.items() if "sha256" in key]
    _expect(all(len(value) == 64 for value in hashes) and bool(hashes), f"The provenance of {title} has to hold the SHA-256 of its weights.")


def check_invariances(bound: BoundPotential, structure: Structure) -> None:
    """Energy and forces follow the molecule when it is moved and turned; forces and torques sum to zero."""
    title, positions = bound.card.title, structure.positions
    energy, forces = bound(positions)
    _expect_close(forces.sum(axis=0), 0.0, FORCE_NOISE, f"The forces of {title} have to sum to zero")
    _expect_close(np.cross(positions - positions.mean(axis=0), forces).sum(axis=0), 0.0, FORCE_NOISE, f"The torques of {title} have to sum to zero")
    moved = bound(positions + np.array([1.0, -2.0, 3.0]))
    _expect_close(moved.energy, energy, ENERGY_NOISE, f"The energy of {title} has to stay when the molecule is moved")
    turn = np.linalg.qr(np.random.default_rng(1).normal(size=(3, 3)))[0]
    turn *= np.linalg.det(turn)  # a rotation, not a reflection
    turned = bound(positions @ turn.T)
    _expect_close(turned.energy, energy, ENERGY_NOISE, f"The energy of {title} has to stay when the molecule is turned")
    _expect_close(turned.forces, forces @ turn.T, FORCE_NOISE, f"The forces of {title} have to turn with the molecule")


def check_forces(bound: BoundPotential, structure: Structure, tolerance: float) -> None:
    """Forces are minus the central differences (fourth order) of the energy.

    Args:
        bound: The potential, in double precision if it can.
        structure: Where to differentiate.
        tolerance: Largest error allowed, kJ/mol/nm.
    """
    forces = bound(structure.positions).forces
    numerical = -_slope(lambda place: bound(place).energy, structure.positions, STEPS["double" if tolerance < 1 else "single"])
    _expect_close(forces, numerical, tolerance, f"The forces of {bound.card.title} have to be minus the slope of its energy")


def check_permutation(potential: Potential, structure: Structure) -> None:
    """Energy stays, and forces follow, when the atoms are listed in another order."""
    order = np.random.default_rng(2).permutation(len(structure))
    straight, shuffled = (
        potential.bind(structure, device="cpu")(structure.positions),
        potential.bind(structure.take(order), device="cpu")(structure.positions[order]),
    )
    _expect_close(shuffled.energy, straight.energy, ENERGY_NOISE, f"The energy of {potential.card.title} has to stay when atoms are listed in another order")
    _expect_close(shuffled.forces, straight.forces[order], FORCE_NOISE, f"The forces of {potential.card.title} have to follow the order of the atoms")


def check_part(potential: Potential, structure: Structure) -> None:
    """Binding a part of a larger structure is binding that part alone."""
    far = structure.join(structure.with_positions(structure.positions + 5.0))
    part = np.arange(len(structure), 2 * len(structure))
    alone, inside = potential.bind(structure, device="cpu")(structure.positions), potential.bind(far, part, device="cpu")(structure.positions)
    _expect_close(inside.energy, alone.energy, ENERGY_NOISE, f"{potential.card.title} has to see just the atoms that it is bound to")


def check_charges(potential: Potential, structure: Structure) -> None:
    """Atomic charges are finite, one for each atom, and sum to the total charge."""
    bound = potential.bind(structure, device="cpu")
    _expect(hasattr(bound, "partial_charges"), f"The card of {potential.card.title} promises atomic charges: give its bound form `partial_charges(positions)`.")
    charges = cast("_Charged", bound).partial_charges(structure.positions)
    _expect(charges.shape == (len(structure),), f"{potential.card.title} has to give {len(structure)} charges; got shape {charges.shape}.")
    _expect_close(charges.sum(), structure.charge, 1e-3, f"The charges of {potential.card.title} have to sum to the total charge")


def check_response(bound: BoundPotential, structure: Structure, tolerance: float) -> None:
    """Forces of `respond` are minus the central differences of E + U, for an energy U that grows with charges and ratios.

    Args:
        bound: A potential that predicts charges, in double precision if it can.
        structure: Where to differentiate.
        tolerance: Largest error allowed, kJ/mol/nm.
    """
    charged, title, positions = cast("Charged", bound), bound.card.title, structure.positions
    by_charge, by_ratio = np.random.default_rng(3).normal(scale=200.0, size=(2, len(structure)))
    calls: list[Floats] = []

    def sensitivity(charges: Floats, ratios: Floats) -> tuple[Floats, Floats]:
        calls.append(ratios)
        return by_charge, by_ratio

    def energy(place: Floats) -> float:
        answer = charged.respond(place, sensitivity)
        return float(answer.energy + by_charge @ answer.charges + by_ratio @ answer.ratios)

    response = charged.respond(positions, sensitivity)
    _expect(len(calls) == 1, f"{title} has to call the sensitivity once; it did {len(calls)} times.")
    _expect(response.ratios.shape == (len(structure),) and bool((response.ratios > 0).all()), f"{title} has to give one positive volume ratio for each atom.")
    _expect_close(response.energy, bound(positions).energy, ENERGY_NOISE, f"The energy of {title} must not depend on what depends on its charges")
    _expect_close(response.charges, charged.partial_charges(positions), 1e-4, f"{title} has to give the same charges by both ways")
    numerical = _slope(energy, positions, STEPS["double" if tolerance < 1 else "single"])
    _expect_close(response.forces, -numerical, tolerance, f"The forces of {title} have to hold how its charges and ratios change with the positions")


def check_batch(bound: BoundPotential, structure: Structure) -> None:
    """Many geometries in one call give what they give one by one."""
    title, batched = bound.card.title, cast("Batched", bound)
    places = structure.positions + 0.005 * np.random.default_rng(4).normal(size=(5, len(structure), 3))
    energies, forces = batched.batch(places)
    singles = [bound(place) for place in places]
    _expect(energies.shape == (5,) and forces.shape == places.shape, f"{title} has to give 5 energies and forces of shape {places.shape} for 5 geometries.")
    _expect(energies.dtype == forces.dtype == np.float64, f"A batch of {title} has to be in float64.")
    _expect_close(energies, np.array([single.energy for single in singles]), ENERGY_NOISE, f"{title} has to give the same energies in a batch and one by one")
    _expect_close(forces, np.array([single.forces for single in singles]), FORCE_NOISE, f"{title} has to give the same forces in a batch and one by one")


def check_members(bound: BoundPotential, structure: Structure) -> None:
    """An ensemble is the mean of its members, and its members differ."""
    title, members = bound.card.title, cast("Ensemble", bound).members
    _expect(len(members) > 1, f"{title} has to have several members; it has {len(members)}.")
    answers, mean = [member(structure.positions) for member in members], bound(structure.positions)
    energies, forces = np.array([answer.energy for answer in answers]), np.array([answer.forces for answer in answers])
    _expect_close(mean.energy, energies.mean(), ENERGY_NOISE, f"The energy of {title} has to be the mean of its members'")
    _expect_close(mean.forces, forces.mean(axis=0), FORCE_NOISE, f"The forces of {title} have to be the mean of its members'")
    _expect(bool(np.ptp(forces, axis=0).max() > FORCE_NOISE), f"The members of {title} have to differ, or their spread says nothing.")


def _slope(energy: Callable[[Floats], float], positions: Floats, step: float) -> Floats:
    """Central differences (fourth order) of an energy by the positions, (n, 3), kJ/mol/nm."""
    slope = np.zeros_like(positions)
    for place in np.ndindex(*positions.shape):
        shift = np.zeros_like(positions)
        shift[place] = step
        near, far = ([energy(positions + k * sign * shift) for sign in (1, -1)] for k in (1, 2))
        slope[place] = (8 * (near[0] - near[1]) - (far[0] - far[1])) / (12 * step)
    return slope


def _is_double(potential: Potential) -> bool:
    return getattr(potential, "precision", None) == "float64"


def _expect(holds: bool, sentence: str) -> None:
    if not holds:
        raise AssertionError(sentence)


def _expect_close(got: Floats | float, expected: Floats | float, tolerance: float, sentence: str) -> None:
    error = float(np.abs(np.asarray(got) - expected).max())
    _expect(error <= tolerance, f"{sentence}: off by {error:.3g}, allowed {tolerance:g}.")


def _expect_refusal(potential: Potential, structure: Structure, sentence: str) -> None:
    try:
        potential.bind(structure, device="cpu")
    except UnsupportedError:
        return
    raise AssertionError(sentence)
