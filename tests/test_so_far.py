"""What a study at work has found so far: kept whole, seen while it works, gone when the result is there."""

from time import monotonic, sleep

import numpy as np
import pytest

from studio import so_far
from studio.result import PROVENANCE, Result
from studio.so_far import SoFar
from studio.study import Inquiry
from studio.system import FromSmiles, System
from tests.study_recipes import Growing

METHANOL = System(source=FromSmiles(smiles="CO"))


def result(number):
    return Result({"kind": "counting"}, {"parts": float(number)}, {"squares": np.arange(number) ** 2.0}, {"method": "fingers"}, ("A note.",))


def test_it_is_read_as_it_was_told_and_only_about_the_same_question(tmp_path):
    assert so_far.found(tmp_path, "one") is None
    SoFar(tmp_path, "one").tell(lambda: result(4))
    found = so_far.found(tmp_path, "one")
    assert (found.values, found.provenance, found.notes) == ({"parts": 4.0}, {"method": "fingers"}, ("A note.",))
    np.testing.assert_array_equal(found.arrays["squares"], [0.0, 1.0, 4.0, 9.0])
    assert so_far.found(tmp_path, "another") is None
    (tmp_path / so_far.FILE).write_bytes(b"torn")
    assert so_far.found(tmp_path, "one") is None


def test_it_is_told_at_most_every_two_seconds_and_never_for_most_of_the_time(tmp_path, monkeypatch):
    now = [100.0]
    monkeypatch.setattr(so_far, "monotonic", lambda: now[0])
    made = []

    def slow(number):
        now[0] += 0.5
        made.append(number)
        return result(number)

    told = SoFar(tmp_path, "one")
    for number in range(50):
        told.tell(lambda number=number: slow(number))
        now[0] += 0.5
    assert len(made) <= 4  # half a second of 20 % would be too much: a look that takes 0.5 s comes every 10 s
    SoFar(None, "one").tell(lambda: made.append("nobody looks"))
    assert "nobody looks" not in made


def test_a_full_disk_does_not_stop_the_work(tmp_path):
    SoFar(tmp_path / "missing", "one").tell(lambda: result(2))


def test_a_study_at_work_shows_what_it_has_and_its_frames_and_forgets_when_done(tmp_path):
    inquiry = Inquiry(Growing(system=METHANOL, parts=12, tempo={"seconds": 0.1}), tmp_path)
    try:
        end, counts, frames = monotonic() + 30, set(), set()
        while not inquiry.standing.over:
            assert monotonic() < end, inquiry.standing
            if inquiry.frame is not None:
                frames.add(inquiry.frame.step)
                assert inquiry.frame.positions.shape == (6, 3)
            if so_far.is_newer(tmp_path):
                found = so_far.found(tmp_path, inquiry.recipe.to_json())
                counts |= {found.values["parts"]} if found else set()
            sleep(0.02)
        assert inquiry.standing.state == "done"
        assert len(counts) > 2
        assert len(frames) > 2
        assert not (tmp_path / so_far.FILE).exists()
        assert (tmp_path / PROVENANCE).exists()
    finally:
        inquiry.close()


def test_what_a_stopped_study_found_stays_to_be_seen(tmp_path):
    inquiry = Inquiry(Growing(system=METHANOL, parts=200, tempo={"seconds": 0.1}), tmp_path)
    try:
        end = monotonic() + 30
        while so_far.found(tmp_path, inquiry.recipe.to_json()) is None:
            assert monotonic() < end
            sleep(0.02)
        inquiry.cancel()
        assert inquiry.wait(30).state == "stopped"
        assert so_far.is_newer(tmp_path)
        assert inquiry.frame is not None
    finally:
        inquiry.close()


@pytest.mark.parametrize("count", [4001])
def test_large_frames_do_not_fill_the_line(count):
    from studio.frame import Frame
    from studio.study import _Teller

    class Line:
        sent = 0

        def poll(self):
            return False

        def send(self, _news):
            self.sent += 1

    line = Line()
    assert _Teller(line).look(Frame(0, 0.0, np.zeros((count, 3), np.float32)))
    assert line.sent == 0
    assert _Teller(line).look(Frame(0, 0.0, np.zeros((count - 1, 3), np.float32)))
    assert line.sent == 1
