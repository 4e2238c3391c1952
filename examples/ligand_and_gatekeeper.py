"""Two regions by the network: a TYK2 inhibitor, and the side chain of the gatekeeper methionine, whose bond to the backbone is cut.

The cut is capped by a link hydrogen; what is between the two regions, and all around them, stays MM.
"""

from studio import Dynamics, Ligand, MLFragment, View
from studio.region import SideChain
from studio.system import example

gatekeeper = MLFragment(region=SideChain(name="MET", number="90"))
recipe = Dynamics(system=example("tyk2-pocket").system, view=View(resolution="nnp/mm", region=Ligand(), also=(gatekeeper,)), steps=100, interval=50)
result = recipe.run()
if result.failure:
    print(result.failure.message)
else:
    print(f"{result.provenance['ml_atoms']} atoms and {result.provenance['fragment 2: ml_atoms']}, {result.provenance['fragment 2: link_atoms']}")
    print(f"{result.provenance['schedule']}; RMS force left outside: {result.provenance['refit_bracket_rms_kj_mol_nm']} kJ/mol/nm")
    print(f"{result.values['time_ps']:.1f} ps at {result.values['ns_per_day']:.1f} ns/day, {result.values['mean_temperature_K']:.0f} K")
