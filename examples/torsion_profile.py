"""Does the force field know what it costs to turn a bond of a TYK2 inhibitor? Asked of a network and of xTB, on the fragment around the bond.

The same on the command line: potential-studio run examples/torsion_scan.json --out somewhere
"""

from pathlib import Path

from studio.recipes.base import load_recipe

recipe = load_recipe(Path(__file__).parent / "torsion_scan.json")
result = recipe.run(folder=Path("torsion-of-ejm_31"))
print(recipe.report(result).headline)
print("angle     " + "".join(f"{name:>10}" for name in result.arrays["potentials"]))
for angle, energies in zip(result.arrays["angles_degrees"], result.arrays["profiles_kcal_mol"][0].T, strict=True):
    print(f"{angle:6.0f} deg" + "".join(f"{energy:10.1f}" for energy in energies))
print(f"angle of the pose: {result.arrays['pose_degrees'][0]:.0f} deg")
