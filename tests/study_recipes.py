"""Small studies for tests of what starts, shows and keeps them: one that counts, one that breaks, one that measures strain."""

import json
from dataclasses import replace
from pathlib import Path
from time import sleep
from typing import Annotated, ClassVar, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from studio.errors import StoppedError
from studio.files import write_whole
from studio.frame import Frame
from studio.io import store
from studio.recipes.base import Recipe, Study
from studio.recipes.series import Records, Series
from studio.recorder import STRUCTURE
from studio.region import AnyRegion, Focus
from studio.report import Bars, Group, Heat, Painted, Report, Shape, Table, Target
from studio.result import Failure, Result, versions
from studio.so_far import SoFar
from studio.strain import StrainProtocol
from studio.system import System


class Tempo(BaseModel):
    """How it counts."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    seconds: Annotated[float, Field(title="Seconds a part", description="Wall time that each part takes, s.", ge=0.0, le=10.0)] = 0.02
    hidden: int = 3


class Counting(Recipe):
    """Counts, a file for each number, and says what it saw; resumes where it was, and then in no time."""

    resumes: ClassVar[bool] = True
    study: ClassVar[Study | None] = Study("Count", "Counts up to a number, in no time.", "system")

    kind: Literal["counting"] = "counting"
    version: Literal[1] = 1
    system: System
    ligand: AnyRegion = Field(default=Focus(), title="Ligand", description="Which atoms.")
    parts: Annotated[int, Field(title="Parts", description="How far to count.", ge=1, le=1000)] = 5
    potentials: Annotated[tuple[str, ...], Field(title="Potentials", description="Who counts.", min_length=1)] = ("mm",)
    medium: Literal["gas", "water"] = Field(default="gas", title="Medium", description="In what.")
    aloud: bool = Field(default=True, title="Aloud", description="Say each number.")
    bonds: tuple[int, ...] = Field(default=(), title="Bonds", description="Which ones, with commas.")
    most: float | None = Field(default=None, title="At most, kcal/mol", description="Empty for no limit.", gt=0.0)
    tempo: Tempo = Tempo(seconds=0.05)

    def run(self, structure=None, on_frame=None, progress=None, folder=None):
        molecule = structure or self.system.prepare()
        if folder:
            store.save(molecule, folder / STRUCTURE)
        frame, done = Frame(0, 0.0, molecule.positions.astype(np.float32)), 0
        goes_on = folder is not None and any(folder.glob("part-*"))
        for number in range(self.parts):
            part = folder / f"part-{number}" if folder else None
            if part is None or not part.exists():
                if on_frame and on_frame(frame) is False:
                    return Result(json.loads(self.to_json()), failure=Failure.from_error(StoppedError(f"Stopped after {done} parts.")))
                sleep(0.0 if goes_on else self.tempo.seconds)
                if part:
                    write_whole(part, b"done")
            done += 1
            if progress:
                progress(done / self.parts, f"Counting {done} of {self.parts}")
        values, arrays = {"parts": float(done)}, {"squares": np.arange(done) ** 2.0}
        return Result(json.loads(self.to_json()), values, arrays, versions(), ("Counted by a test.",))

    def report(self, result, molecule=None):
        names = tuple(f"part {k}" for k in range(len(result.arrays["squares"])))
        targets = tuple(Target(atoms=(k % len(molecule),), shape="turned" if k == 1 else "") for k in range(len(names)))
        bars = Bars("Squares", "square", names, (Group("mm", tuple(result.arrays["squares"].tolist())),), targets=targets)
        turned = Shape("turned", molecule.positions @ np.array([[0.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]]))
        painted = Painted("square by bond", tuple(map(tuple, molecule.bonds[:3].tolist())), (0.0, 1.0, 4.0))
        table = Table("Parts", ("part", "square"), tuple(zip(names, result.arrays["squares"].tolist(), strict=True)), targets)
        shapes = (Shape("pose", molecule.positions, shown=True), turned)
        return Report(f"There are {len(names)} parts.", (bars, table), molecule, shapes, (painted,), result.notes)


class Growing(Counting):
    """Tells what it has on the way, and its molecule moves."""

    study: ClassVar[Study | None] = Study("Grow", "Counts aloud.", "system")

    kind: Literal["growing"] = "growing"

    def run(self, structure=None, on_frame=None, progress=None, folder=None):
        molecule, told, done = structure or self.system.prepare(), SoFar(folder, self.to_json()), 0
        if folder:
            store.save(molecule, folder / STRUCTURE)

        def result():
            return Result(json.loads(self.to_json()), {"parts": float(done)}, {"squares": np.arange(done) ** 2.0}, versions())

        for number in range(self.parts):
            frame = Frame(number, 0.0, (molecule.positions + 0.01 * number).astype(np.float32))
            if on_frame and on_frame(frame) is False:
                return Result(json.loads(self.to_json()), failure=Failure.from_error(StoppedError(f"Stopped after {done} parts.")))
            sleep(self.tempo.seconds)
            done += 1
            told.tell_now(result)
            if progress:
                progress(done / self.parts, f"Counting {done} of {self.parts}")
        return result()

    def report(self, result, molecule=None):
        told, count = super().report(result, molecule), len(result.arrays["squares"])
        bars, table = told.charts
        names = tuple(map(str, range(20)))
        value = tuple(tuple(float((i - j) ** 2 + count) for i in range(20)) for j in range(20))
        one, other = (
            Heat(title, "kcal/mol", "phi", "psi", names, names, value, dots=dots) for title, dots in (("beads", ((0.5, count + 0.5),)), ("atoms", ()))
        )
        long = replace(table, rows=tuple((f"row {k}", float(k * count)) for k in range(60)), targets=())
        return replace(told, shapes=(), charts=(bars, long, replace(one, beside=(other,))))


class Broken(Recipe):
    """Raises what nobody foresaw."""

    study: ClassVar[Study | None] = Study("Break", "Does not work.", "system")

    kind: Literal["broken"] = "broken"
    version: Literal[1] = 1
    system: System

    def run(self, structure=None, on_frame=None, progress=None):
        raise ZeroDivisionError("by a test")


class Deaf(Counting):
    """Does not listen when it is told to stop."""

    kind: Literal["deaf"] = "deaf"

    def run(self, structure=None, on_frame=None, progress=None, folder=None):
        return super().run(structure, None, progress, folder)


class Several(Recipe):
    """About a series."""

    study: ClassVar[Study | None] = Study("Count a series", "Counts ligands.", "series")

    kind: Literal["several"] = "several"
    version: Literal[1] = 1
    source: Annotated[Records | Series, Field(discriminator="kind")]
    protocol: StrainProtocol = StrainProtocol()

    def run(self, structure=None, on_frame=None, progress=None):
        count = len(self.source.systems())
        return Result(json.loads(self.to_json()), {"ligands": float(count)})


class Looking(Recipe):
    """About a recording."""

    study: ClassVar[Study | None] = Study("Look back", "Counts frames.", "recording")

    kind: Literal["looking"] = "looking"
    version: Literal[1] = 1
    recording: str

    def run(self, structure=None, on_frame=None, progress=None):
        return Result(json.loads(self.to_json()), {"files": float(len(list(Path(self.recording).iterdir())))})


ALL = {each.model_fields["kind"].default: f"tests.study_recipes:{each.__name__}" for each in (Counting, Growing, Broken, Deaf, Several, Looking)}
"""Entry points."""
