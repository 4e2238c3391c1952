"""What holds a TYK2 inhibitor in its pocket, and how strongly, says a short run?

Some picoseconds of MM dynamics in the pocket; then the energy with each residue, hydrogen bonds, and MM/GBSA over the frames. A run that
is to be believed has hundreds of picoseconds, and takes the ligand's strain from a network (`potential="so3lr"`).
"""

from pathlib import Path

from studio import Dynamics
from studio.recipes.endpoint import EndPoint
from studio.recipes.interaction_run import InteractionRun
from studio.system import example

folder = Path("tyk2-run")
run = Dynamics(system=example("tyk2-pocket").system, steps=800, interval=100, minimise=30).run(folder=folder)
if run.failure:
    raise SystemExit(run.failure.message)

residues = InteractionRun(recording=str(folder))
result = residues.run()
print(residues.report(result).headline)
energies = dict(zip(result.arrays["rows"].tolist(), result.arrays["mm_kcal_mol"], strict=True))
for name, energy in sorted(energies.items(), key=lambda item: item[1])[:5]:
    print(f"{name:12} {energy:6.1f} kcal/mol")
for name, share in zip(result.arrays["hydrogen_bonds"], result.arrays["occupancy"], strict=True):
    if share > 0.3:
        print(f"hydrogen bond {name}: in {share:.0%} of the frames")

ends = EndPoint(recording=str(folder), frames=6, reach=0.6, potential="mm")
result = ends.run()
print(ends.report(result).headline)
for note in result.notes[:2]:
    print(note)
