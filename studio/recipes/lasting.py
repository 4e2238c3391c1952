"""Lasting: the parent of recipes that take a while - they tell how far they are, hear that they should stop, and go on where they were.

Must not know any one recipe.
"""

import json
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

from studio.errors import StudioError
from studio.files import storage, write_whole
from studio.io import store
from studio.parts import key_of
from studio.progress import Progress
from studio.recipes.base import OnFrame, Recipe
from studio.recipes.work import Watch
from studio.recorder import RECIPE, STRUCTURE
from studio.result import Failure, Result, versions
from studio.structure import Structure


class Lasting(Recipe):
    """Parent of a recipe that takes a while: it says only how it comes to its `answer`, and in its own docstring what `values` and `arrays` hold.

    What is finished is kept in the folder (`studio.parts`), each part under a key of all that it depends on, so that the next run finds it there.
    """

    resumes: ClassVar[bool] = True

    def run(self, structure: Structure | None = None, on_frame: OnFrame | None = None, progress: Progress | None = None, folder: Path | None = None) -> Result:
        """Do it, or what is left of it; what goes wrong is the failure of the result.

        Args:
            structure: The prepared structure, where there is one already; a series and a recording have their own.
            on_frame: Called with what is worked on, as soon as there is something to show; returns False to stop cleanly.
            progress: Called with a fraction and a sentence.
            folder: Where the recipe and finished parts are kept, and found again.
        """
        recipe = json.loads(self.to_json())
        try:
            if folder:
                with storage(folder):
                    folder.mkdir(parents=True, exist_ok=True)
                write_whole(folder / RECIPE, (self.to_json() + "\n").encode())
            found = self.answer(structure, Watch(on_frame, progress), folder)
        except StudioError as problem:
            return Result(recipe, provenance=versions(), failure=Failure.from_error(problem))
        return replace(found, recipe=recipe)

    def answer(self, structure: Structure | None, watch: Watch, folder: Path | None) -> Result:
        """Come to an answer; its `recipe` is filled in by `run`.

        Args:
            structure: The prepared structure, where there is one already.
            watch: Is called with a fraction and a sentence, at least twice a second; `watch.show` what is worked on.
            folder: Where finished parts are kept; it is there, and the recipe in it.

        Raises:
            StudioError: There is none, or the user stopped before there was one (`StoppedError`, from the watch).
        """
        raise NotImplementedError


def part_key(*made_from: str) -> str:
    """The key of a part: a hash of all that it depends on, and of the versions of Python and the packages.

    Args:
        made_from: As text.
    """
    return key_of(*made_from, *(f"{name} {version}" for name, version in versions().items()))


def keep_structure(structure: Structure, folder: Path | None) -> None:
    """Keep the structure that atoms and shapes of a result belong to: the 3D view shows it.

    Args:
        structure: As it was looked at.
        folder: Of the result, where there is one.

    Raises:
        StorageError: No space or no permission.
    """
    if folder:
        store.save(structure, folder / STRUCTURE)
