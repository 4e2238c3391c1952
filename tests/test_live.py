"""The live view without a browser: what it shows, what a hand in it does, what it says when something is wrong."""

import asyncio
from dataclasses import replace

import numpy as np
import pytest

from studio.errors import SettingsError
from studio.hybrid.view import MLFragment, View
from studio.messages import Status
from studio.observables import deviation_of
from studio.region import Atoms
from studio.steering import DistanceRestraint, PositionRestraint
from studio.stretch import stretch
from studio.trust import Doubt
from tests.live_bench import ETHANOL, Bench, frozen
from widgets.live import LiveView
from widgets.picked import PER_KCAL
from widgets.stage import glowing, stage_of
from widgets.viewer import Pick, PullEvent
from widgets.waiting import Remaining
from widgets.words import duration, effort

HERE = (0.1, 0.2, 0.3)


@pytest.fixture
def bench(tmp_path, monkeypatch):
    bench = Bench(tmp_path, monkeypatch)
    bench.live = LiveView(bench.desk)
    yield bench
    bench.store.close()


@pytest.fixture
def opened(bench):
    bench.open()
    bench.frame()
    return bench


def pull(bench, *phases, atom=2):
    for phase in phases:
        bench.live.stage.pulling.take(PullEvent(phase, atom, HERE))


# -- what is shown ---------------------------------------------------------------------------------------------------------------


def test_the_present_run_is_shown_with_its_region_and_fresh_plots(bench):
    mixed = ETHANOL.model_copy(update={"view": View(resolution="nnp/mm", region=Atoms(indices=(0, 1)), also=(MLFragment(region=Atoms(indices=(2,))),))})
    bench.open(mixed)
    assert bench.pane.highlight == [0, 1, 2]
    assert len(bench.pane.scene["cells"]) == 1
    assert bench.desk.plots.observed == ("RMSD of the ligand",)
    assert glowing(bench.store.structure, ETHANOL) == []


def test_the_camera_stays_when_the_same_atoms_are_seen_another_way(opened):
    assert opened.pane.scene["keep"] is False
    opened.open(ETHANOL.model_copy(update={"timestep": 1.0}))
    assert opened.pane.scene["keep"] is True
    other = ETHANOL.model_copy(update={"system": ETHANOL.system.model_copy(update={"source": ETHANOL.system.source.model_copy(update={"smiles": "CO"})})})
    opened.open(other)
    assert opened.pane.scene["keep"] is False


def test_two_views_of_a_desk_share_one_hand(opened):
    LiveView(opened.desk)
    for react in tuple(opened.desk.viewer._pickers):
        react(Pick(3))
    assert opened.store.picks == (3,)
    assert stage_of(opened.desk) is opened.live.stage


def test_a_water_has_no_deviation_worth_plotting():
    water = frozen(ETHANOL, *range(9))
    assert deviation_of(water) is None


# -- picks -----------------------------------------------------------------------------------------------------------------------


def test_picks_are_ringed_measured_and_plotted(opened):
    for atom in (0, 1):
        opened.live.stage.pick(Pick(atom))
    assert (opened.pane.picked, opened.pane.measures[0]["atoms"]) == ([0, 1], [0, 1])
    opened.frame(shift=0.1)
    length = 10 * np.linalg.norm(opened.store.frame.positions[0] - opened.store.frame.positions[1])
    assert opened.pane.measures[0]["text"] == f"{length:.2f} \u00c5"
    assert f"{length:.2f} \u00c5" in opened.live.picked.text.object
    opened.live.picked.bar.press("plot")
    assert "C1-C2 distance" in opened.desk.plots.observed
    assert opened.live.picked.bar["plot"].off == "It is plotted already."
    opened.store.picks = ()
    assert not opened.live.picked.panel.visible
    assert [each["atoms"] for each in opened.pane.measures] == [[0, 1]]
    opened.store.observables = ()
    assert opened.desk.plots.observed == ("RMSD of the ligand",)
    assert opened.pane.measures == []


def test_a_click_again_or_with_alt_takes_an_atom_back_and_shift_takes_its_residue(opened):
    stage = opened.live.stage
    for pick in (Pick(0), Pick(1), Pick(0), Pick(5), Pick(1, remove=True)):
        stage.pick(pick)
    assert opened.store.picks == (5,)
    stage.pick(Pick(5, whole_residue=True))
    assert opened.store.picks == tuple(range(9))
    assert "<b>9 atoms</b>" in opened.live.picked.text.object
    assert opened.live.picked.bar["plot"].off
    opened.live.picked.bar.press("clear")
    assert opened.store.picks == ()


def test_too_many_values_are_refused_and_none_is_half_there(opened):
    for other in range(1, 8):
        opened.store.picks = (0, other)
        opened.live.picked.bar._hear({"press": "plot"})
    assert "At most 7" in opened.desk.alert.sentence
    assert len(opened.store.observables) == 6
    assert {each.label for each in opened.store.observables} < set(opened.desk.plots.observed)


def test_a_pair_is_held_at_its_present_distance_and_atoms_where_they_are(opened):
    opened.store.picks = (0, 1)
    opened.frame(shift=0.05)
    opened.live.picked.spring.value = 5.0
    opened.live.picked.bar.press("distance")
    opened.store.picks = (2,)
    opened.live.picked.bar.press("here")
    pair, place = opened.store.restraints
    positions = opened.store.frame.positions
    assert isinstance(pair, DistanceRestraint)
    assert isinstance(place, PositionRestraint)
    assert pair.nm == pytest.approx(float(np.linalg.norm(positions[0] - positions[1])), rel=1e-6)
    assert pair.stiffness == pytest.approx(5.0 * PER_KCAL) == pytest.approx(5 * 4.184 * 100)
    np.testing.assert_allclose(place.positions, positions[[2]])
    assert opened.run.told[-1] == ("restrain", (pair, place))


def test_what_cannot_be_held_says_why(bench):
    bench.open(structure=frozen(ETHANOL, 0, 1))
    bench.frame()
    bench.store.picks = (0,)
    assert bench.live.picked.bar["here"].off == "C1 is frozen and never moves."
    assert bench.live.picked.bar["distance"].off == "Pick two atoms; 1 picked."
    bench.store.picks = (0, 1)
    assert "frozen" in bench.live.picked.bar["distance"].off
    bench.live.picked.spring.value = None
    bench.store.picks = (5,)
    bench.live.picked.bar._hear({"press": "here"})
    assert "Enter a number" in bench.desk.alert.sentence
    with pytest.raises(SettingsError, match="1 are picked"):
        bench.live.stage.hold_distance(1000.0)


def test_stretch_is_the_length_of_a_pair_and_the_way_from_a_place():
    positions = np.array([[0.0, 0, 0], [0.95, 0, 0], [0.5, 0.5, 0.5]])
    pair = DistanceRestraint(atoms=(0, 1), nm=0.2)
    assert stretch(pair, positions) == pytest.approx(0.95)
    assert stretch(pair, positions, np.eye(3)) == pytest.approx(0.05)
    place = PositionRestraint(atoms=(0, 2), positions=((0.3, 0, 0), (0.5, 0.5, 0.1)))
    assert stretch(place, positions) == pytest.approx(np.sqrt((0.09 + 0.16) / 2))


# -- pulling ---------------------------------------------------------------------------------------------------------------------


def test_a_pull_reaches_the_run_and_its_force_stands_beside_the_spring(opened):
    pull(opened, "start", "move")
    opened.frame(pull_force=7.2, pull_work=13.4)
    assert opened.pane.spring_label == "12 pN (0.17 kcal/mol/\u00c5), work 3.2 kcal/mol"
    pull(opened, "end")
    assert opened.run.told[-3:] == [("pull", 2, HERE), ("pull", 2, HERE), "release"]
    assert opened.pane.spring_label == ""


def test_a_run_that_waits_plays_while_it_is_pulled(opened):
    opened.run.now = Status("paused", "Paused")
    opened.desk.refresh()
    pull(opened, "start", "move", "end")
    assert opened.run.told[-5:] == [("pull", 2, HERE), "play", ("pull", 2, HERE), "release", "pause"]


def test_a_frozen_atom_is_refused_in_words_and_once(bench):
    bench.open(structure=frozen(ETHANOL, 2))
    bench.run.told.clear()
    pull(bench, "start")
    assert "frozen" in bench.pane.spring_label
    assert "O3" in bench.desk.alert.sentence
    bench.desk.alert.dismiss()
    pull(bench, "move", "move", "end")
    assert bench.run.told == []
    assert not bench.desk.alert.visible


@pytest.mark.parametrize("state", ["failed", "lost", "preparing"])
def test_what_does_not_move_is_not_pulled(opened, state):
    opened.say(state=state, message="Something.")
    told = list(opened.run.told)
    pull(opened, "start")
    assert opened.pane.spring_label
    pull(opened, "move", "end")
    assert opened.run.told == told


def test_another_run_on_the_board_is_not_touched(opened):
    told = list(opened.run.told)
    opened.store.compared = (1, 2)
    pull(opened, "start", "move", "end")
    opened.live.stage.pick(Pick(0))
    assert (opened.run.told, opened.store.picks) == (told, ())


def test_the_present_run_is_back_as_it_is_when_the_board_is_left(opened):
    serial = opened.pane.scene["serial"]
    opened.store.compared = (1, 2)
    opened.frame(shift=0.2)
    opened.desk.viewer.show_many([(opened.store.structure, (), "a"), (opened.store.structure, (), "b")])
    opened.store.compared = ()
    scene = opened.pane.scene
    assert (len(scene["cells"]), scene["serial"]) == (1, serial + 2)
    first = float(next(line for line in scene["cells"][0]["pdb"].splitlines() if line.startswith(("ATOM", "HETATM")))[30:38])
    assert first == pytest.approx(10 * float(opened.store.frame.positions[0, 0]), abs=0.002)


# -- what is wrong ---------------------------------------------------------------------------------------------------------------


def doubt(action):
    return Doubt("broken", "The bond C1-C2 is broken.", (0, 1), 2.0, 1.5, action)


def test_a_doubt_that_pauses_has_two_ways_out_and_marks_its_atoms(opened):
    opened.run.doubts = (doubt("pause"),)
    opened.say(state="paused", message="At 1.5 ps: broken", doubts=opened.run.doubts)
    alert = opened.desk.alert
    assert "C1-C2" in alert.sentence
    assert [button.label for button in alert[1] if button.visible] == ["Go on anyway", "Back to the checkpoint", "Dismiss"]
    assert opened.pane.warned == [0, 1]
    pull(opened, "start")
    assert opened.pane.spring_label == "paused in doubt: go on first"
    alert[1][1].clicks += 1
    assert opened.run.told[-1] == "rollback"
    assert opened.pane.warned == []


def test_going_on_takes_the_doubt_away(opened):
    opened.run.doubts = (doubt("pause"),)
    opened.say(state="paused", doubts=opened.run.doubts)
    opened.run.now = Status("playing")
    opened.desk.refresh()
    assert not opened.desk.alert.visible


def test_a_lost_worker_can_be_recovered(opened):
    opened.say(state="lost", message="The worker was ended by signal 9.")
    opened.desk.alert[1][0].clicks += 1
    assert "recover" in opened.run.told


def test_what_was_said_of_the_run_before_goes_with_it(opened):
    opened.say(state="lost", message="The worker was ended by signal 9.")
    opened.open()
    assert not opened.desk.alert.visible


# -- tools -----------------------------------------------------------------------------------------------------------------------


def test_modes_are_buttons_keys_and_python(opened):
    opened.live.tools.press("pull")
    assert (opened.live.mode, opened.pane.mode) == ("pull", "pull")
    assert [tool.name for tool in opened.live.tools._tools.values() if tool.pressed] == ["pull"]
    opened.pane.mode = "look"  # Escape in the picture
    assert opened.live.tools["look"].pressed
    assert opened.live.tools["pick"].keys == ("2", "p")
    opened.live.hydrogens = "none"
    assert opened.pane.hydrogens == "none"


def test_styles_survive_another_molecule(opened):
    opened.live.tools.press("style")
    assert opened.live.style.visible
    opened.live.style[2].value = False
    opened.open(ETHANOL.model_copy(update={"timestep": 1.0}))
    assert (opened.pane.cartoon, opened.live.style[2].value) == (False, False)


def test_a_picture_is_saved_or_its_lack_explained(opened):
    sent, asked = [], []
    opened.live.tools.panel._send_msg = sent.append

    async def scene(outcome):
        opened.desk.viewer.snapshot = lambda width: asked.append(width) or outcome
        opened.live.tools.press("picture")
        await asyncio.sleep(0)

    async def both():
        good, bad = asyncio.get_running_loop().create_future(), asyncio.get_running_loop().create_future()
        good.set_result(b"png")
        bad.set_exception(SettingsError("The 3D view gave no picture."))
        await scene(good)
        await scene(bad)

    opened.do(both)
    assert sent == [{"file": b"png", "name": "potential-studio-run-1.png", "mime": "image/png"}]
    assert opened.desk.alert.sentence == "The 3D view gave no picture."


def test_an_empty_view_offers_what_it_can(bench):
    assert bench.live.tools["centre"].off == "Nothing is shown yet."
    assert not bench.live.picked.panel.visible


def test_waiting_tells_how_long_and_can_be_called_off(opened):
    opened.ready = False
    opened.do(opened.store.open(ETHANOL, "Again"))
    opened.desk.refresh()
    assert opened.live.waiting.panel.visible
    assert "Preparing the system" in opened.live.waiting.text.object
    assert opened.live.tools["look"]
    opened.live.waiting.bar.press("cancel")
    opened.desk.refresh()
    assert not opened.live.waiting.panel.visible


def test_the_rest_is_guessed_from_the_way_so_far():
    remaining = Remaining()
    assert remaining(0.1, 0.0) is None
    assert remaining(0.2, 1.0) is None
    assert remaining(0.3, 10.0) == pytest.approx(35.0)
    assert remaining(0.05, 11.0) is None
    assert [duration(seconds) for seconds in (3, 33, 85, 200)] == ["a few seconds", "about 35 s", "about 85 s", "about 3 min"]


def test_words_of_a_pull_are_signed(opened):
    assert "work \u22122.0 kcal/mol" in effort(replace(opened.store.frame, pull_work=-8.368))
