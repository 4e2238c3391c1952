"""Rank three TYK2 inhibitors by the strain of their poses, from a recipe file, and tell where one of them is strained.

The same on the command line: potential-studio run examples/strain_series.json --out somewhere
"""

from pathlib import Path

import numpy as np

from studio import Strain, StrainProtocol, System
from studio.recipes.base import load_recipe
from studio.system import FromTarget

series = load_recipe(Path(__file__).parent / "strain_series.json").run(folder=Path("strain-of-tyk2"))
for name, strains, measured in zip(*(series.arrays[key] for key in ("names", "strain_kcal_mol", "measured_dG_kcal_mol")), strict=True):
    numbers = ", ".join(f"{potential} {strain:.1f}" for potential, strain in zip(series.arrays["potentials"], strains, strict=True))
    print(f"{name}: strain {numbers} kcal/mol; measured dG {measured:.1f} kcal/mol")

ligand = System(source=FromTarget(target="tyk2", ligand=str(series.arrays["names"][-1]), complex=False))
result = Strain(system=ligand, potentials=("mm",), protocol=StrainProtocol(medium="water")).run()
for k in np.argsort(-result.arrays["mm_torsions_kcal_mol"])[:3]:
    angles = f"{result.arrays['pose_torsions_degrees'][k]:.0f} degrees in the pose, {result.arrays['mm_torsions_degrees'][k]:.0f} in the minimum"
    print(f"bond {result.arrays['torsion_names'][k]}: {result.arrays['mm_torsions_kcal_mol'][k]:.1f} kcal/mol, {angles}")
