"""Strain of a series: one ligand after the other, each by itself, ranked."""

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from studio.errors import StudioError
from studio.recipes.base import Study
from studio.recipes.ligands import Done, LigandSeries, Task, folder_of
from studio.recipes.series import Acidity
from studio.recipes.series_report import series_report
from studio.recipes.strain import Potentials, Strain
from studio.report import Report
from studio.result import Result
from studio.strain import StrainProtocol
from studio.structure import Structure

TABLE = "strains.csv"
"""In the folder: the ligands ranked."""


class StrainSeries(LigandSeries):
    """Strain of many ligands in their poses.

    Args:
        source: Which ligands.
        potentials: Registered names of the potentials that are asked.
        protocol: How strain is measured.
        ph: Protonation of what a file left out.
        crew: Who works on it; the numbers do not depend on that.

    `arrays` has the least strained first: besides what all series have, strain_kcal_mol (l, p) and spread_kcal_mol (l, p), of an ensemble's members;
    `potentials` (p,) names the columns.
    """

    study: ClassVar[Study | None] = Study(
        "Strain of a series",
        "Which of these ligands pay most for their poses, by several methods, ranked. Half a minute or so for each ligand.",
        "series",
    )
    table_name: ClassVar[str] = TABLE
    rank: ClassVar[str] = "strain_kcal_mol"

    kind: Literal["strain_series"] = "strain_series"
    version: Literal[1] = 1
    potentials: Potentials = ("mm", "so3lr")
    protocol: StrainProtocol = StrainProtocol()
    ph: Acidity = 7.4

    def report(self, result: Result, molecule: Structure | None = None) -> Report:
        """The ligands ranked, with the spread of the methods, and why some of them have no number."""
        return series_report(result, self._opened())

    def _opened(self) -> dict[int, str]:
        """Each ligand's system as JSON, by its place in the series; none where the source is not there any more."""
        try:
            every = self.source.systems()
        except StudioError:
            return {}
        return {index: system.model_copy(update={"ph": self.ph}).model_dump_json() for index, (_, system, _) in enumerate(every)}

    def tasks(self, folder: Path | None = None) -> list[Task]:
        """The ligands, each with all that is needed to do it alone.

        Args:
            folder: Of the series, where there is one.

        Raises:
            StudioError: The source cannot be read.
        """
        found = []
        for index, (name, system, affinity) in enumerate(self.source.systems()):
            recipe = Strain(system=system.model_copy(update={"ph": self.ph}), potentials=self.potentials, protocol=self.protocol)
            found.append(Task(index, name, recipe, system.source.fingerprint(), affinity, folder_of(folder, index)))
        return found

    @property
    def columns(self) -> tuple[str, ...]:
        """Strain by all potentials, and by each."""
        each = (f"{name}_{key}_kcal_mol" for name in self.potentials for key in ("strain", "strain_boltzmann", "strain_local", "restraint"))
        return ("strain_kcal_mol", "strain_spread_kcal_mol", *each)

    def gathered(self, done: Sequence[Done]) -> dict[str, NDArray[np.generic]]:
        """Strain of all ligands by each potential.

        Args:
            done: In their order.
        """
        strains, spreads = ([[each.value(f"{name}_{key}_kcal_mol") for name in self.potentials] for each in done] for key in ("strain", "members_spread"))
        shape = (len(done), len(self.potentials))
        return {
            "potentials": np.array(self.potentials, dtype=np.str_),
            "strain_kcal_mol": np.array(strains).reshape(shape), "spread_kcal_mol": np.array(spreads).reshape(shape),
        }  # fmt: skip
