"""A run in its worker process: control, streaming, and every way in which the worker can end."""

import os
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from time import monotonic, sleep

import numpy as np
import pytest

from studio import run as run_module
from studio.errors import SettingsError, WorkerError
from studio.frame import Frame
from studio.recipes.dynamics import Dynamics
from studio.recorder import CHECKPOINT, ENERGIES, TRAJECTORY
from studio.run import Run
from studio.system import FromSmiles, System


def recipe(**settings: object) -> Dynamics:
    return Dynamics.model_validate({"system": System(source=FromSmiles(smiles="CCO")), "interval": 10, "minimise": 20, **settings})


@pytest.fixture
def run() -> Iterator[Run]:
    with Run(recipe()) as run:
        run.wait("paused")
        yield run


@pytest.fixture(scope="module", autouse=True)
def no_spare_left_behind() -> Iterator[None]:
    yield
    run_module.close_all([])


def next_frame(run: Run, after: int = -1, timeout: float = 20.0) -> Frame:
    cursor, end = run.frames.subscribe(), monotonic() + timeout
    while monotonic() < end:
        frame = cursor.latest()
        if frame is not None and frame.step > after:
            return frame
        sleep(0.01)
    raise AssertionError(f"no frame after step {after} within {timeout} s; status {run.status}")


def test_play_moves_pause_holds_step_counts_reset_returns(run: Run) -> None:
    start = next_frame(run)
    run.play()
    moving = next_frame(run, after=start.step)
    assert not np.array_equal(moving.positions, start.positions)
    run.pause()
    run.wait("paused")
    held = next_frame(run)
    sleep(0.2)
    assert next_frame(run).step == held.step, "paused, but it moved"
    run.step(3)
    assert next_frame(run, after=held.step).step == held.step + 3
    run.wait("paused")
    run.reset()
    end = monotonic() + 10
    while next_frame(run).step and monotonic() < end:
        sleep(0.05)
    back = next_frame(run)
    assert back.step == 0
    np.testing.assert_allclose(back.positions, start.positions, atol=1e-5)


def test_energies_and_files_are_there(run: Run) -> None:
    run.step(30)
    frame = next_frame(run, after=29)
    assert {"potential", "kinetic"} <= set(frame.energies)
    assert np.isfinite(list(frame.energies.values())).all()
    run.wait("paused")
    assert {TRAJECTORY, ENERGIES, CHECKPOINT, "provenance.json", "recipe.json"} <= {path.name for path in run.folder.iterdir()}


def test_temperature_changes_while_it_runs(run: Run) -> None:
    run.set_temperature(900.0)
    run.step(4000)
    run.wait("playing", "paused")
    end, hottest = monotonic() + 30, 0.0
    while monotonic() < end and hottest < 500.0:
        hottest = max(hottest, next_frame(run).temperature)
    assert hottest > 500.0


@pytest.mark.parametrize("kelvin", [-5.0, 10_000.0, float("nan")])
def test_impossible_temperatures_are_refused_and_nothing_changes(run: Run, kelvin: float) -> None:
    with pytest.raises(SettingsError, match=r"(?i)expected .* got|finite"):
        run.set_temperature(kelvin)
    assert run.status.state == "paused"


def test_a_killed_worker_is_reported_and_recovered(tmp_path: Path) -> None:
    with Run(recipe(), folder=tmp_path) as run:
        run.wait("paused")
        run.step(200)
        before = next_frame(run, after=199)
        run.wait("paused")
        os.kill(run.pid, signal.SIGKILL)
        lost = run.wait("lost", timeout=10)
        assert "SIGKILL" in lost.message
        assert "Recover" in lost.message
        run.play()  # nobody listens; must not raise
        run.recover()
        run.wait("paused")
        after = next_frame(run)
        assert after.step == before.step, "the checkpoint of the pause was lost"
        np.testing.assert_allclose(after.positions, before.positions, atol=1e-4)
        run.play()
        assert next_frame(run, after=after.step).step > after.step


def test_a_worker_killed_while_playing_loses_at_most_what_came_after_the_last_checkpoint(tmp_path: Path) -> None:
    with Run(recipe(), folder=tmp_path) as run:
        run.wait("paused")
        run.play()
        next_frame(run, after=50)
        os.kill(run.pid, signal.SIGKILL)
        run.wait("lost", timeout=10)
        run.recover()
        run.wait("paused")
        steps = [int(line.split(",")[0]) for line in (tmp_path / ENERGIES).read_text().splitlines()[1:]]
        assert steps == sorted(set(steps))
        assert not steps or steps[-1] <= next_frame(run).step


def test_a_step_that_blows_up_is_rolled_back_and_can_be_continued() -> None:
    with Run(recipe(timestep=18.0, minimise=0)) as run:
        run.wait("paused")
        run.play()
        status = run.wait("failed", timeout=30)
        assert "became unstable" in status.message
        assert "shorter time step" in status.message
        assert status.atoms
        assert np.isfinite(next_frame(run).positions).all(), "a frame that is not physics was shown"
        run.recover()
        assert run.wait("paused").state == "paused"


def test_a_system_that_cannot_be_made_is_a_sentence() -> None:
    with (
        Run(Dynamics(system=System(source=FromSmiles(smiles="C(C)(C)(C)(C)C")))) as run,
        pytest.raises(WorkerError, match="more bonds than its valence allows"),
    ):
        run.wait("paused")


def test_an_element_that_the_network_does_not_know_is_a_sentence() -> None:
    boron = recipe(system=System(source=FromSmiles(smiles="OB(O)c1ccccc1")), view={"resolution": "nnp"})
    with Run(boron) as run, pytest.raises(WorkerError, match=r"SO3LR does not know B .*It was trained on"):
        run.wait("paused")


@dataclass(frozen=True)
class Buggy:
    """A recipe with a bug, as a plug-in may have."""

    steps: int = 10

    def to_json(self) -> str:
        return "{}"

    def begin(self, *_: object) -> None:
        raise RuntimeError("out of cheese")

    def result(self, *_: object) -> None:
        raise RuntimeError


def test_a_bug_in_the_worker_is_a_sentence_and_not_the_end() -> None:
    with Run(Buggy()) as run:
        with pytest.raises(WorkerError, match=r"should not have \(RuntimeError: out of cheese\)"):
            run.wait("paused")
        assert run.status.state == "failed"


def test_the_worker_ends_when_its_owner_goes(run: Run) -> None:
    pid = run.pid
    run.close()
    assert run.status.state == "closed"
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    assert not run.folder.exists(), "the temporary folder stayed"


def test_a_prewarmed_worker_is_used() -> None:
    run_module.prewarm()
    spare = run_module._spare[0].process.pid
    with Run(recipe()) as run:
        assert run.pid == spare
