"""Work on four TYK2 inhibitors with two workers, and ask whether their strain says anything about how well they bind.

The same on the command line, where Ctrl-C and --resume work and the address of dask's dashboard is shown:
potential-studio run examples/series_by_two_workers.json --out strain-by-two
Instead of {"workers": 2}, {"cluster": "tcp://10.0.0.5:8786"} gives the work to a dask cluster that you trust, {"workers": 8, "cluster": "slurm"} to jobs.
"""

from pathlib import Path

from studio.recipes.against_experiment import AgainstExperiment
from studio.recipes.base import load_recipe

folder = Path("strain-by-two")
series = load_recipe(Path(__file__).parent / "series_by_two_workers.json")
result = series.run(folder=folder)
result.keep(folder)
for name, strain in zip(result.arrays["names"], result.arrays["strain_kcal_mol"][:, 0], strict=True):
    print(f"{name}: strain {strain:.1f} kcal/mol")

comparison = AgainstExperiment(source=series.source, predictions=str(folder))
report = comparison.report(comparison.run())
print(report.headline)
for warning in report.warnings:
    print("note:", warning)
