"""Benchmarks of binding free energies by alchemical transfer: time, value, error, and what they have to agree with."""

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter

import numpy as np

from studio.errors import StudioError
from studio.recipes.transfer import AbsoluteBinding, RelativeBinding
from studio.region import ResidueIs
from studio.result import Result
from studio.structure import Structure
from studio.system import EXAMPLES, FromFile, FromSmiles, System
from tests.benchmarks.base import Measure, gives
from tests.molecule_files import sdf
from tests.test_transfer import complexed

GUEST = ResidueIs(name="LIG")
VACUUM = System(source=FromSmiles(smiles="C"))


def finished(result: Result) -> Result:
    if result.failure:
        raise StudioError(result.failure.message)
    return result


@gives("host_guest_minutes", "host_guest_error_kcal_mol", "host_guest_forward_reverse", "host_guest_doubts")
def host_guest() -> Iterator[Measure]:
    """CB7 and B2 at the default settings of the recipe.

    B2 is measured near -13 kcal/mol (Moghaddam et al. 2009), which force field and continuum water need not reach.
    """
    start = perf_counter()
    result = finished(AbsoluteBinding(system=EXAMPLES["host-guest"].system).run())
    values = result.values
    print(f"dG {values['dg_kcal_mol']:.2f} +- {values['dg_error_kcal_mol']:.2f} kcal/mol; {values['copies_crossing']:.0f} or more copies crossed each place")
    yield Measure("host_guest_minutes", (perf_counter() - start) / 60, "min", 15.0, "value <= 15")
    yield Measure("host_guest_error_kcal_mol", values["dg_error_kcal_mol"], "kcal/mol", 1.0, "value <= 1")
    apart, error = values["halves_apart_kcal_mol"], values["dg_error_kcal_mol"]
    yield Measure("host_guest_forward_reverse", apart / error, "errors", 1.0, "value <= 4")
    yield Measure("host_guest_doubts", values["doubts"], "warnings", 1.0, "value <= 0")


def vacuum_pair(guest: str) -> Structure:
    """A guest on benzene, in vacuum."""
    return complexed("c1ccccc1", guest, 0.4)


@gives("nnp_equal_mm_errors")
def network_that_equals_mm() -> Iterator[Measure]:
    """Binding in vacuum by MM and by NNP/MM whose network is MM: the difference in units of its error."""
    pair, recipe = vacuum_pair("CC(C)O"), AbsoluteBinding(system=VACUUM, ligand=GUEST, windows=8, sampling=40.0, exchange=0.2, tilt=90.0, radius=0.6)
    found = [finished(recipe.model_copy(update=change).run(pair)).values for change in ({}, {"network": "mm", "seed": 1})]
    apart = abs(found[0]["dg_kcal_mol"] - found[1]["dg_kcal_mol"])
    yield Measure("nnp_equal_mm_errors", apart / float(np.hypot(*(values["dg_error_kcal_mol"] for values in found))), "errors", 1.0, "value <= 3")


@gives("cycle_closure_errors")
def cycle_closure() -> Iterator[Measure]:
    """Isopropanol and isopropylamine on benzene: the relative free energy less the difference of the absolute ones, in units of its error."""
    pairs = [vacuum_pair(guest) for guest in ("CC(C)O", "CC(C)N")]
    settings = {"system": VACUUM, "ligand": GUEST, "windows": 8, "sampling": 60.0, "exchange": 0.2, "tilt": 90.0, "radius": 0.6}
    absolute = [finished(AbsoluteBinding(**settings).run(pair)).values for pair in pairs]
    with TemporaryDirectory() as folder:
        path = Path(folder) / "second.sdf"
        path.write_text(sdf(pairs[1].take(np.arange(12, len(pairs[1]))), "second"))
        relative = finished(RelativeBinding(**settings, replacement=FromFile(path=str(path))).run(pairs[0])).values
    apart = relative["dg_kcal_mol"] - (absolute[1]["dg_kcal_mol"] - absolute[0]["dg_kcal_mol"])
    errors = [values["dg_error_kcal_mol"] for values in (*absolute, relative)]
    yield Measure("cycle_closure_errors", abs(apart) / float(np.sqrt(np.square(errors).sum())), "errors", 1.0, "value <= 3")
