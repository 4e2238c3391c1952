"""Cluster: what a potential without a force field's parts says about a ligand among residues cut out of their protein.

The energy of a whole is all that such a potential gives, so that interactions are differences: of the whole cluster, and of each
residue alone with the ligand. Both in the gas phase. Knows potentials and cuts; must not know recipes.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from studio.errors import UnsupportedError
from studio.forcefield.pocket import Capped, cut_residues
from studio.interaction import Nonbonded, pair_energies
from studio.partners import Partners, Row
from studio.potentials.base import BoundPotential, Potential, evaluate_batch
from studio.progress import Progress
from studio.structure import Floats, Integers, Structure

Parametrise = Callable[[Structure], Nonbonded]
"""Is told how much is done, from 0 to 1, and what is going on; what it raises ends the work."""


@dataclass(frozen=True, eq=False)
class Fragment:
    """A row of a decomposition as a molecule of its own, and what of it was added to make it one.

    Args:
        row: Which.
        capped: The molecule, its ligand left out.
        extra: Rows of `capped` that belong to other residues: caps, and what hangs on a disulfide bridge.
    """

    row: Row
    capped: Capped
    extra: Integers


def fragment(pair: Partners, row: Row) -> Fragment:
    """A residue with ACE and NME caps in place of its neighbours, or a small molecule as it is.

    Args:
        pair: Where it is.
        row: Which; water and salt are no fragments.
    """
    whole, wanted = pair.structure, np.zeros(len(pair.structure.residues), dtype=np.bool_)
    if whole.residues[row.residue].kind == "protein":
        wanted[row.residue] = True
    capped = cut_residues(whole, wanted, np.zeros(0, dtype=np.int64) if wanted.any() else row.atoms)
    bare = replace(capped.structure, box=None, droplet=None, fixed=np.zeros(len(capped.atoms), dtype=np.bool_))
    return Fragment(row, replace(capped, structure=bare), np.flatnonzero(~np.isin(capped.atoms, row.atoms) | np.isin(np.arange(len(bare)), capped.hung)))


def fragment_energies(potential: Potential, pair: Partners, rows: Sequence[Row], frames: Floats, *, parametrise: Parametrise, on_part: Progress) -> Floats:
    """Interaction of the ligand with each row by itself, (frames, rows), kJ/mol; not a number for rows that the potential does not know.

    E_row = [E(ligand + fragment) - E(fragment) - E(ligand)] - E_MM(ligand, what the fragment has from its neighbours): a cap carries
    a neighbour's N-H or C=O, whose hydrogen bond would otherwise count twice.

    Args:
        potential: In the gas phase.
        pair: The ligand and all rows.
        rows: Those that are wanted.
        frames: (f, n, 3), nm.
        parametrise: Gives non-bonded parameters of fragments.
        on_part: Is told what is going on before each call of the potential.

    Raises:
        UnsupportedError: The potential does not know the ligand, or the force field not a fragment.
        SimulationError: The potential has no energy there.
    """
    ligand = _bare(pair.structure.take(pair.ligand))
    pieces = [fragment(pair, row) for row in rows]
    extra = _cap_energies(pair, pieces, frames, parametrise)
    on_part(0.0, f"{potential.card.title}: the ligand alone")
    alone = _energies(potential.bind(ligand), frames[:, pair.ligand])
    answers = np.zeros((len(frames), len(pieces)))
    for number, piece in enumerate(pieces):
        on_part(number / len(pieces), f"{potential.card.title}: {piece.row.name} ({number + 1} of {len(pieces)})")
        answers[:, number] = _together(potential, ligand, piece, frames[:, pair.ligand], frames) - alone
    return answers - extra


def _together(potential: Potential, ligand: Structure, piece: Fragment, places: Floats, frames: Floats) -> Floats:
    """E(ligand + fragment) - E(fragment), (frames,), kJ/mol; not a number where the potential does not know the fragment."""
    others = np.array([piece.capped.place(frame) for frame in frames])
    try:
        both, alone = potential.bind(ligand.join(piece.capped.structure)), potential.bind(piece.capped.structure)
    except UnsupportedError:
        return np.full(len(frames), np.nan)
    return _energies(both, np.concatenate([places, others], axis=1)) - _energies(alone, others)


@dataclass(frozen=True)
class Whole:
    """Interaction of the ligand with all residues at once.

    Args:
        energy: E(cluster) - E(cluster without ligand) - E(ligand), kJ/mol.
        atoms: Of the cluster.
        charge: Of the cluster, e.
    """

    energy: float
    atoms: int
    charge: int


def cluster_energy(potential: Potential, pair: Partners, reach: float, largest: int, on_part: Progress) -> Whole:
    """Cut the surroundings of the ligand out and let a potential see them as one molecule, in the gas phase.

    Args:
        potential: In the gas phase.
        pair: The ligand in its protein.
        reach: Residues with an atom this close to the ligand are in the cluster, nm.
        largest: Atoms of a cluster at most.
        on_part: Is told what is going on before each call of the potential.

    Raises:
        UnsupportedError: The cluster is too large, or the potential does not know it.
        SimulationError: The potential has no energy there.
    """
    cluster, _ = pair.cut(reach)
    whole = cluster.structure
    if len(whole) > largest:
        raise UnsupportedError(
            f"The cluster within {10 * reach:g} angstrom of the ligand has {len(whole)} atoms (charge {whole.charge:+d}); at most {largest} are meant here. "
            "Choose a smaller distance."
        )
    energies = []
    for number, (atoms, what) in enumerate(((np.arange(len(whole)), "with ligand"), (cluster.receptor, "without ligand"), (cluster.ligand, "ligand alone"))):
        on_part(number / 3, f"{potential.card.title}: the cluster of {len(whole)} atoms, {what}")
        part = whole.take(atoms)
        energies.append(potential.bind(part)(part.positions).energy)
    return Whole(energies[0] - energies[1] - energies[2], len(whole), whole.charge)


def _bare(structure: Structure) -> Structure:
    return replace(structure, box=None, droplet=None, fixed=np.zeros(len(structure), dtype=np.bool_))


def _energies(bound: BoundPotential, places: Floats) -> Floats:
    return evaluate_batch(bound, places).energies


def _cap_energies(pair: Partners, pieces: Sequence[Fragment], frames: Floats, parametrise: Parametrise) -> Floats:
    """MM interaction of the ligand with what fragments have from their neighbours, (frames, pieces), kJ/mol."""
    ligand = _bare(pair.structure.take(pair.ligand))
    parameters = parametrise(ligand.join(*(piece.capped.structure for piece in pieces)))
    starts = len(ligand) + np.cumsum([0, *(len(piece.capped.atoms) for piece in pieces)])[:-1]
    answers = np.zeros((len(frames), len(pieces)))
    for index, frame in enumerate(frames):
        places = np.concatenate([frame[pair.ligand], *(piece.capped.place(frame) for piece in pieces)])
        for number, (piece, start) in enumerate(zip(pieces, starts, strict=True)):
            answers[index, number] = sum(part.sum() for part in pair_energies(parameters, np.arange(len(ligand)), start + piece.extra, places))
    return answers
