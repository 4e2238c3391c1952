"""A coarse model learned from mean forces and judged by what all atoms do: how the models of beads that come with the program were made.

python learn_beads.py alanine-dipeptide made     as the one that is shipped: from its labels, which labels_of_a_peptide.py made, a few minutes
python learn_beads.py trialanine made            the same for three residues, ten minutes
python learn_beads.py                            the same with few epochs and replicas, to see how it goes: it fails, and says so

The whole way, from atoms to labels to a model on the shelf, is the study `LearnBeads`.
"""

import sys
from pathlib import Path

import numpy as np

from studio.coarse import shelf
from studio.coarse.card import GateLine
from studio.coarse.gates import judge
from studio.coarse.labels import Labels
from studio.coarse.learned import LearnedModel
from studio.coarse.mapping import atomic_masses, map_protein
from studio.coarse.training import Training, fit
from studio.recipes.let_go import Trial, let_go, without_network
from studio.system import FromExample, FromSequence, Implicit, System

SOURCES = {"alanine-dipeptide": FromExample(name="alanine-dipeptide"), "trialanine": FromSequence(sequence="AAA")}
LEARNED = Training(members=8, decay=0.1, epochs=400)
"""As the study has it."""
BY = "MM (ff14SB) in continuum water (GBn2), 300 K"

name, place = sys.argv[1:] or ("alanine-dipeptide", "")
training = LEARNED if place else Training(members=2, epochs=10)
trial = Trial(replicas=384, steps=8000) if place else Trial(replicas=48, steps=400)

folder = shelf.SHIPPED / name
atoms = System(source=SOURCES[name], surroundings=Implicit()).prepare()
mapping = map_protein(atoms, "backbone")
labels = Labels.load(folder / "labels.npz")
reference = np.load(folder / "reference.npz")["positions"].astype(np.float64)
print(f"{atoms.title}: {len(atoms)} atoms, {len(mapping)} beads, {len(labels)} labels, {len(reference):,} frames of all atoms")

# the prior is fitted to configurations at the temperature of the model; some frames of the reference are such
model = fit(labels, mapping.beads, atomic_masses(atoms)[mapping.sites], training, cold=reference[::10])
print(f"Forces on labels held out: {model.card.held_out_error:.0f} kJ/mol/nm, of which {model.card.label_error:.0f} are the labels' own")

start = labels.positions[np.random.default_rng(0).integers(len(labels), size=trial.replicas)]
verdicts = {}
for title, made in (("the model", model), ("prior only", without_network(model))):
    frames, aside = let_go(made, start, trial, lambda *_: None, temperature=labels.temperature)
    verdicts[title] = judge(frames, reference, mapping.beads, labels.temperature)
    print(f"{title}: {verdicts[title].sentence} {aside} of {trial.replicas} replicas left physics")
    for gate in verdicts[title].gates:
        print(f"    {'passed' if gate.passed else 'failed'}  {gate.name}: {gate.value:.3f}, limit {gate.limit:.3f}. {gate.note}")

gates = tuple(GateLine.model_validate(gate) for gate in verdicts["the model"].gates)
about = {"name": name, "title": f"{atoms.title}, {len(mapping)} beads", "molecule": atoms.title, "reference": BY, "gates": gates}
if place:
    told = LearnedModel(model.card.model_copy(update=about), model.prior, model.weights).save(Path(place))
    print(f"{told.card.state}; the model is in {place}")
