"""Benchmarks of binding free energies by alchemical transfer."""

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter

from studio.io.write import to_sdf
from studio.recipes.transfer import AbsoluteBinding, RelativeBinding
from studio.region import ResidueIs
from studio.result import Result
from studio.structure import Structure
from studio.system import EXAMPLES, FromFile, FromSmiles, System
from tests.benchmarks.base import Measure, gives
