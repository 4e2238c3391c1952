"""Alchemical transfer: a ligand is moved between its site and the bulk by a displacement, in steps of energy instead of place.

    U_k = U_base + lambda_k u_sc(U_other - U_base),   base = bound (direction +1) or unbound (direction -1)

U0 is the energy where the ligand is in its site, U1 where it is displaced into the bulk; both are evaluated at the same
coordinates (`openmm.ATMForce`). Wu, Azimi and Gallicchio 2021, 10.1021/acs.jctc.1c00266; Azimi et al. 2022 (relative),
10.1021/acs.jcim.1c01129; with networks: Sabanes Zariquiey et al. 2024, 10.1021/acs.jcim.3c02031. Terms that a rigid
displacement leaves alone - bonded terms, and a network that describes the whole ligand - stay outside and are evaluated
once. Knows models of whole molecules; must not know how they are sampled.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from studio.errors import StructureError, UnsupportedError
from studio.forcefield.base import ForceGroup
from studio.forcefield.continuum import compiled
from studio.hybrid.coupling import Model
from studio.structure import Floats, Integers, Structure
from studio.units import BOLTZMANN

if TYPE_CHECKING:
    import openmm

DIRECTION, STRENGTH = "transfer_direction", "transfer_lambda"
"""Context parameters of the window."""
SOFTNESS = 0.0625
"""Exponent a of the soft core."""
FAR = 10.0
"""Displacement where there is no box: there the ligand feels nothing of its host, nm."""
BULK = 0.8
"""Distance from the displaced ligand to everything that is not water, nm, from which on it is in the bulk."""
STIFFNESS = 10_000.0
"""Of the walls of the binding site, kJ/mol/nm^2."""
TURNING = 500.0
"""Of the walls of the cone, kJ/mol/rad^2."""
STANDARD_VOLUME = 1.660539
"""Volume of a molecule at 1 mol/l, nm^3."""


@dataclass(frozen=True)
class SoftCore:
    """Caps the energy that separates the two ends, so that atoms on top of each other do no harm.

    u_sc(u) = u up to `start`, then start + (limit - start) f(y), f = (z^a - 1) / (z^a + 1), z = 1 + 2 y/a + 2 (y/a)^2,
    y = (u - start) / (limit - start); Wu et al. 2021, eqs. 12 to 14.

    Args:
        start: Where capping begins, kJ/mol.
        limit: What is never exceeded, kJ/mol.
    """

    start: float = 50.0
    limit: float = 5000.0

    def __call__(self, energies: Floats) -> Floats:
        """Capped energies, kJ/mol."""
        y = np.clip((energies - self.start) / (self.limit - self.start), 0.0, 1e30)
        z = (1.0 + 2.0 * y / SOFTNESS + 2.0 * (y / SOFTNESS) ** 2) ** SOFTNESS
        return np.where(energies > self.start, self.start + (self.limit - self.start) * (z - 1.0) / (z + 1.0), energies)

    @property
    def expression(self) -> str:
        """As OpenMM reads it; `usc` of `u`."""
        width = self.limit - self.start
        return (
            f"usc=select(step(u-{self.start}), {self.start}+{width}*(c-1)/(c+1), u); c=z^{SOFTNESS};"
            f"z=1+2*(y/{SOFTNESS})+2*(y/{SOFTNESS})^2; y=min(1e12, max(0, (u-{self.start})/{width}))"
        )


@dataclass(frozen=True)
class Window:
    """One step of the way.

    Args:
        direction: +1 from the bound end, -1 from the unbound end.
        strength: Lambda, how far from that end: 0 to 1.
    """

    direction: int
    strength: float


@dataclass(frozen=True)
class Path:
    """The windows from the bound (or first) to the unbound (or second) end, and the soft core between them."""

    windows: tuple[Window, ...]
    core: SoftCore

    def energies(self, bound: Floats, unbound: Floats) -> Floats:
        """Energy of samples at the bound end, in each window, and at the unbound end: (windows + 2, n), kJ/mol, less that of the unbound end.

        Args:
            bound: U0 of each sample, (n,), kJ/mol.
            unbound: U1, likewise.
        """
        gap = np.asarray(bound, dtype=np.float64) - np.asarray(unbound, dtype=np.float64)
        up, down = self.core(-gap), self.core(gap)
        rows = [gap + window.strength * up if window.direction > 0 else window.strength * down for window in self.windows]
        return np.array([gap, *rows, np.zeros_like(gap)])


def one_way(count: int) -> Path:
    """From the bound end to the unbound one in one go: where nothing is in the ligand's place in the bulk (continuum, vacuum).

    Args:
        count: Windows. They are dense at the unbound end, where the ligand learns to avoid its host: with a high limit it does so step by
            step, and finds its place; with a low one it stays anywhere, and never finds it.
    """
    return Path(tuple(Window(-1, float(s**5)) for s in np.linspace(1.0, 0.0, count)), SoftCore())


def two_ways(count: int) -> Path:
    """From both ends to the middle, where the halves of the path meet: where something has to make room at both ends.

    Args:
        count: Windows, even.
    """
    half = np.linspace(0.0, 0.5, count // 2)
    there = tuple(Window(1, float(s)) for s in half)
    back = tuple(Window(-1, float(s)) for s in half[::-1])
    return Path((*there, *back), SoftCore(400.0, 800.0))


@dataclass(frozen=True)
class Axis:
    """How far a ligand may tilt: the line through the centres of its two ends, against that of two halves of its host, either way round.

    E = k/2 max(0, t - T)^2, t between 0 and 90 degrees.

    Args:
        ligand: Atoms of one end, and of the other.
        host: Atoms of one half, and of the other.
        tilt: T, radians.
    """

    ligand: tuple[tuple[int, ...], tuple[int, ...]]
    host: tuple[tuple[int, ...], tuple[int, ...]]
    tilt: float

    def share(self, temperature: float) -> float:
        """Share of all orientations that is left, the integral of exp(-E/kT) sin t over a quarter turn.

        Args:
            temperature: K.
        """
        t = np.linspace(0.0, np.pi / 2, 20001)
        wall = 0.5 * TURNING * np.maximum(0.0, t - self.tilt) ** 2
        return float(np.trapezoid(np.exp(-wall / (BOLTZMANN * temperature)) * np.sin(t), t))

    def force(self, periodic: bool) -> "openmm.Force":
        """As OpenMM has it."""
        import openmm

        dot, first, second = ("+".join(f"{a}{c}*{b}{c}" for c in "xyz") for a, b in (("u", "v"), ("u", "u"), ("v", "v")))
        parts = [f"{name}{c}={c}{to}-{c}{begin}" for name, begin, to in (("u", 1, 2), ("v", 3, 4)) for c in "xyz"]
        # Near 1 the arc cosine has no slope, and inside the walls it is not needed.
        angle = f"acos(min(0.9999, abs({dot})/sqrt(({first})*({second}))))"
        force = openmm.CustomCentroidBondForce(4, ";".join([f"0.5*{TURNING}*max(0, {angle}-axis_tilt)^2", *parts]))
        force.addGlobalParameter("axis_tilt", self.tilt)
        for atoms in (*self.host, *self.ligand):
            force.addGroup(list(atoms), [1.0] * len(atoms))
        force.addBond([0, 1, 2, 3], [])
        force.setUsesPeriodicBoundaryConditions(periodic)
        return _held(force, "tilt of the ligand")


@dataclass(frozen=True)
class Site:
    """Where a ligand counts as bound: its centre within a sphere around the site's centre, its axis within a cone.

    E = k/2 max(0, |r| - R)^2 holds it there in all windows; likewise the axis.

    Args:
        ligand: Atoms whose centre is held.
        host: Atoms whose centre it is held at.
        radius: R, nm.
        axis: How far it may tilt, where it has an axis that is held.
    """

    ligand: tuple[int, ...]
    host: tuple[int, ...]
    radius: float
    axis: Axis | None = None

    def volume(self, temperature: float) -> float:
        """Volume of the site, the integral of exp(-E/kT) over space, nm^3.

        Args:
            temperature: K.
        """
        width = np.sqrt(BOLTZMANN * temperature / STIFFNESS)
        tail = self.radius**2 * width * np.sqrt(np.pi / 2) + 2 * self.radius * width**2 + np.sqrt(np.pi / 2) * width**3
        return float(4 * np.pi * (self.radius**3 / 3 + tail))

    def standard_state(self, temperature: float) -> float:
        """Free energy of bringing the ligand from 1 mol/l into the empty site, -kT ln(V s / V0), s the share of orientations, kJ/mol.

        Gilson, Given, Bush and McCammon 1997, 10.1016/S0006-3495(97)78756-3.

        Args:
            temperature: K.
        """
        share = self.axis.share(temperature) if self.axis else 1.0
        return float(-BOLTZMANN * temperature * np.log(self.volume(temperature) * share / STANDARD_VOLUME))

    def forces(self, periodic: bool) -> list["openmm.Force"]:
        """As OpenMM has them, in the force group of walls."""
        import openmm

        force = openmm.CustomCentroidBondForce(2, f"0.5*{STIFFNESS}*max(0, distance(g1,g2)-site_radius)^2")
        force.addGlobalParameter("site_radius", self.radius)
        for atoms in (self.host, self.ligand):
            force.addGroup(list(atoms), [1.0] * len(atoms))
        force.addBond([0, 1], [])
        force.setUsesPeriodicBoundaryConditions(periodic)
        return [_held(force, "binding site"), *([self.axis.force(periodic)] if self.axis else [])]


def _held(force: "openmm.CustomCentroidBondForce", name: str) -> "openmm.Force":
    force.setName(name)
    force.setForceGroup(ForceGroup.WALL)
    return force


@dataclass(frozen=True, eq=False)
class Transfer:
    """A model that can be moved along a path.

    Args:
        model: What moves, with the transfer in its System.
        force: The transfer, which tells both energies.
        path: The windows.
    """

    model: Model
    force: "openmm.ATMForce"
    path: Path


def transfer(model: Model, moved: Iterable[tuple[Integers, Floats]], path: Path, holds: Iterable["openmm.Force"] = ()) -> Transfer:
    """Put the forces between molecules into a transfer force.

    Args:
        model: MM or NNP/MM; its System is changed in place.
        moved: Whole molecules and their displacements, nm.
        path: The windows.
        holds: Restraints, the same in all windows.

    Raises:
        UnsupportedError: A network describes part of what is moved together with something else.
    """
    import openmm

    system, moved = model.system, list(moved)
    _check_apart(model, [atoms for atoms, _ in moved])
    expression = f"select(step({DIRECTION}), u0, u1) + {STRENGTH}*usc; {path.core.expression}; u=select(step({DIRECTION}), u1-u0, u0-u1)"
    force = openmm.ATMForce(expression)
    force.addGlobalParameter(DIRECTION, path.windows[0].direction)
    force.addGlobalParameter(STRENGTH, path.windows[0].strength)
    shifts = np.zeros((system.getNumParticles(), 3))
    for atoms, shift in moved:
        shifts[atoms] = shift
    for shift in shifts:
        force.addParticle(openmm.Vec3(*map(float, shift)))
    for index in reversed(range(system.getNumForces())):
        if isinstance(system.getForce(index), openmm.NonbondedForce | openmm.CustomNonbondedForce | openmm.CustomGBForce | openmm.GBSAOBCForce):
            inner = openmm.XmlSerializer.clone(system.getForce(index))
            quick = compiled(inner) if isinstance(inner, openmm.CustomGBForce) else None
            force.addForce(quick or inner)
            system.removeForce(index)
    force.setName("alchemical transfer")
    for added in (force, *holds):
        system.addForce(added)
    return Transfer(model, force, path)


def _check_apart(model: Model, moved: list[Integers]) -> None:
    """A network outside the transfer must see the same before and after: whole molecules that move together, or none of them."""
    region = set(model.region.tolist())
    for atoms in moved:
        if 0 < len(region & set(atoms.tolist())) < len(atoms):
            raise UnsupportedError("The network has to describe the whole ligand, or nothing of it. Choose the whole ligand as the ML region.")
    if region and not region <= {int(i) for atoms in moved for i in atoms}:
        raise UnsupportedError("The network may describe the ligand alone: what else it describes would have to be evaluated at both ends. Choose the ligand.")


def displacement(structure: Structure, ligand: Integers) -> Floats:
    """A way into the bulk, (3,), nm: far along x where there is no box, otherwise to the emptiest place of the box.

    Args:
        structure: With or without a box.
        ligand: Atoms that are moved.

    Raises:
        StructureError: The box has no room for the ligand away from its host.
    """
    if structure.box is None:
        return np.array([FAR, 0.0, 0.0])
    solute = np.setdiff1d(np.arange(len(structure)), np.concatenate([structure.atoms_of("water"), structure.atoms_of("ion")]))
    steps = np.array(np.meshgrid(*[np.linspace(0, 1, 13)[:-1]] * 3)).reshape(3, -1).T @ structure.box
    room = np.array([_nearest(structure, ligand, solute, step) for step in steps])
    best = int(room.argmax())
    if room[best] < BULK:
        raise StructureError(
            f"There is no room for the ligand in the bulk of this box: its best place is {room[best]:.2f} nm from the rest, expected {BULK:g} nm. "
            f"Take a water box with a padding that is larger by {BULK - room[best]:.1f} nm or more."
        )
    return np.asarray(steps[best])


def _nearest(structure: Structure, ligand: Integers, solute: Integers, step: Floats) -> float:
    """Shortest distance from the displaced ligand to the solute (itself in its site included), periodic images and all, nm."""
    from scipy.spatial import cKDTree

    box = np.asarray(structure.box)
    inverse = np.linalg.inv(box)

    def wrapped(positions: Floats) -> Floats:
        return np.asarray((positions @ inverse % 1.0) @ box)

    edges = np.diag(box)
    tree = cKDTree(np.clip(wrapped(structure.positions[solute]), 0.0, edges * (1 - 1e-9)), boxsize=edges)
    return float(tree.query(np.clip(wrapped(structure.positions[ligand] + step), 0.0, edges * (1 - 1e-9)))[0].min())
