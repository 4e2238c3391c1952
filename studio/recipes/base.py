"""Recipes, the contract: what a user asks for, as data - form, file and test case at once.

A recipe is frozen pydantic settings with a `kind` and a `version`; the same JSON opens in the app, in a notebook and on
the command line. `run` gives a `Result`, also when something fails. This file must not know any one recipe.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal, Protocol

from pydantic import BaseModel, ConfigDict

from studio import plugins
from studio.errors import SettingsError
from studio.frame import Frame
from studio.progress import Progress
from studio.report import Report, Table
from studio.result import Result
from studio.settings import validated
from studio.structure import Structure

OnFrame = Callable[[Frame], bool | None]
"""Called with every frame that is recorded; returns False to stop cleanly."""


class Runnable(Protocol):
    """What every recipe can do."""

    def run(self, structure: Structure | None = None, on_frame: OnFrame | None = None, progress: Progress | None = None) -> Result:
        """Do it.

        Args:
            structure: The prepared structure, where there is one already.
            on_frame: Called with the frames on the way.
            progress: Called with a fraction and a sentence while the system is made.
        """
        ...


class Resumable(Protocol):
    """What a recipe can do whose finished parts are kept in a folder, to be found again when it is run once more."""

    def run(self, structure: Structure | None = None, on_frame: OnFrame | None = None, progress: Progress | None = None, folder: Path | None = None) -> Result:
        """Do it, or what is left of it.

        Args:
            structure: The prepared structure, where there is one already.
            on_frame: Called with the frames on the way.
            progress: Called with a fraction and a sentence.
            folder: Where finished parts are kept.
        """
        ...


@dataclass(frozen=True)
class Study:
    """A recipe as a question that people ask.

    Args:
        title: What they call it.
        about: What it answers and how long it takes, a sentence or two.
        subject: What it is about: one `system` (a setting of this name, and often a `ligand` in it), a series of ligands (`source`),
            or the folder of a `recording`.
    """

    title: str
    about: str
    subject: Literal["system", "series", "recording"]


class Recipe(BaseModel):
    """Parent of the built-in recipes: frozen, unknown keys refused.

    A setting that people are asked for has a `title` (with its unit) and a `description` in its `Field`; the others keep their defaults.
    """

    resumes: ClassVar[bool] = False
    """True for a recipe that is `Resumable`; see `studio.recipes.lasting.Lasting`."""
    study: ClassVar[Study | None] = None
    """How people are offered it; not at all where there is none."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    def report(self, result: Result, molecule: Structure | None = None) -> Report:
        """What people see of a result of this recipe; its numbers in a table, unless a recipe knows better.

        Args:
            result: Without a failure.
            molecule: That was kept with it, where one was.
        """
        rows = tuple((name, value) for name, value in result.values.items())
        return Report(self.study.title if self.study else type(self).__name__, (Table("Values", ("name", "value"), rows),), molecule, warnings=result.notes)

    def to_json(self) -> str:
        """The file form."""
        return self.model_dump_json(indent=2)


def load_recipe(path: Path) -> Any:
    """Read a recipe file.

    Args:
        path: JSON text with at least a `kind`.

    Raises:
        SettingsError: Not a recipe; the sentence names the setting.
        PluginError: No recipe of this kind.
    """
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except OSError as problem:
        raise SettingsError(f"Cannot read the recipe {path}: {problem.strerror}. Give the path of a JSON file, or the name of an example.") from problem
    except ValueError as problem:
        raise SettingsError(f"{path} is not JSON text: {problem}. A recipe starts with {{ and names its kind.") from problem
    if not isinstance(data, dict) or "kind" not in data:
        raise SettingsError(f'{path} is not a recipe: expected an object with a "kind", one of {", ".join(plugins.names("studio.recipes"))}.')
    return validated(plugins.load("studio.recipes", str(data["kind"])), data)
