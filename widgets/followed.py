"""Followed: what is measured of runs that stand beside each other, so that it means the same in all of them.

Knows structures and observables; must not know boards or pages.
"""

from collections.abc import Sequence

from studio.observables import Between, Observable, deviation_of, shape_of
from studio.structure import Structure
from studio.superpose import matched


def followed(origin: Structure, chosen: Sequence[Observable], present: Structure | None, *, beads: bool) -> tuple[Observable, ...]:
    """How far a run went from its start, and what is measured in the present run; by C-alphas alone where beads are among them.

    Args:
        origin: The run's start.
        chosen: What is measured in the present run.
        present: The structure of the present run, if there is one.
        beads: One of the runs is of beads.
    """
    if beads:
        return shape_of(origin)
    deviation = deviation_of(origin)
    wanted = () if deviation is None else (deviation.model_copy(update={"name": "RMSD to start"}),)
    return (*wanted, *_translated([each for each in chosen if isinstance(each, Between)], present, origin))


def _translated(chosen: Sequence[Between], present: Structure | None, origin: Structure) -> Sequence[Between]:
    """What is measured, between the atoms that another run has for it; what lacks one is left out."""
    if present is None or not chosen:
        return ()
    if present.names == origin.names:
        return chosen
    pairs = dict(zip(*(each.tolist() for each in matched(present, origin)), strict=True))
    found = [each for each in chosen if pairs.keys() >= set(each.atoms)]
    return [each.model_copy(update={"atoms": tuple(pairs[atom] for atom in each.atoms)}) for each in found]
