"""Units: what every number inside `studio` is measured in, and the constants that lead in and out.

Inside the package: nm, ps, kJ/mol, Da, e, K. Conversions happen in `io`, in model adapters and in the viewer, with the
constants below (CODATA 2018). This module knows no molecule.
"""

from typing import Annotated

from pydantic import Field

NM_PER_ANGSTROM = 0.1
KJ_PER_KCAL = 4.184
KJ_PER_EV = 96.48533212331002
COULOMB = 138.93545764438198
"""Coulomb's constant, kJ/mol nm e^-2."""
BOLTZMANN = 0.00831446261815324
"""Gas constant, kJ/mol/K."""
NM_PER_BOHR = 0.0529177210903
PICONEWTON = 1.66053906717
"""One kJ/mol/nm in pN."""

Kelvin = Annotated[float, Field(ge=1.0, le=1500.0, allow_inf_nan=False)]
Femtosecond = Annotated[float, Field(gt=0.0, le=20.0, allow_inf_nan=False)]
PerPicosecond = Annotated[float, Field(ge=0.0, le=1000.0, allow_inf_nan=False)]
Nanometer = Annotated[float, Field(gt=0.0, le=50.0, allow_inf_nan=False)]
