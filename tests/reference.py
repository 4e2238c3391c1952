"""Independent implementations that the tests and benchmarks compare with."""

import contextlib
import io
import warnings
from collections.abc import Iterator
from typing import Any

import torch


@contextlib.contextmanager
def so3lr_calculator(precision: str) -> Iterator[Any]:
    """so3krates-torch's own ASE calculator, without its prints; it needs torch's default precision to be its own while it lives."""
    from so3krates_torch.calculator.so3 import SO3LRCalculator

    before = torch.get_default_dtype()
    with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # it reads its weights by an old function
        calculator = SO3LRCalculator(default_dtype=precision, r_max_lr=12.0, dispersion_energy_cutoff_lr_damping=2.0)
    torch.set_default_dtype(getattr(torch, precision))
    try:
        yield calculator
    finally:
        torch.set_default_dtype(before)
