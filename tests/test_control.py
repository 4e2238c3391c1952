"""The run's controls without a browser: orders, the thermostat, what is held, what is off and why."""

import pytest

from studio.errors import SettingsError
from studio.steering import DistanceRestraint, PositionRestraint
from tests.live_bench import ETHANOL, Bench
from widgets.control import RunControl
from widgets.words import card_of, figures, table_of


@pytest.fixture
def bench(tmp_path, monkeypatch):
    bench = Bench(tmp_path, monkeypatch)
    bench.control = RunControl(bench.desk)
    yield bench
    bench.store.close()


@pytest.fixture
def opened(bench):
    bench.open()
    bench.frame()
    return bench


def test_each_button_is_an_order(opened):
    for name in ("step", "undo", "reset"):
        opened.control.bar.press(name)
    assert opened.run.told[-3:] == ["step", "undo", "reset"]
    assert [tool.keys for tool in opened.control.bar._tools.values()] == [(" ",), (".",), ("z",), ()]


def test_one_button_plays_pauses_and_recovers(opened):
    bar = opened.control.bar
    assert bar["play"].label == "Pause"
    bar.press("play")
    opened.desk.refresh()
    assert (opened.run.told[-1], bar["play"].label) == ("pause", "Play")
    opened.control.play()
    assert opened.run.told[-1] == "play"
    opened.say(state="lost", message="gone")
    assert (bar["play"].label, bar["play"].off) == ("Recover", "")
    bar.press("play")
    assert "recover" in opened.run.told


def test_what_is_off_says_why_and_does_nothing(bench):
    assert {tool.off for tool in bench.control.bar._tools.values()} == {"Open a system first."}
    bench.control.bar.press("step")
    bench.open()
    bench.say(state="failed", message="Blew up.")
    told = list(bench.run.told)
    bench.control.bar.press("step")
    assert bench.run.told == told
    assert "checkpoint" in bench.control.bar["step"].off
    assert bench.control.bar["play"].off == ""


def test_the_clock_says_when_and_what_happened(opened):
    opened.say(state="paused", message="Back at 1.20 ps")
    assert "<em>Back at 1.20 ps</em>" in opened.control.clock.object
    assert "1.500</b> ps" in opened.control.clock.object


def test_the_temperature_reaches_the_run_and_both_widgets(opened):
    control = opened.control
    control.kelvin.value = 450.0
    assert opened.run.told[-1] == ("temperature", 450.0)
    assert control.slider.value == 450.0
    control.temperature = 900.0
    assert (control.kelvin.value, control.slider.value) == (900.0, 600.0)
    control.slider.value = 300.0
    assert (opened.store.temperature, control.kelvin.value) == (300.0, 300.0)


@pytest.mark.parametrize("kelvin", [-5.0, 0.0, 10_000.0, float("nan"), None])
def test_a_temperature_that_cannot_be_is_refused_and_the_old_one_stays(opened, kelvin):
    told = list(opened.run.told)
    opened.control.kelvin.value = kelvin
    assert opened.desk.alert.sentence.startswith("Temperature, K: expected")
    assert (opened.store.temperature, opened.control.kelvin.value, opened.run.told) == (300.0, 300.0, told)


def test_friction_and_pace_reach_the_run(opened):
    opened.control.per_ps.value = 5.0
    opened.control.pace_slider.value = 10.0
    assert opened.run.told[-2:] == [("friction", 5.0), ("pace", 10.0)]
    opened.control.pace = None
    assert opened.run.told[-1] == ("pace", None)
    assert opened.control.pace_slider.value is None
    opened.control.pace = 12.0
    assert opened.control.pace_slider.value == 10.0
    assert opened.store.pace == 12.0
    with pytest.raises(SettingsError):
        opened.control.friction = -1.0
    assert opened.control.friction == 5.0


def test_another_time_step_is_another_run_of_the_same_atoms(opened):
    assert opened.control.step_field.value == opened.store.frame.timestep
    opened.do(opened.control.set_timestep(0.5))
    opened.desk.refresh()
    assert (opened.store.recipe.timestep, len(opened.runs)) == (0.5, 2)
    assert opened.control.step_field.value == 0.5
    opened.do(opened.control.set_seed(7))
    opened.desk.refresh()
    assert (opened.store.recipe.seed, opened.store.recipe.timestep, opened.control.seed.value) == (7, 0.5, 7)


def test_a_time_step_out_of_range_is_refused_and_the_field_goes_back(opened):
    async def enter():
        opened.control.step_field.value = -1.0

    opened.do(enter)
    assert "timestep" in opened.desk.alert.sentence
    assert opened.control.step_field.value == opened.store.frame.timestep
    assert len(opened.runs) == 1


def test_what_is_held_is_listed_with_its_value_and_can_be_let_go(opened):
    held = opened.control.held
    assert "Nothing is held" in held.hand.object
    place = tuple(float(x) for x in opened.store.structure.positions[0])
    opened.store.restrain((DistanceRestraint(atoms=(1, 2), nm=0.2), PositionRestraint(atoms=(0,), positions=(place,))))
    opened.frame(shift=0.03)
    pair, kept = (row[0].object for row in held.list)
    assert "<b>C2\u2013O3</b> at 2.00 \u00c5" in pair
    assert "<b>C1</b> in place, 0.30 \u00c5 off now" in kept
    assert "2.4 kcal/mol/\u00c5\u00b2" in pair
    held.remove(0)
    assert [each.kind for each in opened.store.restraints] == ["position"]
    held.release()
    assert (opened.store.restraints, len(held.list)) == ((), 0)
    assert opened.run.told[-1] == ("restrain", ())


def test_a_recipe_brings_its_restraints(bench):
    bench.open(ETHANOL.model_copy(update={"restraints": (DistanceRestraint(atoms=(0, 2), nm=0.25),)}))
    assert len(bench.control.held.list) == 1


def test_numbers_have_units_and_the_same_number_stands_once(opened):
    assert figures(-1566.13, 1) == "\u22121\u2009566.1"
    table = table_of(opened.store.frame)
    assert "1.500</td><td>ps" in table
    assert "Potential</th><td>2.4</td><td>kcal/mol" in table
    assert "MM</th>" not in table
    assert "Pull" not in table
    opened.frame(energies={"potential": 5.0, "network": 3.0, "mm": 2.0, "pull": 4.184, "restraint": 0.0, "kinetic": 1.0})
    assert "MM</th>" in opened.control.numbers.object
    assert "Pull</th><td>1.0" in opened.control.numbers.object


def test_the_card_says_what_a_chemist_asks(opened):
    text = card_of(opened.desk.cards["so3lr"])
    for word in ("Elements", "charged", "MIT", "doi"):
        assert word in text
    assert card_of(None) == ""
