"""Found: what the folder of a study says - its report, that of a study at work, or why there is no answer.

Knows recipes, results and the library; must not know the page.
"""

from dataclasses import dataclass
from pathlib import Path

from studio import so_far
from studio.io import store as structures
from studio.library import Library
from studio.recipes.base import Recipe
from studio.recorder import STRUCTURE
from studio.report import Report
from studio.result import PROVENANCE, Result
from studio.structure import Structure


@dataclass(frozen=True, eq=False)
class Found:
    """What a folder says.

    Args:
        recipe: What was asked.
        folder: Where its answer is.
        title: What it is called.
        report: What people see of it.
        unfinished: It is what was found on the way.
        stamp: Of the files that it was made from; see `studio.so_far.stamp`.
    """

    recipe: Recipe
    folder: Path
    title: str
    report: Report
    unfinished: bool
    stamp: tuple[int, int]

    @property
    def old(self) -> bool:
        """There is something newer."""
        return so_far.stamp(self.folder) != self.stamp

    @property
    def recording(self) -> Path | None:
        """Folder of the recorded run that it is about."""
        folder = getattr(self.recipe, "recording", "")
        return Path(folder) if folder else None


def in_library(library: Library, number: int) -> Found | None:
    """What a study of the library found, by now; none before there is anything.

    Reads files, so call it in a thread.

    Args:
        library: Where it is kept.
        number: Of its entry.

    Raises:
        StudioError: There is no such study, or it cannot be read.
    """
    entry = library.get(number)
    return in_folder(library.recipe_of(number), entry.folder, f"{entry.id}  {entry.title}")


def in_folder(recipe: Recipe, folder: Path, title: str = "") -> Found | None:
    """What a folder says about a recipe; none before there is anything.

    Args:
        recipe: What was asked.
        folder: Where its answer is, or will be.
        title: What it is called.

    Raises:
        StudioError: The result cannot be read.
    """
    stamp = so_far.stamp(folder)
    result = so_far.found(folder, recipe.to_json()) if so_far.is_newer(folder) else None
    unfinished = result is not None
    if result is None and not (folder / PROVENANCE).exists():
        return None
    molecule = structures.load(folder / STRUCTURE) if (folder / STRUCTURE).exists() else None
    report = told(recipe, Result.kept(folder) if result is None else result, molecule)
    return Found(recipe, folder, title, report, unfinished, stamp)


def told(recipe: Recipe, result: Result, molecule: Structure | None) -> Report:
    """The report of a result, or why there is no answer.

    Args:
        recipe: What was asked.
        result: What came of it.
        molecule: That it is about, where it is known.
    """
    if result.failure is not None:
        return Report(result.failure.message, warnings=result.notes)
    return recipe.report(result, molecule)
