"""How strongly does a guest bind to its host? Alchemical transfer in continuum water, from a first look to a number.

    python binding_of_a_guest.py [PICOSECONDS PER WINDOW] [FOLDER]

The default, 2 ps, takes about half a minute and says honestly that it cannot be trusted; 40 ps take ten minutes. With a folder
the samples are kept: run it again, longer, and it goes on where it was.
"""

import sys
from pathlib import Path

from studio.recipes.transfer import AbsoluteBinding
from studio.system import example

picoseconds = float(sys.argv[1]) if len(sys.argv) > 1 else 2.0
folder = Path(sys.argv[2]) if len(sys.argv) > 2 else None

recipe = AbsoluteBinding(system=example("host-guest").system, sampling=picoseconds, exchange=min(0.4, picoseconds / 10))
result = recipe.run(folder=folder)
if result.failure:
    sys.exit(result.failure.message)
if folder:
    result.keep(folder)

report = recipe.report(result)
print(report.headline)
for warning in report.warnings:
    print(f"  {warning}")
for chart in report.charts:
    print(f"- {chart.title}")
for part in ("dg_site_kcal_mol", "dg_standard_state_kcal_mol", "dg_kcal_mol", "dg_bar_kcal_mol", "least_overlap", "copies_crossing"):
    print(f"{part:28} {result.values[part]:8.2f}")
