"""Benchmarks of learned coarse graining: alanine dipeptide from nothing to a model with a verdict, by the study that people start."""

import tempfile
from collections.abc import Iterator
from pathlib import Path
from time import perf_counter

from studio.recipes.learn_beads import LearnBeads
from studio.system import FromExample, System
from tests.benchmarks.base import Measure, gives

FORCE_MATCHING = (0.124, 0.56)
"""Divergence and surface error, kcal/mol, of ordinary force matching with 16,000 frames (coarse.md)."""


@gives("cg_learn_minutes", "cg_learn_js", "cg_learn_fes")
def cg_learn() -> Iterator[Measure]:
    """As people start it, by two processes: labels, all atoms beside them, gates and negative controls; nothing is found in a cache."""
    with tempfile.TemporaryDirectory() as folder:
        begin = perf_counter()
        result = LearnBeads(system=System(source=FromExample(name="alanine-dipeptide")), name="benchmark", workers=2).run(folder=Path(folder))
        minutes = (perf_counter() - begin) / 60.0
    if result.failure is not None:
        raise RuntimeError(result.failure.message)
    about = f"{result.values['labels']:.0f} labels, {result.values['reference_ns']:g} ns of all atoms"
    yield Measure("cg_learn_minutes", minutes, f"min, {about}", 10.0, "value <= 10")
    yield Measure("cg_learn_js", result.values["js"], f"20 x 20 bins, allowed {result.values['js_limit']:.3f}", FORCE_MATCHING[0], "value <= 0.02")
    yield Measure("cg_learn_fes", result.values["fes_error_kcal_mol"], "kcal/mol", FORCE_MATCHING[1], "value <= 0.15")
