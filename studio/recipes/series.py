"""Series: where the ligands of a series come from - a file or a bundled protein - by themselves, or in what they bind to.

Knows files and bundled targets; must not know what is done for a ligand.
"""

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from studio.errors import PluginError, SettingsError
from studio.io import contents
from studio.io.targets import target
from studio.system import FromFile, FromTarget, System

Acidity = Annotated[float, Field(ge=0.0, le=14.0, title="pH", description="Decides on protonation where a file leaves hydrogens out.")]


class _Source(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Records(_Source):
    """All molecules of an SDF or MOL2 file, in their poses.

    Args:
        path: The file.
    """

    kind: Literal["records"] = "records"
    path: str

    def systems(self) -> list[tuple[str, System, float | None]]:
        """Name, system and measured free energy of binding (unknown here) of each ligand.

        Raises:
            StructureError: Not such a file, or too many molecules.
            StorageError: The file cannot be read.
        """
        records = contents(self.path)
        return [(record.title or f"{record.index + 1}", System(source=FromFile(path=self.path, index=record.index)), None) for record in records]


class Series(_Source):
    """Ligands of a bundled protein, in their poses.

    Args:
        target: Name of the protein.
        ligands: Their names; all of the series when left out.
    """

    kind: Literal["target"] = "target"
    target: str
    ligands: tuple[str, ...] = ()

    def systems(self) -> list[tuple[str, System, float | None]]:
        """Name, system and measured free energy of binding, kcal/mol, of each ligand.

        Raises:
            PluginError: No target or no ligand has this name.
            MissingPackageError: The data is not installed.
        """
        known = target(self.target).ligands
        foreign = [name for name in self.ligands if name not in known]
        if foreign:
            raise PluginError(f"{target(self.target).title} has no ligand '{foreign[0]}'. Known: {', '.join(known)}.")
        names = self.ligands or tuple(known)
        return [(name, System(source=FromTarget(target=self.target, ligand=name, complex=False)), known[name].affinity) for name in names]


AnySeries = Annotated[Records | Series, Field(discriminator="kind")]
"""Which ligands, in their poses."""


@dataclass(frozen=True)
class Complex:
    """A ligand of a series in its protein.

    Args:
        name: As the series calls it.
        system: The complex, or the ligand alone.
        receptor: The protein, where the system does not hold it.
        affinity: Measured free energy of binding, kcal/mol, where it is known.
    """

    name: str
    system: System
    receptor: System | None
    affinity: float | None

    @property
    def files(self) -> str:
        """Fingerprints of the files that are named."""
        return " ".join(each.source.fingerprint() for each in (self.system, self.receptor) if each is not None)


def complexes(source: Records | Series, protein: FromFile | None, ph: float) -> list[Complex]:
    """The ligands of a series in their protein.

    Args:
        source: Which ligands, in their poses.
        protein: File of the protein; a bundled series has its own.
        ph: Protonation of what files left out.

    Raises:
        SettingsError: Ligands of a file without a protein.
        StudioError: The source cannot be read.
    """
    if isinstance(source, Records) and protein is None:
        raise SettingsError("The file of ligands holds no protein. Name the PDB or mmCIF file of the protein in whose frame the ligands are posed.")
    receptor = System(source=protein, ph=ph) if protein is not None else None
    found = []
    for name, system, affinity in source.systems():
        own = system.model_copy(update={"ph": ph})
        if receptor is None and isinstance(own.source, FromTarget):
            own = own.model_copy(update={"source": own.source.model_copy(update={"complex": True})})
        found.append(Complex(name, own, receptor, affinity))
    return found
