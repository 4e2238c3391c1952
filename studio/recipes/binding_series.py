"""Series: interactions and end-point binding energies of many ligands in one protein, each ligand by itself."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BeforeValidator, Field

from studio.recipes.base import Study
from studio.recipes.endpoint import EndPointPose
from studio.recipes.interaction import Interaction
from studio.recipes.ligands import Done, LigandSeries, Task, folder_of
from studio.recipes.series import Acidity, Complex, complexes
from studio.report import Report
from studio.result import Result
from studio.structure import Structure
from studio.system import FromFile
from studio.units import Nanometer

TABLE = "energies.csv"
"""In the folder: a line for each ligand."""
COLUMNS = ("binding_kcal_mol", "coulomb_kcal_mol", "lennard_jones_kcal_mol", "polar_kcal_mol", "nonpolar_kcal_mol", "strain_kcal_mol")
TOTALS = ("mm_kcal_mol", "mm_coulomb_kcal_mol", "mm_lennard_jones_kcal_mol")
_PROTEIN = "PDB or mmCIF file in whose frame the ligands of a file are posed; a bundled series has its own."


def _file(value: object) -> object:
    """A path stands for its file."""
    return FromFile(path=value) if isinstance(value, str) and value else value or None


class _InProtein(LigandSeries):
    """What the recipes of this file share.

    Args:
        source: Which ligands, in their poses.
        protein: What they bind to, where the source does not say.
        ph: Protonation of what files left out.
        crew: Who works on it; the numbers do not depend on that.
    """

    table_name: ClassVar[str] = TABLE

    protein: Annotated[FromFile | None, BeforeValidator(_file)] = Field(default=None, title="Protein file", description=_PROTEIN)
    ph: Acidity = 7.4

    def single(self, ligand: Complex) -> Interaction | EndPointPose:
        """The recipe for one ligand.

        Args:
            ligand: In its protein.
        """
        raise NotImplementedError

    def tasks(self, folder: Path | None = None) -> list[Task]:
        """The ligands, each with all that is needed to do it alone.

        Args:
            folder: Of the series, where there is one.

        Raises:
            StudioError: The source cannot be read.
        """
        ligands = complexes(self.source, self.protein, self.ph)
        return [Task(index, each.name, self.single(each), each.files, each.affinity, folder_of(folder, index)) for index, each in enumerate(ligands)]


class InteractionSeries(_InProtein):
    """Interaction energies of many ligands, by residue.

    Args:
        relax: Take clashes out of the poses first.
        reach: Residues that come this close to a ligand are asked, nm.

    `arrays` has besides rows (r,): all residues that come near one of the ligands, residues_kcal_mol (l, r), each of `TOTALS` (l,), and hydrogen_bonds (l,).
    """

    study: ClassVar[Study | None] = Study(
        "Interactions of a series", "Which residues tell the ligands of a series apart: a map of residues and ligands, by MM. Some seconds a ligand.", "series"
    )

    kind: Literal["interaction_series"] = "interaction_series"
    version: Literal[1] = 1
    relax: bool = Field(default=True, title="Relax the poses first", description="A short minimisation by MM that takes clashes away; heavy atoms hardly move.")
    reach: Nanometer = 0.45

    def single(self, ligand: Complex) -> Interaction:
        """MM with all residues of one ligand's complex.

        Args:
            ligand: In its protein.
        """
        return Interaction(system=ligand.system, receptor=ligand.receptor, relax=self.relax, potentials=(), reach=self.reach)

    @property
    def columns(self) -> tuple[str, ...]:
        """MM as a whole, and its parts."""
        return TOTALS

    def gathered(self, done: Sequence[Done]) -> dict[str, NDArray[np.generic]]:
        """Totals and residues of all ligands.

        Args:
            done: In their order.
        """
        return {name: np.array([each.value(name) for each in done]) for name in TOTALS} | _residues(done)

    def report(self, result: Result, molecule: Structure | None = None) -> Report:
        """What people see: residues and ligands as a map.

        Args:
            result: Without a failure.
            molecule: Not used.
        """
        from studio.recipes.binding_series_report import interactions_report

        return interactions_report(self, result)


class EndPointSeries(_InProtein):
    """MM/GBSA of many ligands, one relaxed pose each, ranked.

    Args:
        solvent: Generalised Born model.
        reach: Protein within this distance of a ligand is kept, nm.
        potential: Registered name of the potential that gives the ligands' strain; empty for none.

    `arrays` has besides each of `COLUMNS` (l,) and ligand_charge_e (l,).
    """

    study: ClassVar[Study | None] = Study(
        "End-point ranking of a series",
        "MM/GBSA of each ligand's relaxed pose, with its strain, and against experiment where that is known: a quick ranking. Half a minute a ligand.",
        "series",
    )

    kind: Literal["endpoint_series"] = "endpoint_series"
    version: Literal[1] = 1
    solvent: Literal["gbn2", "obc2"] = Field(default="gbn2", title="Water model", description="Generalised Born: GBn2 is the newer one; OBC2 the more common.")
    reach: Nanometer = Field(default=0.8, title="Protein around the ligand (nm)", description="What lies farther off is left out; it hardly matters.")
    potential: str = Field(default="so3lr", title="Strain by", description="Which potential says how much a ligand pays for its shape; empty for none.")

    def single(self, ligand: Complex) -> EndPointPose:
        """One ligand.

        Args:
            ligand: In its protein.
        """
        return EndPointPose(system=ligand.system, receptor=ligand.receptor, solvent=self.solvent, reach=self.reach, potential=self.potential)

    @property
    def columns(self) -> tuple[str, ...]:
        """The energy, and its parts."""
        return COLUMNS

    def gathered(self, done: Sequence[Done]) -> dict[str, NDArray[np.generic]]:
        """Energies and charges of all ligands.

        Args:
            done: In their order.
        """
        return {name: np.array([each.value(name) for each in done]) for name in (*COLUMNS, "ligand_charge_e")}

    def report(self, result: Result, molecule: Structure | None = None) -> Report:
        """What people see: the ranking, against experiment, and what separates the ligands.

        Args:
            result: Without a failure.
            molecule: Not used.
        """
        from studio.recipes.binding_series_report import ranking_report

        return ranking_report(self, result)


def _residues(done: Sequence[Done]) -> dict[str, NDArray[np.generic]]:
    """Rows that come near one of the ligands, in the order in which the protein has them."""
    sound = [each.result for each in done if each.result.ok]
    near = set().union(*(result.arrays["rows"][result.arrays["row_distance_nm"] <= result.recipe["reach"]].tolist() for result in sound))
    rows = [row for row in dict.fromkeys(row for result in sound for row in result.arrays["rows"].tolist()) if row in near]
    energies, bonds = np.full((len(done), len(rows)), np.nan), np.full(len(done), np.nan)
    for index, each in enumerate(done):
        if each.result.ok:
            parts = each.result.arrays["mm_kcal_mol"]
            own = dict(zip(map(str, each.result.arrays["rows"]), parts.sum(axis=1), strict=True))
            energies[index] = [own.get(row, np.nan) for row in rows]
            bonds[index] = len(each.result.arrays["hydrogen_bonds"])
    return {"rows": np.array(rows, dtype=np.str_), "residues_kcal_mol": energies, "hydrogen_bonds": bonds}
