"""Frames between processes: whole, newest, and never in the way."""

import multiprocessing
from pathlib import Path

import numpy as np
import pytest

from studio.frame import Frame, LocalFrames
from studio.shared import Layout, SharedFrames


def frame(step: int, atoms: int = 50) -> Frame:
    return Frame(
        step,
        step / 1000,
        np.full((atoms, 3), step, np.float32),
        np.eye(3, dtype=np.float32),
        {"potential": float(step), "kinetic": 1.0},
        300.0,
        5.0,
        2.0,
        11.0,
        -3.0,
    )


def layout(tmp_path: Path, atoms: int = 50) -> Layout:
    return Layout(tmp_path / "frames", atoms, True, ("potential", "kinetic"))


def test_a_frame_arrives_as_it_was_sent(tmp_path: Path) -> None:
    writer = SharedFrames(layout(tmp_path), create=True)
    cursor = SharedFrames(layout(tmp_path)).subscribe()
    assert cursor.latest() is None
    writer.publish(frame(7))
    got = cursor.latest()
    assert got is not None
    assert (got.step, got.time, got.temperature, got.speed, got.timestep) == (7, 0.007, 300.0, 5.0, 2.0)
    assert (got.pull_force, got.pull_work) == (11.0, -3.0)
    assert got.energies == {"potential": 7.0, "kinetic": 1.0}
    np.testing.assert_array_equal(got.positions, frame(7).positions)
    np.testing.assert_array_equal(got.box, np.eye(3))
    assert cursor.latest() is None


@pytest.mark.parametrize("shared", [False, True])
def test_newest_wins_for_each_cursor(tmp_path: Path, shared: bool) -> None:
    stream = SharedFrames(layout(tmp_path), create=True) if shared else LocalFrames()
    early, late = stream.subscribe(), stream.subscribe()
    for step in range(1, 6):
        stream.publish(frame(step))
        if step == 2:
            assert early.latest().step == 2
    assert early.latest().step == 5
    assert late.latest().step == 5, "a slow reader gets the newest frame, not the backlog"


def publish_many(where: Layout, count: int) -> None:
    writer = SharedFrames(where, create=True)
    for step in range(1, count + 1):
        writer.publish(frame(step, where.atoms))


def test_no_torn_frames_while_another_process_writes(tmp_path: Path) -> None:
    """Every frame holds one number throughout; a torn one would hold two."""
    where = layout(tmp_path, atoms=5000)
    process = multiprocessing.get_context("spawn").Process(target=publish_many, args=(where, 20_000))
    process.start()
    seen = []
    while not where.path.exists():
        assert process.is_alive()
    cursor = SharedFrames(where).subscribe()
    while process.is_alive():
        got = cursor.latest()
        if got is not None:
            seen.append(got.step)
            assert (got.positions == got.step).all(), "a frame was read while it was written"
    process.join()
    assert process.exitcode == 0
    assert len(seen) > 10
    assert seen == sorted(seen)
