"""The pump: newest frame to every listener, errors to their handler, connections that can be taken back."""

import numpy as np
import pytest

from studio.frame import Frame, LocalFrames
from widgets.pump import Handed, Pump


def frame(step=0):
    return Frame(step=step, time=0.0, positions=np.zeros((1, 3), dtype=np.float32))


@pytest.fixture
def errors():
    return []


@pytest.fixture
def pump(errors):
    return Pump(errors.append)


def test_the_newest_frame_reaches_every_listener_once(pump):
    stream, first, second = LocalFrames(), [], []
    pump.connect(first.append)
    pump.connect(second.append)
    pump.watch(stream)
    pump.tick()
    stream.publish(frame(1))
    stream.publish(frame(2))
    pump.tick()
    pump.tick()
    assert [each.step for each in first] == [each.step for each in second] == [2]
    assert pump.fps == 0.5


def test_every_connection_can_be_taken_back(pump):
    stream, seen = LocalFrames(), []
    undo, stop_watching = pump.connect(seen.append), pump.watch(stream)
    stream.publish(frame())
    undo()
    undo()
    pump.tick()
    stop_watching()
    pump.connect(seen.append)
    stream.publish(frame())
    pump.tick()
    assert seen == []


def test_another_stream_takes_the_place_of_the_first(pump):
    old, new, seen = LocalFrames(), LocalFrames(), []
    stop_old = pump.watch(old)
    pump.watch(new)
    stop_old()
    pump.connect(seen.append)
    old.publish(frame(1))
    new.publish(frame(2))
    pump.tick()
    assert [each.step for each in seen] == [2]


def test_what_a_listener_raises_goes_to_the_handler_and_the_next_still_hears(pump, errors):
    stream, seen, wrong = LocalFrames(), [], ValueError("no")

    def raises(_frame):
        raise wrong

    pump.connect(raises)
    pump.connect(seen.append)
    pump.watch(stream)
    stream.publish(frame())
    pump.tick()
    assert errors == [wrong]
    assert len(seen) == 1


def test_what_ends_the_process_passes(errors):
    with pytest.raises(KeyboardInterrupt), Handed(errors.append):
        raise KeyboardInterrupt
    assert errors == []


def test_a_pump_that_was_not_started_stops_quietly(pump):
    assert not pump.running
    pump.stop()
