"""Continuum: OBC2 water by OpenMM's own kernel, where the force field wrote it as a formula.

Equal energies and forces, about five times as fast on a CPU. Onufriev, Bashford and Case 2004, 10.1002/prot.20033.
Knows OpenMM forces; must not know structures.
"""

import math
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import openmm

OFFSET = 0.009
"""By which the radii of the formula are smaller, nm."""
_OBC2 = "psi-0.8*psi^2+4.85*psi^3"
_DIELECTRIC = re.compile(r"solventDielectric=([\d.]+); soluteDielectric=([\d.]+); kappa=0;")
_SURFACE = re.compile(r"^([\d.]+)\*\(radius\+0\.14\)\^2\*\(radius/B\)\^6")


def compiled(force: "openmm.CustomGBForce") -> "openmm.GBSAOBCForce | None":
    """The same water as OpenMM's own force; none where the formula is another one.

    Args:
        force: As OpenMM's force-field files write it, without cutoff.
    """
    import openmm

    terms = [force.getEnergyTermParameters(i)[0] for i in range(force.getNumEnergyTerms())]
    radii = [force.getComputedValueParameters(i)[1] for i in range(force.getNumComputedValues())]
    dielectric = next((found for term in terms if (found := _DIELECTRIC.search(term))), None)
    surface = next((found for term in terms if (found := _SURFACE.search(term))), None)
    if not any(_OBC2 in radius for radius in radii) or dielectric is None or force.getNonbondedMethod() != openmm.CustomGBForce.NoCutoff:
        return None
    made = openmm.GBSAOBCForce()
    made.setSolventDielectric(float(dielectric[1]))
    made.setSoluteDielectric(float(dielectric[2]))
    made.setSurfaceAreaEnergy(float(surface[1]) / (4 * math.pi) if surface else 0.0)
    made.setForceGroup(force.getForceGroup())
    for index in range(force.getNumParticles()):
        charge, radius, scaled = force.getParticleParameters(index)
        made.addParticle(charge, radius + OFFSET, scaled / radius)
    return made
