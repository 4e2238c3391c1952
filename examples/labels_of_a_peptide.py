"""What the beads of a peptide feel: the labels that the shipped coarse models were learned from, made anew.

python labels_of_a_peptide.py A 1500 labels    as for studio/data/beads/alanine-dipeptide, some minutes
python labels_of_a_peptide.py AAA 6000 labels  as for studio/data/beads/trialanine, an hour
python labels_of_a_peptide.py                  eight labels of alanine dipeptide, to see how it goes

Run it once more after it was stopped: what was finished is found in the folder.
"""

import sys
from pathlib import Path
from time import monotonic

import numpy as np

from studio.coarse.labels import Labels
from studio.coarse.mapping import map_protein
from studio.coarse.mean_force import configurations, mean_forces, optimised_map
from studio.hybrid.view import View
from studio.recipes.acquisition import evenly
from studio.recipes.learn_beads import LearnBeads
from studio.system import FromExample, FromSequence, Implicit, System

SETTINGS = {"A": (2.0, 2.4), "AAA": (1.5, 2.0)}
"""Configurations sampled for each that is labelled, and how long forces are averaged, ps."""

if __name__ == "__main__":  # workers import this file
    sequence, count, place = sys.argv[1:] or ("A", "8", "labels")
    folder = Path(place)
    folder.mkdir(exist_ok=True)
    source = FromExample(name="alanine-dipeptide") if sequence == "A" else FromSequence(sequence=sequence)
    system, view = System(source=source, surroundings=Implicit()), View(resolution="mm")
    structure = system.prepare()
    mapping = map_protein(structure, "backbone")
    study = LearnBeads(system=system, labels=max(int(count), 40), workers=2 if int(count) > 100 else 1)
    candidates, average = SETTINGS.get(sequence, SETTINGS["AAA"]) if int(count) >= study.labels else (2.0, 0.4)
    sampling = study.sampling.model_copy(update={"configurations": round(candidates * int(count)), "average_ps": average})
    print(f"{structure.title}: {len(structure)} atoms, {len(mapping)} beads")

    atoms, forces = configurations(system, view, structure, mapping, sampling, folder=folder)
    chosen = evenly(mapping.positions(atoms), mapping.beads, int(count), sampling.seed)
    print(f"{len(atoms)} configurations at {' and '.join(f'{kelvin:g}' for kelvin in sampling.temperatures)} K, of which {len(chosen)} are taken")
    bead_map = optimised_map(structure, mapping, forces)

    begun, found = monotonic(), []
    for _, label in mean_forces(system, view, structure, mapping, sampling, atoms=atoms[chosen], bead_map=bead_map, folder=folder):
        found.append(label)
    labels = Labels.of(found, sampling.temperature)
    labels.save(folder / "labels.npz")
    size, error = (np.sqrt((array**2).mean()) for array in (labels.forces, labels.errors))
    speed = 60 * len(labels) / (monotonic() - begun)
    print(f"{len(labels)} mean forces at {labels.temperature:g} K: {size:.0f} kJ/mol/nm, known to {error:.0f}; {speed:.0f} a minute")
