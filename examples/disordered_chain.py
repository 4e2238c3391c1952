"""How large is a chain that never folds? The tail of p27, and the same residues in another order, by CALVADOS 2 against X-rays.

    python disordered_chain.py [NANOSECONDS OF CG TIME] [FOLDER] [SALT, MOL/L ...]

The default, 0.2 ns each, takes a quarter of a minute and is far too short. With a folder the numbers are kept there, and what
is there already is not made again; tutorial 7 shows 10 ns in three salts, which take half an hour.
Sequences and radii of gyration: Das, Huang, Phillips, Kriwacki and Pappu, PNAS 2016, 113, 5616 (X-ray scattering, 293 K, pH 7.2).
"""

import sys
from pathlib import Path

import numpy as np

from studio.coarse.calvados import Calvados, masses_of
from studio.hybrid.view import View
from studio.observables import RadiusOfGyration
from studio.recipes.dynamics import Dynamics
from studio.result import ARRAYS, Result, versions
from studio.system import FromChains, System
from studio.timeseries import block_mean

CHAINS = {
    "p27": "GSHMKGACKVPAQESQDVSGSRPAAPLIGAPANSEDTHLVDPKTDPSDSQTGLAEQCAGIRKRPATDDSSTQNKRANRTEENVSDGSPNAGSVEQTPKKPGLRRRQT",
    "sorted": "GSHMKGACALPSGVVPAEDDDDDEEEEDDQDPAQPQAVQGAAPSSGTNNSQPILPSIAVNSTTGPNSTAGKKKRKRRRTRHSNCATLSSAGSVEQTPKKPGLRRRQT",
}
MEASURED = {("p27", 0.095): (2.81, 0.18), ("sorted", 0.095): (2.211, 0.03)}
"""Radii of gyration by chain and salt, with their errors, nm."""
STEP, EVERY, SETTLING = 20.0, 100, 0.1
"""Length of a step, fs (bonds of beads swing in 500), steps between two looks, and the part of a run that is left out."""

nanoseconds = float(sys.argv[1]) if len(sys.argv) > 1 else 0.2
folder = Path(sys.argv[2]) if len(sys.argv) > 2 else None
salts = [float(word) for word in sys.argv[3:]] or [0.095]


def recipe_for(letters: str, salt: float) -> Dynamics:
    """A chain in salt water, as beads.

    Args:
        letters: Its sequence.
        salt: mol/l.
    """
    model = Calvados(salt=salt)
    system, view = System(source=FromChains(sequences=(letters,)), ph=7.2), View(resolution="beads", beads=model)
    return Dynamics(system=system, view=view, temperature=293.0, friction=model.friction, timestep=STEP, steps=int(1e6 * nanoseconds / STEP))


def radii(recipe: Dynamics) -> np.ndarray:
    """Radii of gyration along a run, weighted by mass, nm.

    Args:
        recipe: The run.
    """
    simulation = recipe.simulation()
    beads = simulation.structure
    size = RadiusOfGyration(atoms=tuple(range(len(beads))), masses=tuple(masses_of(beads)))
    seen = np.array([size(simulation.advance(EVERY, sample=False).positions) / 10 for _ in range(recipe.steps // EVERY)])
    return seen[int(SETTLING * len(seen)) :]


arrays = dict(Result.kept(folder).arrays) if folder and (folder / ARRAYS).exists() else {}
for salt in salts:
    for chain, letters in CHAINS.items():
        name, recipe = f"{chain}_{salt:g}", recipe_for(letters, salt)
        if name not in arrays:
            arrays[name] = radii(recipe).astype(np.float32)
            if folder:
                Result(recipe.model_dump(mode="json"), {"nanoseconds": nanoseconds}, arrays, versions()).keep(folder)
        mean = block_mean(arrays[name].astype(float))
        line = f"{chain:7} {len(letters)} residues, {salt:5g} mol/l salt: {mean.value:.2f} +- {mean.error:.2f} nm"
        if (chain, salt) in MEASURED:
            value, error = MEASURED[chain, salt]
            line += f"  measured {value:.2f} +- {error:.2f} nm, missed by {mean.value - value:+.2f} nm"
        print(line, flush=True)
