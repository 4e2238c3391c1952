"""Batched: many replicas of a learned model, moved at once by Langevin dynamics.

    v <- v + h F/m;  x <- x + h/2 v;  v <- a v + sqrt((1 - a^2) kT/m) g;  x <- x + h/2 v,   a = exp(-gamma h)

This is BAOAB (Leimkuhler and Matthews 2013, 10.1093/amrx/abs010) with its two half kicks, which meet at the same positions, joined to
one: the same positions for one force a step. Velocities are those in the middle of a step, whose kinetic temperature is right at long
steps, too (Zhang 2019, 10.1021/acs.jpca.9b02771). Where wished, torsions jump now and then, by Metropolis' rule: the distribution
stays that of the model, and basins fill as they should that heat alone would take long to reach. A replica that leaves physics is set
aside where it was last sane, and counted. Time is CG time. Knows models by their forces; must not know how they were learned.
"""

import io
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from studio.coarse.coordinates import Coordinates, copies_last
from studio.errors import SettingsError, SimulationError, StorageError, StructureError
from studio.files import reading, write_whole
from studio.structure import Flags, Floats
from studio.units import BOLTZMANN

LOOK = 50
"""Steps between two looks at whether all replicas are sane."""
STRETCH = 0.5
"""Parts of its length by which no bond is stretched or pressed by heat."""
HOT = 12.0
"""Times the target that no kinetic temperature of a replica reaches by chance: 10^-12 for five beads."""
FS_PER_PS = 1000.0
Arrays = Mapping[str, NDArray[Any]]


class Moved(Protocol):
    """What replicas need of a model."""

    @property
    def key(self) -> str:
        """A hash of all that its forces depend on."""
        ...

    @property
    def coordinates(self) -> Coordinates:
        """Of its beads."""
        ...

    @property
    def bonds(self) -> tuple[tuple[int, int], ...]:
        """Pairs of beads that hold together."""
        ...

    def forces(self, places: Tensor) -> Tensor:
        """Forces, (b, 3, r), kJ/mol/nm, at positions (b, 3, r), nm."""
        ...

    def energies(self, places: Tensor) -> Tensor:
        """Energies, (r,), kJ/mol, at positions (b, 3, r), nm."""
        ...


class BeadReplicas:
    """Replicas of one molecule.

    Args:
        model: What moves them.
        positions: Where each starts, (r, b, 3), nm.
        masses: Of the beads, Da, (b,).
        temperature: Of the thermostat, K.
        friction: Of the thermostat, 1/ps.
        timestep: fs.
        seed: Of velocities and thermostat.
        jumps: Every 50 steps all replicas try to turn each torsion by any angle: for distributions, not for watching.

    Attributes:
        step: Steps since the start.
        jumped: Jumps that were taken so far.

    Raises:
        StructureError: Positions or masses are of other beads.
        SettingsError: A setting is outside what is possible.
    """

    def __init__(
        self,
        model: Moved,
        positions: Floats,
        masses: Floats,
        temperature: float = 300.0,
        *,
        friction: float = 5.0,
        timestep: float = 2.0,
        seed: int = 0,
        jumps: bool = False,
    ) -> None:
        _check_beads(model, positions, masses)
        _check_settings({"temperature": (temperature, 1500.0), "friction": (friction, 1000.0), "time step": (timestep, 20.0)})
        self.model, self.target, self.friction, self.timestep, self.step = model, temperature, friction, timestep, 0
        self.jumped, self._sides = 0, _sides(model) if jumps else []
        self._random = torch.Generator().manual_seed(seed)
        self._mass = torch.tensor(masses, dtype=torch.float32).view(-1, 1, 1)
        self._width = (BOLTZMANN * temperature / self._mass).sqrt()
        self._moving = torch.arange(len(positions))
        self._all = torch.tensor(positions, dtype=torch.float32).clone()
        self._x = copies_last(self._all).clone()  # of one replica it is the same memory
        self._v = self._width * torch.randn(self._x.shape, generator=self._random)
        rows = {tuple(pair): row for row, pair in enumerate(model.coordinates.pairs.tolist())}
        self._bonds = torch.tensor([rows[min(pair), max(pair)] for pair in model.bonds], dtype=torch.long)
        self._lengths = model.coordinates(self._x).distances[self._bonds].median(1, keepdim=True).values

    @property
    def positions(self) -> Floats:
        """Of all replicas, (r, b, 3), nm; of those set aside, where they were last sane."""
        self._all[self._moving] = self._x.permute(2, 0, 1)
        return self._all.numpy().astype(np.float64)

    @property
    def alive(self) -> Flags:
        """True for replicas that still move, (r,)."""
        flags = np.zeros(len(self._all), dtype=np.bool_)
        flags[self._moving.numpy()] = True
        return flags

    @property
    def set_aside(self) -> int:
        """How many replicas left physics."""
        return len(self._all) - len(self._moving)

    @property
    def temperature(self) -> float:
        """Kinetic temperature of those that move, now, K."""
        return float(self._temperatures().mean())

    @property
    def time(self) -> float:
        """CG time of each replica, ps."""
        return self.step * self.timestep / FS_PER_PS

    def _temperatures(self) -> Tensor:
        """Of each moving replica, K."""
        return (self._mass * self._v**2).sum((0, 1)) / (3 * len(self._mass) * BOLTZMANN)

    def advance(self, steps: int) -> None:
        """Move all replicas.

        Args:
            steps: How many steps.

        Raises:
            SimulationError: Not one of them is left.
        """
        while steps > 0:
            block = min(steps, LOOK)
            before = self._x.clone()
            self._move(block)
            self.step += block
            steps -= block
            self._look(before)
            if self._sides:
                self._jump()

    def _move(self, steps: int) -> None:
        step = self.timestep / FS_PER_PS
        keep = math.exp(-self.friction * step)
        kick, width = step / self._mass, self._width * math.sqrt(1.0 - keep * keep)
        x, v, noise = self._x, self._v, torch.empty_like(self._v)
        for _ in range(steps):
            v.addcmul_(self.model.forces(x), kick)
            x.add_(v, alpha=0.5 * step)
            v.mul_(keep).addcmul_(noise.normal_(generator=self._random), width)
            x.add_(v, alpha=0.5 * step)

    def _jump(self) -> None:
        """Try to turn what lies behind each bond, one after the other, in each replica by an angle of its own."""
        heat, energies = BOLTZMANN * self.target, self.model.energies(self._x)
        for bond, side in self._sides:
            there = self._turned(bond, side)
            after = self.model.energies(there)
            taken = torch.rand(len(energies), generator=self._random) < torch.exp(((energies - after) / heat).clamp_max(0.0))
            self._x, energies = torch.where(taken, there, self._x), torch.where(taken, after, energies)
            self.jumped += int(taken.sum())

    def _turned(self, bond: tuple[int, int], side: Tensor) -> Tensor:
        """Positions with one side of a bond turned around it by any angle (Rodrigues' rotation)."""
        near, far = bond
        foot = self._x[far]
        axis = torch.nn.functional.normalize(foot - self._x[near], dim=0)
        angle = 2.0 * math.pi * torch.rand(foot.shape[1], generator=self._random)
        arms = self._x[side] - foot
        turned = arms * angle.cos() + torch.linalg.cross(axis.expand_as(arms), arms, dim=1) * angle.sin()
        there = self._x.clone()
        there[side] = foot + turned + axis * ((axis * arms).sum(1, keepdim=True) * (1.0 - angle.cos()))
        return there

    def _look(self, before: Tensor) -> None:
        """Set aside what left physics during the last block, and bring the others back to the middle, where numbers are finest."""
        lengths = self.model.coordinates(self._x).distances[self._bonds]
        odd = ((lengths / self._lengths - 1.0).abs() < STRETCH).all(0) & (self._temperatures() < HOT * self.target)
        sane = odd & self._x.isfinite().flatten(0, 1).all(0)
        if not sane.all():
            self._all[self._moving[~sane]] = before[:, :, ~sane].permute(2, 0, 1)
            self._moving, self._x, self._v = self._moving[sane], self._x[:, :, sane].contiguous(), self._v[:, :, sane].contiguous()
        if not len(self._moving):
            raise SimulationError(
                f"All {len(self._all)} replicas left physics before step {self.step}: the model does not hold its beads there. "
                "Take a shorter time step, or learn it from more labels."
            )
        self._x.sub_(self._x.mean(0, keepdim=True))

    def state(self) -> Arrays:
        """All that is needed to go on from here."""
        return {
            "model": np.array(self.model.key), "positions": self.positions.astype(np.float32), "moving": self._moving.numpy(),
            "velocities": self._v.clone().numpy(), "x": self._x.clone().numpy(), "step": np.array(self.step), "random": self._random.get_state().numpy(),
        }  # fmt: skip

    def restore(self, state: Arrays) -> None:
        """Go back to a `state`, of the same model and as many replicas.

        Args:
            state: It.

        Raises:
            StorageError: It is of another model or number of replicas.
            KeyError: It is none.
        """
        model, places, moving, v, x, step, random = (state[name] for name in ("model", "positions", "moving", "velocities", "x", "step", "random"))
        if str(model) != self.model.key or places.shape != self._all.shape:
            raise StorageError("These replicas are of another model, or another number of them was kept. Start them anew.")
        self._all, self._moving, self._v, self._x = (torch.tensor(array) for array in (places, moving, v, x))
        self.step = int(step)
        self._random.set_state(torch.tensor(random))

    def save(self, path: Path) -> None:
        """Write the state, whole or not at all.

        Args:
            path: An npz file.

        Raises:
            StorageError: No space or no permission.
        """
        content = io.BytesIO()
        np.savez(content, allow_pickle=False, **dict(self.state()))
        write_whole(path, content.getvalue())

    def load(self, path: Path) -> None:
        """Go back to what `save` wrote.

        Args:
            path: The file.

        Raises:
            StorageError: It is missing or damaged, or of another model or number of replicas.
        """
        wanted = reading(path, "a checkpoint of replicas", "Start them anew.")
        with wanted, np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as file:
            self.restore({name: file[name] for name in file.files})


def _sides(model: Moved) -> list[tuple[tuple[int, int], Tensor]]:
    """The bonds within torsions, and for each the beads behind it."""
    found = []
    for near, far in sorted({(int(four[1]), int(four[2])) for four in model.coordinates.fours}):
        behind, edge = {far}, [far]
        while edge:
            bead = edge.pop()
            fresh = {other for bond in model.bonds if bead in bond for other in bond} - behind - {near}
            behind, edge = behind | fresh, [*edge, *fresh]
        if near not in {other for bond in model.bonds for other in bond if set(bond) & (behind - {far})} - behind:
            found.append(((near, far), torch.tensor(sorted(behind - {far}))))
    return found


def _check_beads(model: Moved, positions: Floats, masses: Floats) -> None:
    beads = model.coordinates.beads
    if positions.ndim != 3 or positions.shape[1:] != (beads, 3) or not len(positions):
        raise StructureError(f"Expected positions of replicas with {beads} beads each, (replicas, {beads}, 3); got {positions.shape}.")
    if not np.isfinite(positions).all():
        raise StructureError("The start of a replica holds something that is no number. Start from positions that were sampled.")
    if masses.shape != (beads,) or not (masses > 0).all():
        raise StructureError(f"Expected {beads} masses above zero, got {masses.tolist()}.")


def _check_settings(settings: dict[str, tuple[float, float]]) -> None:
    """Each by name, with the most that it can be."""
    for name, (value, most) in settings.items():
        if not 0.0 < value <= most:
            raise SettingsError(f"Expected a {name} above 0 and up to {most:g}, got {value:g}.")
