"""A run in its worker process: control, streaming, and every way in which the worker can end."""

import json
import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from time import monotonic, sleep

import numpy as np
import pytest

from studio import run as run_module
from studio import worker as worker_module
from studio.errors import SettingsError, WorkerError
from studio.frame import Frame
from studio.history import History, Moment
from studio.messages import Begin, Pause, Play, Pull, Release, Reset, SetTemperature, Step, Undo, newest
from studio.recipes.dynamics import Dynamics
from studio.recorder import ACTIONS, CHECKPOINT, ENERGIES, HELD, TRAJECTORY
from studio.run import Run
from studio.steering import DistanceRestraint, PositionRestraint, Spring
from studio.structure import Structure
from studio.system import FromSmiles, System
from studio.worker import Worker


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


def until(holds: Callable[[], bool], what: str, timeout: float = 20.0) -> None:
    end = monotonic() + timeout
    while monotonic() < end:
        if holds():
            return
        sleep(0.02)
    raise AssertionError(f"not within {timeout} s: {what}")


def actions(folder: Path, name: str = "") -> list[dict[str, object]]:
    lines = [json.loads(line) for line in (folder / ACTIONS).read_text().splitlines()] if (folder / ACTIONS).exists() else []
    return [line for line in lines if not name or line["action"] == name]


def recorded(folder: Path) -> list[int]:
    return [int(line.split(",")[0]) for line in (folder / ENERGIES).read_text().splitlines()[1:]]


def moved(run: Run, steps: int) -> Frame:
    """Go on by `steps` and look."""
    before = next_frame(run).step
    run.step(steps)
    frame = next_frame(run, after=before + steps - 1)
    run.wait("paused")
    return frame


def done(run: Run, act: Callable[[], None]) -> Frame:
    """Wish something, and look when the worker has done it."""
    before = len(actions(run.folder))
    act()
    until(lambda: len(actions(run.folder)) > before, "done and written down")
    return next_frame(run)


def test_a_pull_moves_its_atom_and_is_let_go(run: Run) -> None:
    oxygen = 2
    place = next_frame(run).positions[oxygen]
    run.pull(oxygen, place + np.float32(0.2))
    until(lambda: next_frame(run).pull_force > 0, "a pull shows while paused")
    shown = next_frame(run)
    assert shown.pull_work == pytest.approx(shown.energies["pull"])
    assert shown.energies["pull"] == pytest.approx(0.5 * 500 * 3 * 0.2**2, rel=0.05)
    frame = moved(run, 100)
    assert frame.pull_force > 0
    run.release()
    until(lambda: next_frame(run).pull_force == 0, "let go")
    assert next_frame(run).energies["pull"] == 0.0
    assert [line["action"] for line in actions(run.folder)] == ["pull", "step", "release"]
    assert actions(run.folder, "pull")[0]["values"]["spring"]["atom"] == oxygen
    header, *_, last = (run.folder / ENERGIES).read_text().splitlines()
    assert float(dict(zip(header.split(","), last.split(","), strict=True))["pull_work_kJ_mol"]) == pytest.approx(frame.pull_work, rel=1e-4)


def test_a_fast_mouse_never_lags(run: Run) -> None:
    """Two hundred moves at once: the last one counts, and most of the others are never looked at."""
    run.play()
    next_frame(run, after=10)
    for k in range(200):
        run.pull(2, (round(0.001 * k, 3), 0.0, 0.0))
    until(
        lambda: bool(actions(run.folder, "pull")) and actions(run.folder, "pull")[-1]["values"]["spring"]["target"][0] == pytest.approx(0.199), "the last move"
    )
    assert len(actions(run.folder, "pull")) < 100
    run.pause()
    run.wait("paused")


def test_only_the_newest_of_settings_in_a_row_counts() -> None:
    first, second = Pull(Spring(atom=0, target=(0, 0, 0))), Pull(Spring(atom=0, target=(1, 0, 0)))
    assert newest([first, second, Release(), first, Step(1), Step(2), SetTemperature(300.0), SetTemperature(310.0)]) == [
        second, Release(), first, Step(1), Step(2), SetTemperature(310.0),
    ]  # fmt: skip
    assert newest([]) == []


def test_a_frozen_atom_is_refused_in_words_and_the_run_goes_on() -> None:
    ethanol = Structure.from_smiles("CCO")
    with Run(recipe(), structure=replace(ethanol, fixed=np.arange(9) == 0)) as run:
        run.wait("paused")
        for refused in (lambda: run.pull(0, (0, 0, 0)), lambda: run.restrain([PositionRestraint(atoms=(0,))])):
            with pytest.raises(SettingsError, match=r"is frozen and cannot be .* Choose an atom that moves"):
                refused()
        run.play()
        run._process.send(Pull(Spring(atom=0, target=(0.0, 0.0, 0.0))))  # from a page that did not ask first
        until(lambda: "is frozen" in run.status.message, "the sentence")
        assert run.status.state == "playing"
        assert not actions(run.folder, "pull"), "what was refused was not done"


@pytest.mark.parametrize("wrong", [
    lambda run: run.pull(0, (0, 0, 0), stiffness=-1), lambda run: run.pull(0, (float("inf"), 0, 0)), lambda run: run.set_friction(-1),
    lambda run: run.set_pace(0), lambda run: run.pull(99, (0, 0, 0)), lambda run: run.restrain([{"kind": "distance", "atoms": (1, 1), "nm": 0.1}]),
])  # fmt: skip
def test_impossible_wishes_are_refused_and_nothing_changes(run: Run, wrong: Callable[[Run], None]) -> None:
    with pytest.raises(SettingsError, match=r"(?i)expected"):
        wrong(run)
    assert run.status.state == "paused"


def test_undo_walks_back_exactly(run: Run) -> None:
    """Bit by bit through every start of a motion, and no further than the beginning; what was recorded after it is forgotten."""
    stops = [next_frame(run), *(moved(run, steps) for steps in (30, 25, 45))]
    assert recorded(run.folder)[-1] == 100
    for stop in reversed(stops[:-1]):
        back = done(run, run.undo)
        assert back.step == stop.step
        np.testing.assert_array_equal(back.positions, stop.positions)
        assert all(step <= stop.step for step in recorded(run.folder)), "frames after it are forgotten"
    done(run, run.undo)
    assert "nothing left to undo" in run.status.message
    assert next_frame(run).step == 0
    assert moved(run, 30).step == 30
    assert recorded(run.folder) == [10, 20, 30]


def test_undo_takes_a_reset_back_with_its_frames(run: Run) -> None:
    before = moved(run, 50)
    for _ in range(2):
        assert done(run, run.reset).step == 0
    moved(run, 20)
    assert [done(run, run.undo).step for _ in range(3)] == [0, 0, 50]
    np.testing.assert_array_equal(next_frame(run).positions, before.positions)
    assert recorded(run.folder) == [10, 20, 30, 40, 50]
    assert not list(run.folder.glob("before-reset-*"))
    moved(run, 10)
    assert recorded(run.folder)[-1] == 60


def test_restraints_outlive_undo_reset_rollback_and_the_worker(tmp_path: Path) -> None:
    """A worker killed while somebody pulls: the restraints are there again, the pull is not."""
    with Run(recipe(), folder=tmp_path) as run:
        run.wait("paused")
        moved(run, 20)
        run.restrain([PositionRestraint(atoms=(0,)), DistanceRestraint(atoms=(0, 2), nm=0.4)])
        until(lambda: next_frame(run).energies["restraint"] > 1.0, "restrained")
        held = (tmp_path / HELD).read_text()
        for back in (run.undo, run.reset, run.rollback):
            moved(run, 20)
            done(run, back)
            assert moved(run, 1).energies["restraint"] > 0.0
        run.play()
        run.pull(2, (0.5, 0.5, 0.5))
        until(lambda: next_frame(run).pull_force > 0, "pulled")
        os.kill(run.pid, signal.SIGKILL)
        run.wait("lost", timeout=10)
        run.recover()
        run.wait("paused")
        frame = moved(run, 1)
        assert frame.energies["restraint"] > 0.0
        assert (frame.pull_force, frame.energies["pull"]) == (0.0, 0.0)
        assert (tmp_path / HELD).read_text() == held
        run.restrain([])
        until(lambda: next_frame(run).energies["restraint"] == 0.0, "let go")
    with Run(recipe(restraints=[DistanceRestraint(atoms=(0, 2), nm=0.4)]), folder=tmp_path) as run:
        run.wait("paused")
        assert next_frame(run).energies["restraint"] == 0.0, "letting go was forgotten"


def test_recipes_carry_restraints() -> None:
    asked = recipe(restraints=[{"kind": "distance", "atoms": (0, 2), "nm": 0.4}])
    assert Dynamics.model_validate_json(asked.to_json()) == asked
    with Run(asked) as run:
        run.wait("paused")
        assert next_frame(run).energies["restraint"] > 0.0
    with Run(recipe(restraints=[{"kind": "position", "atoms": (0, 9)}])) as run, pytest.raises(WorkerError, match="Atom 9 does not exist"):
        run.wait("paused")


def test_temperature_and_friction_are_known_to_a_new_worker(tmp_path: Path) -> None:
    with Run(recipe(), folder=tmp_path) as run:
        run.wait("paused")
        run.set_temperature(444.0)
        run.set_friction(3.5)
        until(lambda: len(actions(tmp_path)) == 2, "both were heard")
        os.kill(run.pid, signal.SIGKILL)
        run.wait("lost", timeout=10)
        with np.load(tmp_path / CHECKPOINT) as saved:
            assert (saved["temperature"], saved["friction"]) == (444.0, 3.5)


def test_slow_motion_is_slow_and_still_listens(run: Run) -> None:
    run.set_pace(0.2)
    run.play()
    begun = monotonic()
    first = next_frame(run, after=0)
    run.pause()
    run.wait("paused")
    assert monotonic() - begun < 4.0, "the pause waited for the next step, 5 s later"
    assert next_frame(run).step == first.step == 1
    run.set_pace(50.0)
    run.play()
    begun = monotonic()
    sleep(1.0)
    assert next_frame(run).step <= 3 + 50 * (monotonic() - begun)
    run.set_pace(None)
    next_frame(run, after=1000)


@pytest.fixture
def worker(tmp_path: Path) -> Worker:
    """A worker in this process, begun and paused."""
    line = multiprocessing.Pipe()
    worker = Worker(line[1])
    worker.line = line[0]
    worker._obey(Begin(recipe(), tmp_path, tmp_path / "frames"))
    return worker


def told(worker: Worker) -> list[object]:
    return [worker.line.recv() for _ in iter(worker.line.poll, False)]


def test_a_pull_that_nobody_holds_is_let_go(worker: Worker, monkeypatch: pytest.MonkeyPatch) -> None:
    """The page was closed with the mouse button down. Repeating the pull holds on, without an entry for each repeat."""
    pull = Pull(Spring(atom=2, target=(0.3, 0.3, 0.3)))
    monkeypatch.setattr(worker_module, "PULL_PATIENCE", 0.3)
    worker._obey(pull)
    worker._obey(Play())
    for _ in range(4):
        sleep(0.1)
        worker._obey(pull)
        worker._advance()
    assert worker._simulation.spring is not None
    sleep(0.4)
    worker._advance()
    assert worker._simulation.spring is None
    assert any("let go" in getattr(event, "message", "") for event in told(worker))
    assert [line["action"] for line in actions(worker._recorder.folder)] == ["pull", "play", "release"]
    assert worker._playing


def test_undo_goes_to_before_the_pull_and_keeps_the_settings(worker: Worker, monkeypatch: pytest.MonkeyPatch) -> None:
    for seconds in ("SAME_WISH", "CHECKPOINT_SECONDS"):
        monkeypatch.setattr(worker_module, seconds, 60.0)  # whatever else this machine does
    worker._obey(Play())
    for _ in range(3):
        worker._advance()
    place = worker._simulation._positions()
    for k in range(5):
        worker._obey(Pull(Spring(atom=2, target=(0.1 * k, 0.3, 0.3))))
        worker._advance()
    for kelvin in (310.0, 320.0, 330.0):  # a slider, drawn
        worker._obey(SetTemperature(kelvin))
        worker._advance()
    worker._obey(Undo())
    worker._obey(Undo())
    np.testing.assert_array_equal(worker._simulation._positions(), place)
    assert worker._simulation._target() == 330.0, "what the slider says must hold"
    assert worker._simulation.spring is None
    assert not worker._playing


def test_what_is_done_is_written_down(worker: Worker) -> None:
    for message in (Step(10), Pause(), SetTemperature(350.0), Reset()):
        worker._obey(message)
        while worker._playing:
            worker._advance()
    assert actions(worker._recorder.folder) == [
        {"step": 0, "time_ps": 0.0, "action": "step", "values": {"count": 10}},
        {"step": 10, "time_ps": 0.02, "action": "pause", "values": {}},
        {"step": 10, "time_ps": 0.02, "action": "set_temperature", "values": {"kelvin": 350.0}},
        {"step": 10, "time_ps": 0.02, "action": "reset", "values": {}},
    ]  # fmt: skip


def test_history_is_bounded_and_in_order() -> None:
    history = History(most=3, megabytes=1e-5)  # 10 bytes
    for step in range(5):
        history.mark(Moment(0, step), lambda: b"12")
    assert len(history) == 3
    history.mark(Moment(0, 4), lambda: pytest.fail("it is there already"))
    assert history.before(Moment(0, 4)) == (Moment(0, 3), b"12")
    assert history.before(Moment(0, 2)) is None, "the oldest go first"
    assert history.before(Moment(1, 0)) == (Moment(0, 4), b"12"), "a reset is later than all before it"
    history.mark(Moment(0, 3), lambda: b"12")
    assert history.before(Moment(1, 0)) == (Moment(0, 3), b"12"), "what was gone back from is no more"
    history.mark(Moment(2, 0), lambda: b"x" * 50)
    assert len(history) == 1, "too large for all, but the newest stays"
