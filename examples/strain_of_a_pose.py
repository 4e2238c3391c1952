"""How strained is a bound ligand, says MM, and what say two networks?

A first look, not a protocol: the energy that the pose of a TYK2 inhibitor loses when it relaxes to its nearest minimum in vacuum.
"""

from studio import Minimise, System, View
from studio.system import FromExample
from studio.units import KJ_PER_KCAL

ligand = System(source=FromExample(name="tyk2-ligand"))
for name, view in (("Sage", View()), ("SO3LR", View(resolution="nnp")), ("AIMNet2", View(resolution="nnp", potential="aimnet2"))):
    result = Minimise(system=ligand, view=view, iterations=200).run()
    if result.failure:
        print(f"{name:8} {result.failure.message}")
        continue
    released = (result.values["energy_before_kj_mol"] - result.values["energy_kj_mol"]) / KJ_PER_KCAL
    print(f"{name:8} {released:6.1f} kcal/mol released")
