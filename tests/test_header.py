"""The header and the tour without a browser: what they say of a run, and what they let follow."""

import numpy as np
import pytest

from studio.frame import Frame
from studio.library import Library
from studio.recipes.dynamics import Dynamics
from studio.system import EXAMPLES
from studio.trust import Doubt
from studio.worker import Status
from widgets.desk import Desk
from widgets.header import KEYS, Header
from widgets.tour import STEPS, Tour
from widgets.viewer import Viewer

RECIPE = Dynamics(system=EXAMPLES["aspirin-vacuum"].system)


class Seat:
    """A place at a server that counts what is asked of it."""

    watching, asked = 0, ()

    def share(self):
        self.asked += ("share",)
        return "lecture?run=token"

    def unshare(self):
        self.watching = 0
        self.asked += ("unshare",)


@pytest.fixture
def desk(tmp_path):
    desk = Desk(Library(tmp_path / "library"))
    yield desk
    desk.close()


@pytest.fixture
def header(desk):
    return Header(desk, Seat())


def frame():
    return Frame(step=10, time=0.01, positions=np.zeros((3, 3), np.float32), temperature=300.0, speed=50.0, timestep=2.0)


def names(header):
    return [tool["name"] for tool in header.bar.panel.tools]


def test_it_says_what_runs_in_words(header, desk):
    assert "nothing open" in header.state.object
    assert "title" not in header.title.object
    desk.store.title, desk.store.entry = "<b>TYK2</b>", desk.store.library.new(RECIPE, "TYK2")
    desk.store.status = Status("playing")
    header.refresh()
    assert "run 1: &lt;b&gt;TYK2&lt;/b&gt;" in header.title.object
    assert "playing" in header.state.object
    desk.store.pending = Status("preparing", "Starting the worker")
    header.refresh()
    assert "preparing" in header.state.object


def test_a_doubt_is_a_word_and_not_only_a_colour(header, desk):
    doubt = Doubt.__new__(Doubt)
    desk.store.status = Status("playing", doubts=(doubt,))
    header.refresh()
    assert "playing, in doubt" in header.state.object


def test_speeds_are_told_only_while_it_plays(header, desk, monkeypatch):
    monkeypatch.setattr(Viewer, "fps", 30.0)
    desk.store.frame = frame()
    for state, told in (("paused", False), ("playing", True)):
        desk.store.status = Status(state)
        header.refresh()
        assert (f"<b>{frame().ns_per_day:.2f}</b> ns/day" in header.numbers.object) is told
        assert ("<b>30</b> frames/s" in header.numbers.object) is told


def test_light_is_switched_for_all_and_follows_who_else_switches_it(header, desk):
    painted = []
    desk.on_paint(painted.append)
    header.bar.press("light")
    assert (desk.dark, header.dark, painted, header.bar["light"].label) == (False, False, [False], "Dark")
    desk.paint(True)
    assert (header.dark, header.bar["light"].label) == (True, "Light")
    assert painted == [False, True], "one change of the light is painted once"


def test_size_is_told_to_who_lays_out(header):
    heard = []
    header.on_size(lambda: heard.append(header.large))
    header.bar.press("size")
    assert (heard, header.bar["size"].pressed) == ([True], True)
    header.large = False
    assert heard == [True, False]


def test_sharing_shows_an_address_and_an_audience_until_it_ends(header, desk):
    header.bar.press("share")
    assert (header.address, header.bar["share"].pressed) == ("lecture?run=token", True)
    header.seat.watching = 28
    header.refresh()
    assert header.pane.watching == 28
    assert "28" in header.bar["share"].label
    header.unshare()
    assert (header.address, header.pane.watching, header.bar["share"].pressed) == ("", 0, False)
    assert header.seat.asked == ("share", "unshare")


def test_what_cannot_be_had_is_not_offered(desk):
    alone = Header(desk)
    assert names(alone) == ["size", "light", "keys"]
    tour = Tour(desk)
    alone.on_tour(tour.start)
    assert "tour" in names(alone)
    alone.bar.press("tour")
    assert tour.step == 0


def test_what_goes_wrong_in_sharing_is_a_sentence(header, desk, monkeypatch):
    monkeypatch.setattr(header.seat, "unshare", lambda: 1 / 0)
    header._hear({"do": "unshare"})
    assert "ZeroDivisionError" in desk.alert.sentence


def test_every_key_of_the_brief_is_listed():
    listed = " ".join(keys for keys, _ in KEYS)
    assert all(key in listed for key in ("Space", ".", "Z", "1 2 3", "C", "Esc", "?"))


def test_the_tour_has_five_steps_waits_for_alerts_and_does_not_welcome_a_notebook(desk):
    tour = Tour(desk)
    assert (len(STEPS), len(tour.panel.steps), tour.step, tour.panel.welcome) == (5, 5, None, False)
    tour.start()
    desk.alert.say("The worker is lost.")
    assert (tour.panel.aside, tour.step) == (True, 0)
    desk.alert.dismiss()
    assert not tour.panel.aside
    tour.end()
    assert tour.step is None
