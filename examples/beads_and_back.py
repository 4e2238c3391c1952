"""A helix as beads and back: map it down, let it move by a Go model, build atoms on it, relax them - a quarter of a minute in all.

python beads_and_back.py [TEMPERATURE IN KELVIN]
"""

import sys

import numpy as np

from studio.back import settled, to_atoms
from studio.coarse.go import GoModel
from studio.coarse.mapping import map_protein
from studio.hybrid.view import View
from studio.recipes.dynamics import Dynamics
from studio.system import FromSequence, System

kelvin = float(sys.argv[1]) if len(sys.argv) > 1 else 300.0

system = System(source=FromSequence(sequence="SAEAAAKEAAAKEAAAKA", shape="helix"))
atoms = system.prepare()
model = GoModel()
native, contacts = model.native(atoms)
print(f"{len(atoms)} atoms are {len(native)} beads with {len(contacts)} native contacts")

simulation = Dynamics(system=system, view=View(resolution="beads", beads=model), temperature=kelvin, friction=model.friction).simulation(atoms)
for _ in range(5):
    frame = simulation.advance(2000)
    print(f"CG time {frame.time:5.0f} ps  {frame.temperature:4.0f} K  contacts made {float(contacts.fraction(frame.positions.astype(float))):.2f}")

beads = native.with_positions(frame.positions.astype(float))
built = to_atoms(beads, atoms)
print(built.sentence)
calm = settled(built.structure, system)
shift = np.linalg.norm(map_protein(calm).beads.positions - beads.positions, axis=1).max()
print(f"Relaxed: C-alphas moved by at most {10 * shift:.2f} angstrom from their beads")
