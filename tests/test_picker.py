"""The region picker without a browser: drafts, set algebra, the card, and what reaches the run - over runs that nobody computes, on a real pocket."""

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from studio.errors import RegionError, UnsupportedError
from studio.hybrid.boundary import cap
from studio.hybrid.view import View
from studio.library import Library
from studio.measure import Speed
from studio.recipes.dynamics import Dynamics
from studio.region import Atoms, KindIs, Ligand, ResidueIs, SideChain, Solute, Union
from studio.region_text import parse, to_text
from studio.system import EXAMPLES, FromSmiles, System
from studio.worker import Status
from tests.fake_runs import FakeRun
from widgets import picker as picking
from widgets import speed as speeding
from widgets.desk import Desk
from widgets.draft import DEEPEST, Draft, joined
from widgets.picker import RegionPicker
from widgets.speed import Stopwatch, told

POCKET = EXAMPLES["tyk2-pocket"].system
ETHANOL = System(source=FromSmiles(smiles="CCO"))
NEAR = "ligand or within 4 of ligand and sidechain minus resname PRO"


@pytest.fixture(scope="session")
def pocket():
    """A kinase pocket with its ligand and water, not relaxed: nothing here moves."""
    return POCKET.surroundings.surround(POCKET.source.build(POCKET.ph, POCKET.seed, POCKET.repairs), POCKET.seed)


class PreparedRun(FakeRun):
    """Ready at once, with the atoms that the recipe's view leaves."""

    def __init__(self, recipe, structure):
        view = recipe.view
        alone = view.resolution == "nnp"
        super().__init__(recipe, cap(structure, view.region.select(structure), view.link, view.charge, view.multiplicity).structure if alone else structure)
        self.given = structure


class Bench:
    """A desk with a part, and the runs that it asked for; nothing is measured, and nothing warms up."""

    def __init__(self, folder, monkeypatch, structures):
        for module in ("widgets.store.runs.prewarm", "widgets.speed.prewarm"):
            monkeypatch.setattr(module, lambda: None)
        self.desk, self.runs, self.said = Desk(Library(folder / "library")), [], []
        self.structures, self.store = structures, self.desk.store
        self.store._opening._launch = self.launch
        self.desk.alert.say = lambda sentence, *ways, **kinds: self.said.append(sentence)

    def launch(self, recipe, structure, folder):
        self.runs.append(PreparedRun(recipe, self.structures[recipe.system.source.kind] if structure is None else structure))
        return self.runs[-1]

    def do(self, *works):
        """Do each of `works` in an event loop, and let what follows from it happen."""

        async def all_of_it():
            for work in works:
                result = work()
                if asyncio.iscoroutine(result):
                    await result
                await settled()
                self.desk.refresh()
                await settled()

        with ThreadPoolExecutor(1) as pool:  # the thread of the tests may have a loop already: Playwright's
            return pool.submit(asyncio.run, all_of_it()).result()

    def open(self, view, system=POCKET, title="Pocket"):
        self.do(lambda: self.store.open(Dynamics(system=system, view=view), title))
        self.store.pause()
        self.store.refresh()


async def settled():
    """All that was begun meanwhile is done."""
    while len(asyncio.all_tasks()) > 1:
        await asyncio.gather(*(asyncio.all_tasks() - {asyncio.current_task()}))


@pytest.fixture
def asked(monkeypatch):
    """The measurements that were asked for; each is answered at once."""
    asked = []

    def measure(recipe, structure, **settings):
        asked.append((recipe, settings["again"]))
        return Speed(80.0, 4.0, 1700, 0.9, "Measured on this machine.")

    monkeypatch.setattr(speeding, "measure_speed", measure)
    return asked


@pytest.fixture
def bench(tmp_path, monkeypatch, pocket, asked):
    monkeypatch.setattr(picking, "PAUSE", 0.0)
    monkeypatch.setattr(picking, "REST", 0.0)
    bench = Bench(tmp_path, monkeypatch, {POCKET.source.kind: pocket})
    bench.picker = RegionPicker(bench.desk)
    yield bench
    bench.store.close()


@pytest.fixture
def picker(bench):
    bench.open(View(resolution="nnp/mm"))
    return bench.picker


# -- drafts ------------------------------------------------------------------------------------------------------------------------


def test_a_draft_changes_nothing_until_it_is_used_and_then_the_atoms_stay(bench, picker, pocket):
    runs = len(bench.runs)
    bench.do(lambda: setattr(picker, "region", NEAR))
    assert picker.drafting
    assert len(bench.runs) == runs
    assert bench.store.home.view.region == View().region
    bench.do(picker.use)
    assert to_text(bench.store.recipe.view.region) == to_text(parse(NEAR))
    assert bench.store.recipe.view.resolution == "nnp/mm"
    np.testing.assert_array_equal(bench.runs[-1].given.positions, pocket.positions)
    assert not picker.drafting


def test_discarding_goes_back(bench, picker):
    pane = bench.desk.viewer.pane
    pane.param.update(highlight=[1, 2], cuts=[])
    bench.do(lambda: setattr(picker, "region", "ligand or sidechain A:93"))
    assert set(pane.highlight) == set(picker.card.atoms.tolist())
    assert len(pane.cuts) == 1
    bench.do(picker.discard)
    assert (pane.highlight, pane.cuts) == ([1, 2], [])
    assert not picker.drafting
    assert picker.region == bench.store.home.view.region


def test_the_draft_glows_again_when_the_picture_was_drawn_anew(bench, picker, pocket):
    bench.do(lambda: setattr(picker, "region", "ligand"))
    glow = bench.desk.viewer.pane.highlight
    bench.desk.viewer.show(pocket, highlight=[5])
    bench.desk.refresh()
    assert bench.desk.viewer.pane.highlight == glow
    picker.discard()
    assert bench.desk.viewer.pane.highlight == [5]


def test_another_system_drops_the_draft(bench, picker):
    bench.structures[ETHANOL.source.kind] = ETHANOL.prepare()
    bench.do(lambda: setattr(picker, "region", "water"))
    bench.open(View(resolution="nnp"), ETHANOL, "Ethanol")
    assert not picker.drafting
    assert len(picker.card.atoms) == 9


def test_a_refused_run_leaves_the_draft(bench, picker):
    bench.do(lambda: setattr(picker, "region", "ligand or sidechain A:93"))
    launch = bench.launch

    def refusing(recipe, structure, folder):
        run = launch(recipe, structure, folder)
        run.now = Status("failed", "The network refuses.")
        return run

    bench.store._opening._launch = refusing
    bench.do(picker.use)
    assert picker.drafting
    assert bench.said == ["The network refuses. Nothing was changed."]
    assert bench.store.home.view.region == View().region


def test_steps_are_taken_back_and_again(bench, picker):
    bench.do(lambda: setattr(picker, "region", "ligand"), lambda: setattr(picker, "region", "water"))
    bench.do(picker.undo)
    assert picker.region == Ligand()
    bench.do(picker.undo)
    assert picker.region == View().region
    bench.do(picker.redo, picker.redo, picker.redo)
    assert picker.region == KindIs(of="water")
    assert picker.face.again.disabled


def test_keys_in_a_row_are_one_step():
    draft = Draft(View())
    for region in (Ligand(), Solute()):
        draft.describe({"region": region}, typing=True)
    draft.undo()
    assert draft.view == View()
    draft.redo()
    assert draft.view.region == Solute()


# -- words -------------------------------------------------------------------------------------------------------------------------


def test_what_is_typed_is_read_and_a_mistake_is_shown_in_its_place(bench, picker):
    field = picker.field
    bench.do(lambda: setattr(field.input, "value_input", "ligand or sidechain A:93"))
    assert picker.region == Union(parts=(Ligand(), SideChain(number="93", chain="A")))
    bench.do(lambda: setattr(field.input, "value_input", "ligand or watr <b>"))
    assert "ligand or <mark>watr</mark> &lt;b&gt;" in field.wrong.object
    assert "Did you mean &#x27;water&#x27;?" in field.wrong.object
    assert picker.region == Union(parts=(Ligand(), SideChain(number="93", chain="A"))), "the last region that was right stays"
    assert picker.face.use.disabled
    bench.do(lambda: setattr(field.input, "value_input", "ligand  or  water"))
    assert not field.wrong.visible
    assert field.text == "ligand  or  water", "what is typed keeps its spaces"


def test_a_region_set_from_python_is_put_in_words(bench, picker):
    bench.do(lambda: setattr(picker, "text", "chain A and element C"))
    assert picker.field.text == picker.text == "chain A and element C"
    with pytest.raises(RegionError, match="expected"):
        picker.region = "ligand or"


# -- quick ways --------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("start", "part", "how", "text"),
    [
        ("focus", Ligand(), "add", "ligand"),
        ("focus", KindIs(of="water"), "add", "ligand or water"),
        ("ligand", Solute(), "add", "solute"),
        ("ligand", ResidueIs(number="93"), "add", "ligand or residue 93"),
        ("ligand or residue 93", Ligand(), "add", "ligand or residue 93"),
        ("ligand", KindIs(of="water"), "remove", "ligand"),
        ("ligand or residue 93", Ligand(), "remove", "(ligand or residue 93) minus ligand"),
        ("solute", Ligand(), "keep", "ligand"),
        ("ligand", Solute(), "keep", "ligand"),
        ("protein", ResidueIs(name="LYS"), "replace", "resname LYS"),
        ("atoms 1,2", Atoms(indices=(2, 3)), "add", "atoms 1-4"),
        ("atoms 1-4", Atoms(indices=(1, 2)), "remove", "atoms 1,4"),
        ("protein minus resname PRO", ResidueIs(name="LYS"), "remove", "protein minus (resname PRO or resname LYS)"),
    ],
)
def test_regions_are_joined_as_plainly_as_these_atoms_allow(pocket, start, part, how, text):
    assert to_text(joined(parse(start), part, how, pocket)) == text


def test_many_clicks_still_give_a_region_that_can_be_read(pocket):
    region = parse("protein")
    for number in range(88, 104):
        region = joined(region, ResidueIs(number=str(number)), "remove", pocket)
        region = joined(region, SideChain(number=str(number)), "add", pocket)
    assert parse(to_text(region)).select(pocket).tolist() == region.select(pocket).tolist()
    assert len(to_text(region)) < 4000
    assert DEEPEST < 40


def test_side_chains_near_the_ligand_make_a_region_that_can_be_used(bench, picker, pocket):
    bench.do(lambda: picker.chooser.take(picker.chooser.side_chains))
    assert picker.card.atoms.tolist() == parse(NEAR).select(pocket).tolist()
    assert picker.problem == ""
    assert len(picker.card.cuts) > 5
    assert not picker.face.use.disabled


def test_picks_in_the_picture_choose_atoms_residues_and_side_chains(bench, picker, pocket):
    atom = pocket.names.index("CB")
    residue = pocket.residue_of(atom)
    picker.chooser.join.value = "replace"
    assert picker.chooser.marked[0].disabled
    bench.store.picks = (atom,)
    assert str(residue.number) in picker.chooser.told.object
    assert not picker.chooser.marked[0].disabled
    for what, found in (("atoms", Atoms(indices=(atom,))), ("residues", ResidueIs(name=residue.name, number=residue.number, chain=residue.chain))):
        bench.do(lambda what=what: picker.chooser.take_picked(what))
        assert picker.region == found
    bench.do(lambda: picker.chooser.take_picked("side chains"))
    assert isinstance(picker.region, SideChain)
    bench.store.picks = ()
    with pytest.raises(RegionError, match="No atom is picked"):
        picker.chooser.take_picked("atoms")


def test_patterns_and_lists_choose_too(bench, picker, pocket):
    chooser = picker.chooser
    chooser.filter.value_input = "lys 93"
    assert chooser.residues.options == []
    chooser.filter.value_input = "val 93"
    assert chooser.residues.options == ["VAL A93"]
    chooser.residues.value = ["VAL A93"]
    bench.do(chooser.take_residues)
    assert "residue [VAL]A:93" in picker.text
    chooser.join.value = "replace"
    chooser.smarts.value_input = "c1ccccc1"
    bench.do(chooser.take_smarts)
    assert picker.text == 'smarts "c1ccccc1"'
    chooser.smarts.value_input = "c1cc"
    with pytest.raises(RegionError, match="is not a SMARTS pattern"):
        chooser.take_smarts()


def test_an_empty_part_is_refused_and_nothing_changes(bench, picker):
    with pytest.raises(RegionError, match="selects no atom"):
        picker.choose(lambda _structure, _region: ResidueIs(name="XYZ"))
    with pytest.raises(RegionError, match="selects no atom"):
        picker.choose(lambda _structure, region: region, "remove")
    assert not picker.drafting


# -- the card ----------------------------------------------------------------------------------------------------------------------


def test_the_card_tells_cuts_and_refusals_and_a_refused_draft_is_not_used(bench, picker):
    runs = len(bench.runs)
    bench.do(lambda: setattr(picker, "region", "ligand or within 4 of ligand"))
    assert "cuts an amide bond" in picker.problem
    assert "cuts an amide bond" in picker.face.told.object
    assert picker.face.use.disabled
    with pytest.raises(UnsupportedError, match="amide bond"):
        bench.do(picker.use)
    assert len(bench.runs) == runs


def test_a_cut_bond_that_is_chosen_picks_its_atoms(bench, picker):
    bench.do(lambda: setattr(picker, "region", "ligand or sidechain A:93"))
    assert list(picker.face.cuts.options) == ["VAL A93: CB\u2013CA (744\u2013742)"]
    picker.face.cuts.value = [0]
    cut = picker.card.cuts[0]
    assert bench.store.picks == (cut.inner, cut.outer)


def test_charge_and_multiplicity_are_told_to_the_network(bench, picker):
    bench.do(lambda: setattr(picker.form.charge, "value", 1), lambda: setattr(picker.form.multiplicity, "value", 2))
    assert (picker.view.charge, picker.view.multiplicity) == (1, 2)
    assert picker.card.charge == 1
    assert "closed-shell" in picker.problem
    bench.do(lambda: setattr(picker.form.potential, "value", "gfn2-xtb"), picker.use)
    view = bench.store.recipe.view
    assert (view.charge, view.multiplicity, view.potential) == (1, 2, "gfn2-xtb")
    bench.do(lambda: setattr(picker.form.multiplicity, "value", None))
    assert picker.view.multiplicity is None
    assert "cannot have multiplicity 1" in picker.problem


# -- more --------------------------------------------------------------------------------------------------------------------------


def test_embedding_polarisation_and_links_reach_the_recipe(bench, picker):
    form = picker.form
    assert form.polarisation.disabled
    bench.do(lambda: setattr(form.embedding, "value", "electrostatic"), lambda: setattr(form.polarisation, "value", "P1"))
    bench.do(lambda: setattr(form.link, "value", "scaled"), picker.use)
    view = bench.store.recipe.view
    assert (view.embedding, view.polarisation, view.link) == ("electrostatic", "P1", "scaled")
    bench.do(lambda: setattr(form.embedding, "value", "mechanical"))
    assert picker.view.polarisation == "none", "polarisation belongs to electrostatic embedding"


def test_a_second_region_has_a_potential_of_its_own(bench, picker):
    bench.do(lambda: picker._change(lambda draft: draft.add_fragment(Atoms(indices=()))))
    assert picker.face.which.visible
    bench.do(lambda: picker.choose(lambda _structure, _region: SideChain(number="93")), lambda: setattr(picker.form.potential, "value", "aimnet2"))
    assert picker.region == SideChain(number="93")
    bench.do(lambda: setattr(picker.face.which, "value", 0))
    assert picker.region == View().region
    bench.do(picker.use)
    view = bench.store.recipe.view
    assert [(each.potential, to_text(each.region)) for each in view.fragments] == [("so3lr", "focus"), ("aimnet2", "sidechain 93")]
    bench.do(lambda: setattr(picker.face.which, "value", 1), lambda: picker._change(Draft.drop_fragment))
    assert picker.view.also == ()


def test_regions_that_overlap_are_refused(bench, picker):
    bench.do(lambda: picker._change(lambda draft: draft.add_fragment(Ligand())))
    assert "two ML fragments" in picker.problem


def test_at_mm_a_region_is_used_by_nnp_mm_and_everything_by_nnp(bench):
    bench.structures[ETHANOL.source.kind] = ETHANOL.prepare()
    bench.open(View(resolution="mm"))
    bench.do(lambda: setattr(bench.picker, "region", "ligand"), bench.picker.use)
    assert bench.store.recipe.view.resolution == "nnp/mm"
    bench.open(View(resolution="mm"), ETHANOL, "Ethanol")
    bench.do(lambda: setattr(bench.picker, "region", "all"))
    assert "NNP" in bench.picker.face.use.label
    bench.do(bench.picker.use)
    assert bench.store.recipe.view.resolution == "nnp"


def test_where_only_the_region_is_shown_picks_and_glow_are_still_of_the_right_atoms(bench, picker, pocket):
    bench.do(lambda: setattr(picker, "region", "residue [LIG]A:1"), picker.use)
    from studio.levels import level

    bench.do(lambda: bench.store.turn(level("nnp")))
    ligand = pocket.atoms_of("ligand")
    assert len(bench.store.structure) == len(ligand) < len(pocket)
    bench.store.picks = (3,)
    picker.chooser.join.value = "replace"
    bench.do(lambda: picker.chooser.take_picked("atoms"))
    assert picker.region == Atoms(indices=(int(ligand[3]),))
    assert bench.desk.viewer.pane.highlight == [3]


# -- speed -------------------------------------------------------------------------------------------------------------------------


def test_a_draft_that_rests_is_measured_when_nothing_runs(bench, picker, asked):
    bench.do(lambda: setattr(picker, "region", "ligand or sidechain A:93"))
    assert [recipe.view.region for recipe, _ in asked] == [picker.region]
    assert "80</b> steps/s" in picker.face.pace.object
    assert "27.6" in picker.face.pace.object or "28</b> ns/day" in picker.face.pace.object
    assert picker.speed.steps_per_second == 80.0


def test_while_a_run_plays_nothing_is_measured_unasked(bench, picker, asked):
    bench.store.play()
    bench.store.refresh()
    bench.do(lambda: setattr(picker, "region", "ligand or sidechain A:93"))
    assert asked == []
    assert "pause it, or measure anyway" in picker.face.pace.object
    bench.do(picker.measure)
    assert len(asked) == 1
    bench.do(lambda: setattr(picker.face.measure, "clicks", 1))
    assert asked[-1][1], "a second time, it is measured anew"


def test_a_refused_draft_is_not_measured(bench, picker, asked):
    bench.do(lambda: setattr(picker, "region", "ligand or within 4 of ligand"))
    assert asked == []


def test_measurements_wait_for_each_other_and_can_be_called_off(monkeypatch):
    inside, most, stopped = [], [], []

    def slow(recipe, structure, *, cancelled, again):
        inside.append(recipe)
        most.append(len(inside))
        while not cancelled():
            stopped.append(threading.Event().wait(0.01))
        inside.remove(recipe)
        return Speed(refusal=speeding.STOPPED)

    monkeypatch.setattr(speeding, "measure_speed", slow)
    monkeypatch.setattr(speeding, "prewarm", lambda: None)

    async def scene():
        one, two = Stopwatch(), Stopwatch()
        tasks = [asyncio.create_task(each.measure(Dynamics(system=ETHANOL, seed=seed), None)) for seed, each in enumerate((one, two))]
        await asyncio.sleep(0.3)
        assert one.busy
        assert two.seconds > 0
        for each in (one, two):
            each.cancel()
        return await asyncio.gather(*tasks)

    with ThreadPoolExecutor(1) as pool:
        answers = pool.submit(asyncio.run, scene()).result()
    assert [answer.refusal for answer in answers] == [speeding.STOPPED] * 2
    assert max(most) == 1


def test_a_speed_is_said_in_numbers_and_a_refusal_in_words():
    text = told(Speed(12.34, 4.0, 100, 0.9, "Measured."))
    for part in ("81</b> ms/step", "12.3</b> steps/s", "4.3</b> ns/day", "90 % of the time"):
        assert part in text
    assert "No &lt;way&gt;" in told(Speed(refusal="No <way>"))


def test_before_anything_is_open_nothing_can_be_chosen(tmp_path, monkeypatch):
    bench = Bench(tmp_path, monkeypatch, {})
    picker = RegionPicker(bench.desk)
    assert picker.card is None
    assert picker.problem.startswith("Nothing is open")
    with pytest.raises(UnsupportedError, match="Build a system first"):
        picker.region = "ligand"
