"""The resolution dial without a browser: what each level says, what turning does, and that it shows what is - over runs that nobody computes."""

import asyncio
from dataclasses import replace

import pytest

from studio.errors import PluginError, UnsupportedError
from studio.frame import Frame
from studio.hybrid.view import View
from studio.levels import level
from studio.measure import Speed
from studio.region import KindIs
from studio.structure import Structure
from studio.worker import Status
from tests.test_picker import ETHANOL, POCKET, Bench, asked, pocket
from widgets import speed as speeding
from widgets.dial import LOOKING, Dial, row_of
from widgets.opening import Wish
from widgets.pieces import reasons_of
from widgets.sight import look_at, menu

__all__ = ["asked", "pocket"]


@pytest.fixture
def bench(tmp_path, monkeypatch, pocket, asked):
    bench = Bench(tmp_path, monkeypatch, {POCKET.source.kind: pocket})
    bench.dial = Dial(bench.desk)
    bench.open(View(resolution="nnp/mm"))
    yield bench
    bench.store.close()


@pytest.fixture
def dial(bench):
    return bench.dial


def rows(dial):
    return {row["name"]: row for row in dial.pane.rows}


def test_each_level_says_its_size_and_what_it_cannot_do_here(dial, pocket):
    assert list(rows(dial)) == ["nnp", "nnp/mm", "mm", "mm-implicit", "martini3", "learned", "go-ca", "calvados2"]
    assert rows(dial)["nnp"]["particles"] == str(len(pocket.atoms_of("ligand")))
    assert rows(dial)["mm"]["particles"].replace("\u2009", "") == str(len(pocket))
    assert "left out" in rows(dial)["nnp"]["hint"]
    assert rows(dial)["mm-implicit"]["blocked"]
    assert "pocket" in rows(dial)["mm-implicit"]["hint"]
    assert dial.level == "nnp/mm"


def test_turning_carries_the_atoms_over_and_says_so(bench, dial, pocket):
    moved = pocket.positions + 0.01
    bench.store.frame = Frame(step=1, time=0.1, positions=moved.astype("float32"))
    bench.do(lambda: dial.turn("mm"))
    assert (dial.level, bench.store.recipe.view.resolution) == ("mm", "mm")
    assert abs(bench.runs[-1].given.positions - moved).max() < 1e-5
    assert "1,721 atoms keep their places" in dial.note.object
    assert dial.note.visible
    bench.do(lambda: setattr(dial, "level", "nnp/mm"))
    assert bench.store.recipe.view.resolution == "nnp/mm"


def test_the_figures_of_one_system_are_never_shown_for_another(bench, dial, monkeypatch):
    """Rows of the system before would be read as those of the one that was just opened."""
    seen, shown = [], dial.pane.rows
    monkeypatch.setattr("widgets.dial.look_at", lambda recipe, whole: seen.append((dial.pane.rows, dial.pane.busy)) or look_at(recipe, whole))
    bench.structures[ETHANOL.source.kind] = Structure.from_smiles("CCO")
    bench.open(View(resolution="nnp"), ETHANOL, "Ethanol")
    assert seen == [([], LOOKING)]
    assert rows(dial)["nnp"]["particles"] == "9"
    bench.store._opening.wish = Wish(bench.store.recipe.model_copy(update={"system": POCKET}), "Pocket")
    dial.refresh()
    assert (dial.pane.rows, dial.pane.busy) == ([], LOOKING), "nor while another one is on its way"
    assert not dial.advice.visible
    bench.store._opening.wish = None
    dial.refresh()
    assert rows(dial)["nnp"]["particles"] == "9", "which came to nothing"
    assert shown != dial.pane.rows


def test_what_cannot_be_looked_at_is_not_looked_at_for_ever(bench, dial, monkeypatch):
    def refuse(_recipe, _whole):
        raise UnsupportedError("It cannot be prepared.")

    monkeypatch.setattr("widgets.dial.look_at", refuse)
    bench.structures[ETHANOL.source.kind] = Structure.from_smiles("CCO")
    bench.open(View(resolution="nnp"), ETHANOL, "Ethanol")
    assert (dial.pane.rows, dial.pane.busy) == ([], "")
    assert bench.said == ["It cannot be prepared."]


def test_the_note_belongs_to_one_turn(bench, dial):
    bench.do(lambda: dial.turn("mm"))
    bench.open(View(resolution="nnp/mm"))
    assert not dial.note.visible


def test_a_level_that_is_not_possible_is_refused_before_anything_starts(bench, dial):
    runs = len(bench.runs)
    with pytest.raises(UnsupportedError, match="A pocket is cut out"):
        bench.do(lambda: dial.turn("mm-implicit"))
    with pytest.raises(PluginError, match="No level is called 'c-alpha'"):
        bench.do(lambda: dial.turn("c-alpha"))
    assert (len(bench.runs), dial.level, dial.pane.wish) == (runs, "nnp/mm", "")


def test_after_a_refusal_the_dial_shows_what_is(bench, dial):
    launch, marks = bench.launch, []

    def refusing(recipe, structure, folder):
        marks.append(dial.pane.wish)
        run = launch(recipe, structure, folder)
        run.now = Status("failed", "The force field refuses.")
        return run

    bench.store._opening._launch = refusing
    bench.do(lambda: dial._hear({"type": "turn", "level": "mm"}))
    assert marks == ["mm"], "on its way, it is marked as such"
    assert bench.said == ["The force field refuses. Nothing was changed."]
    assert (dial.level, dial.pane.wish) == ("nnp/mm", "")
    dial._hear({"type": "turn", "level": 7})


def test_back_to_what_is_calls_off_what_was_on_its_way(bench, dial):
    launch = bench.launch

    def slow(recipe, structure, folder):
        run = launch(recipe, structure, folder)
        run.now = Status("preparing", "Working")
        return run

    bench.store._opening._launch = slow
    bench.do(lambda: dial.turn("mm"))
    assert bench.store.pending is not None
    assert dial.pane.wish == "mm"
    bench.do(lambda: dial.turn("nnp/mm"))
    assert bench.store.pending is None
    assert (dial.level, dial.pane.wish) == ("nnp/mm", "")


def test_another_potential_sees_the_same_atoms(bench, dial, pocket):
    assert dial.choice.value == "so3lr"
    bench.do(lambda: setattr(dial.choice, "value", "gfn2-xtb"))
    assert bench.store.recipe.view.potential == dial.potential == "gfn2-xtb"
    assert (bench.runs[-1].given.positions == pocket.positions).all()
    assert "GFN2-xTB" in dial.about.object or "xTB" in dial.about.object
    bench.do(lambda: dial.turn("mm"))
    assert dial.choice.disabled
    assert "This level uses no network" in dial.advice.object


def test_a_potential_that_cannot_is_refused_with_its_reason(bench, dial):
    missing = next(one for one in dial.sight.abilities if one.state == "needs package")
    assert missing.card.name in dial.choice.disabled_options
    with pytest.raises(UnsupportedError, match="pip install"):
        bench.do(lambda: dial.choose(missing.card.name))
    assert dial.choice.value == "so3lr"
    assert "pip install" in dial.others.object


def test_the_menu_keeps_what_is_chosen_whatever_it_can(pocket):
    abilities = look_at(*_recipe(KindIs(of="protein")), pocket).abilities
    assert not any(one.able for one in abilities)
    offered = menu(abilities, "so3lr")
    assert "so3lr" not in offered["disabled_options"]
    assert "SO3LR \u00b7 not this region" in offered["options"]
    assert menu((), "gone")["options"] == {"gone": "gone"}
    assert "can be used" in reasons_of(())


def _recipe(region):
    from studio.recipes.dynamics import Dynamics

    return (Dynamics(system=POCKET, view=View(resolution="nnp/mm", region=region)),)


def test_all_levels_are_measured_once_and_then_again(bench, dial, asked):
    bench.do(dial.measure)
    assert [recipe.view.resolution for recipe, _ in asked] == ["nnp", "nnp/mm", "mm", "beads", "beads", "beads"]
    assert not any(again for _, again in asked)
    assert (rows(dial)["mm"]["speed"], rows(dial)["mm"]["day"], rows(dial)["mm-implicit"]["speed"]) == ("80", "28", "")
    assert dial.measure_all.label == "Measure all again"
    bench.do(dial.measure)
    assert [again for _, again in asked[6:]] == [True] * 6


def test_measuring_stops_when_it_is_called_off_or_refused(bench, dial, monkeypatch):
    monkeypatch.setattr(speeding, "measure_speed", lambda *_args, **_settings: Speed(refusal="This machine is too small."))
    bench.do(dial.measure)
    assert all("too small" in row["hint"] for row in dial.pane.rows if not row["blocked"])
    monkeypatch.setattr(speeding, "measure_speed", lambda *_args, cancelled, **_settings: _patient(cancelled))

    async def scene():
        work = asyncio.create_task(dial.measure())
        await asyncio.sleep(0.2)
        bench.desk.refresh()
        try:
            assert dial.waiting.visible
            assert "NNP, 1 of 6" in dial.waiting.object
        finally:
            dial.stop.clicks += 1
            await work
        bench.desk.refresh()
        assert not dial.waiting.visible

    bench.do(scene)


def _patient(cancelled):
    while not cancelled():
        pass
    return Speed(refusal=speeding.STOPPED)


def test_the_level_that_runs_shows_how_fast_it_goes_now(bench, dial, pocket):
    bench.store.play()
    bench.store.refresh()
    frame = Frame(step=1, time=0.1, positions=pocket.positions.astype("float32"), speed=40.0, timestep=4.0)
    bench.store.frame = frame
    dial.refresh()
    assert rows(dial)["nnp/mm"]["speed"] == "40"
    bench.store.frame = replace(frame, speed=40.5)
    before = dial.pane.rows
    dial.refresh()
    assert dial.pane.rows is before, "a number that hardly changes is not sent again"
    bench.store.pause()
    bench.store.refresh()
    dial.refresh()
    assert rows(dial)["nnp/mm"]["speed"] == ""


def test_another_region_is_looked_at_anew(bench, dial, pocket):
    recipe = bench.store.recipe
    bench.do(lambda: bench.store.revise(recipe.model_copy(update={"view": recipe.view.model_copy(update={"region": KindIs(of="water")})})))
    assert rows(dial)["nnp"]["particles"] == str(len(pocket.atoms_of("water")))


def test_a_row_has_no_number_where_none_is_known(pocket):
    prospect = look_at(*_recipe(KindIs(of="water")), pocket).prospect("mm")
    assert prospect.level.title == level("mm").title
    assert (row_of(prospect)["speed"], row_of(prospect)["day"]) == ("", "")


def test_turning_to_beads_leaves_what_is_no_protein_behind(bench, dial):
    """The whole kinase comes along as beads; back up, the ligand has no place around them, and the run starts as prepared."""
    bench.do(lambda: dial.turn("go-ca"))
    recipe = bench.store.recipe
    assert (dial.level, recipe.view.resolution, recipe.view.clock) == ("go-ca", "beads", "CG time")
    assert recipe.system.surroundings.kind == "vacuum"
    assert dial.choice.disabled
    bench.do(lambda: dial.turn("nnp/mm"))
    assert dial.level == "nnp/mm"
    assert bench.store.recipe.view.clock == "time"
