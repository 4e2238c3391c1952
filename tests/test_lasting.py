"""Lasting: what all recipes share that take a while - telling, showing, stopping, refusing, keeping."""

import json
from pathlib import Path
from typing import Literal

import numpy as np
import pytest

from studio.errors import SettingsError
from studio.frame import Frame
from studio.io import store
from studio.recipes.lasting import Lasting, keep_structure
from studio.recipes.work import Watch, going, share
from studio.recorder import RECIPE, STRUCTURE
from studio.result import Result
from studio.structure import Structure


class Walking(Lasting):
    """Two halves of some steps; a refusal in between where that is asked for."""

    kind: Literal["walking"] = "walking"
    steps: int = 4
    refuses: bool = False

    def answer(self, structure: Structure | None, watch: Watch, folder: Path | None) -> Result:
        watch(0.0, "Preparing")
        keep_structure(structure, folder)
        watch.show(structure.positions)
        for number in range(self.steps):
            share(watch, 0.5, 1.0)(number / self.steps, f"Step {number}")
        if self.refuses:
            raise SettingsError("This way is closed. Take another.")
        return Result({}, {"steps": float(self.steps)})


@pytest.fixture
def ethanol() -> Structure:
    return Structure.from_smiles("CCO")


def test_what_it_works_on_is_told_shown_and_kept(ethanol: Structure, tmp_path: Path) -> None:
    frames: list[Frame] = []
    told: list[tuple[float, str]] = []
    result = Walking().run(ethanol, on_frame=frames.append, progress=lambda part, text: told.append((part, text)), folder=tmp_path / "new" / "place")
    assert (result.ok, result.values, result.recipe) == (True, {"steps": 4.0}, json.loads(Walking().to_json()))
    assert told == [(0.0, "Preparing"), (0.5, "Step 0"), (0.625, "Step 1"), (0.75, "Step 2"), (0.875, "Step 3")]
    assert len(frames) == 4  # nobody is shown nothing
    np.testing.assert_allclose(frames[0].positions, ethanol.positions, atol=1e-6)
    assert json.loads((tmp_path / "new" / "place" / RECIPE).read_text()) == result.recipe
    assert store.load(tmp_path / "new" / "place" / STRUCTURE).key == ethanol.key
    assert Walking().run(ethanol).ok  # without anybody, and without a folder


def test_what_goes_wrong_is_the_failure(ethanol: Structure, tmp_path: Path) -> None:
    refused = Walking(refuses=True).run(ethanol)
    assert (refused.failure.kind, refused.failure.message) == ("SettingsError", "This way is closed. Take another.")
    assert refused.provenance
    (tmp_path / "file").touch()
    assert Walking().run(ethanol, folder=tmp_path / "file").failure.kind == "StorageError"


def test_whoever_looks_can_stop_it(ethanol: Structure) -> None:
    told: list[str] = []
    stopped = Walking(steps=100).run(ethanol, on_frame=lambda _: len(told) < 10, progress=lambda _, text: told.append(text))
    assert stopped.failure.kind == "StoppedError"
    assert told[-1] == "Step 8"
    assert stopped.recipe["steps"] == 100


def test_a_count_of_iterations_is_progress_that_never_ends_and_a_stop_is_a_no(ethanol: Structure) -> None:
    told: list[float] = []
    watch = Watch(lambda _: len(told) < 3, lambda part, _: told.append(part))
    watch.show(ethanol.positions)
    on = going(watch, 0.2, 0.4, "Relaxing", usual=10)
    assert [on(iteration) for iteration in (0, 10, 1000, 1001)] == [True, True, True, False]
    assert told == sorted(told)
    assert told[:2] == pytest.approx([0.2, 0.3])
    assert told[-1] < 0.4
