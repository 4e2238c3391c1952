"""The builder without a browser: what its forms say, what they open, and what a wrong entry costs - driven by hand over runs that nobody computes."""

import asyncio
import importlib.util
import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from studio.errors import PluginError, SettingsError, StructureError
from studio.hybrid.view import View
from studio.io import MAX_MEGABYTES
from studio.io.glance import completions, glance
from studio.library import Library
from studio.region import Atoms
from studio.system import EXAMPLES, FromFile, FromSequence, FromSmiles, FromTarget, Implicit, Pocket, System, Vacuum, WaterBox
from tests.fake_runs import FakeRun
from tests.molecule_files import PEPTIDE, atom
from widgets import sketcher
from widgets.builder import Builder, fitting
from widgets.desk import Desk
from widgets.upload import Upload, safe_name

PARACETAMOL = "CC(=O)Nc1ccc(O)cc1"


class PreparedRun(FakeRun):
    """It prepares the system at once."""

    def __init__(self, recipe, structure=None):
        super().__init__(recipe, structure or recipe.system.prepare())


class Bench:
    """A builder at a desk, and the systems that it had opened."""

    def __init__(self, folder, monkeypatch):
        monkeypatch.setattr("widgets.store.runs.prewarm", lambda: None)
        self.desk = Desk(Library(folder / "library"))
        self.desk.store._opening._launch = self.launch
        self.builder, self.store, self.opened = Builder(self.desk), self.desk.store, []

    def launch(self, recipe, structure, folder):
        self.opened.append(recipe)
        return PreparedRun(recipe, structure)

    def do(self, *works):
        """Do each of `works` in an event loop, and let the run that it asks for take over and its picture be drawn."""

        async def all_of_it():
            for work in works:
                await (work() if callable(work) else work)
                await settled()
                self.store.refresh()
                await settled()

        with ThreadPoolExecutor(1) as pool:  # the thread of the tests may have a loop already: Playwright's
            return pool.submit(asyncio.run, all_of_it()).result()


async def settled():
    """All that was begun meanwhile is done."""
    while len(asyncio.all_tasks()) > 1:
        await asyncio.gather(*(asyncio.all_tasks() - {asyncio.current_task()}))


@pytest.fixture
def bench(tmp_path, monkeypatch):
    bench = Bench(tmp_path, monkeypatch)
    yield bench
    bench.store.close()


@pytest.fixture
def series(tmp_path):
    """An SDF file with three molecules, the second of which cannot be used."""
    folder = Path(importlib.util.find_spec("openmmforcefields").origin).parent / "data" / "perses_jacs_systems" / "tyk2"
    first, second = (folder / "Tyk2_ligands_shifted.sdf").read_text().split("$$$$\n")[:2]
    path = tmp_path / "series.sdf"
    path.write_text(f"{first}$$$$\nbroken\n\n\nnonsense\nM  END\n$$$$\n{second}$$$$\n")
    return path


# -- what is opened ----------------------------------------------------------------------------------------------------------------


def test_an_example_is_opened_as_it_is_and_shown_in_the_form(bench):
    bench.do(bench.builder.open_example("aspirin-vacuum"))
    assert bench.opened[-1].system == EXAMPLES["aspirin-vacuum"].system == bench.builder.system
    assert (bench.store.title, bench.builder.examples.names.value) == ("Aspirin in vacuum", "aspirin-vacuum")
    with pytest.raises(PluginError, match="aspirin-vacuum"):
        bench.do(bench.builder.open_example("unobtainium"))


def test_a_name_and_its_smiles_are_the_same_molecule(bench):
    bench.do(bench.builder.open_name("Paracetamol"), bench.builder.open_smiles(PARACETAMOL))
    named, drawn = (recipe.system.source.smiles for recipe in bench.opened)
    assert glance(named).formula == glance(drawn).formula == "C8H9NO2"
    assert bench.store.title == PARACETAMOL


@pytest.mark.parametrize("text", ["C1CC", "C(C)(C)(C)(C)C", "", "unobtainium"])
def test_a_bad_smiles_is_refused_and_nothing_is_lost(bench, text):
    bench.do(bench.builder.open_smiles("ethanol"))
    with pytest.raises(StructureError):
        bench.do(bench.builder.open_smiles(text))
    assert (len(bench.opened), bench.store.title, bench.builder.smiles.text.value) == (1, "ethanol", text)


def test_a_peptide_is_built_from_its_letters(bench):
    bench.do(bench.builder.open_sequence("AG", n_cap="NH3", shape="helix"))
    source = bench.opened[-1].system.source
    assert source == FromSequence(sequence="AG", n_cap="NH3", shape="helix")
    assert [residue.name for residue in bench.store.structure.residues][:2] == ["ALA", "GLY"]
    with pytest.raises(SettingsError):
        bench.do(bench.builder.open_sequence("AG", n_cap="hat"))


def test_a_complex_begins_in_its_pocket_and_its_ligand_alone_in_vacuum(bench):
    builder = bench.builder
    builder.kind.value = "target"
    assert isinstance(builder.system.surroundings, Pocket)
    builder.complex.complex.on = False
    assert isinstance(builder.system.surroundings, Vacuum)
    builder.complex.target.value = "thrombin"
    assert all("kcal/mol" in label for label in builder.complex.ligand.options)
    assert builder.system.source.ligand in builder.complex.ligand.options.values()


# -- the form ----------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "system",
    [
        System(source=FromSmiles(smiles="CCO", protonation="at_ph"), surroundings=WaterBox(padding_nm=0.95, ionic_strength=0.15), ph=6.5),
        System(source=FromSequence(sequence="YGGFL", c_cap="COO"), surroundings=Implicit(model="obc2")),
        System(source=FromTarget(target="tyk2", ligand="ejm_42"), surroundings=Pocket(mobile_nm=0.6, shell_nm=0.4), seed=3),
        System(source=FromFile(path="/somewhere/x.pdb", ligand_smiles="CCO"), surroundings=Pocket()),
        EXAMPLES["tyk2-pocket"].system,
    ],
)
def test_what_is_put_into_the_form_comes_out_again(bench, system):
    bench.builder.system = system
    assert bench.builder.system == system


@pytest.mark.parametrize(("field", "value"), [("ph", 20.0), ("ph", None), ("padding", -1.0), ("padding", None), ("ions", 99.0)])
def test_a_number_out_of_range_is_a_sentence_and_nothing_is_opened(bench, field, value):
    builder = bench.builder
    builder.system = System(source=FromSmiles(smiles="CCO"), surroundings=WaterBox())
    form = builder if field == "ph" else builder.around
    getattr(form, field).value = value
    bench.do(lambda: _press(builder))
    assert bench.opened == []
    assert builder.problem.visible
    assert "expected" in builder.problem.object
    assert "Traceback" not in builder.problem.object


async def _press(builder):
    builder.go.clicks += 1
    await settled()


def test_what_belongs_to_a_source_is_shown_and_nothing_else(bench):
    builder = bench.builder
    for kind in builder.kind.options.values():
        builder.kind.value = kind
        assert [name for name, fold in builder._folds.items() if fold.visible] == [kind]
        assert builder.protonate.widget.visible == (kind in ("smiles", "file"))
    builder.kind.value = "smiles"
    assert "pocket" not in builder.around.kind.options.values()


def test_each_kind_of_source_keeps_its_own_surroundings(bench):
    builder = bench.builder
    builder.kind.value = "smiles"
    builder.around.kind.value = "water_box"
    builder.kind.value = "target"
    assert builder.around.kind.value == "pocket"
    builder.kind.value = "sequence"
    assert builder.around.kind.value == "water_box"


def test_a_molecule_is_told_while_it_is_typed(bench):
    smiles = bench.builder.smiles
    bench.do(lambda: _type(smiles, "CC(O)C(=O)[O-]"))
    assert (smiles.seen.formula, smiles.seen.charge, smiles.seen.heavy_atoms) == ("C3H5O3-", -1, 6)
    assert len(smiles.isomer.options) == 3
    smiles.isomer.value = smiles.seen.isomers[1]
    bench.builder.kind.value = "smiles"
    assert bench.builder.system.source.smiles == smiles.seen.isomers[1]
    bench.do(lambda: _type(smiles, "caff"))
    assert smiles.names.visible
    bench.do(lambda: _choose(smiles.names, "caffeine"))
    assert smiles.seen.formula == "C8H10N4O2"
    assert not smiles.isomer.visible


async def _type(form, text):
    form.text.value_input = text


async def _choose(widget, value):
    widget.value = value


def test_only_the_last_of_many_keys_is_looked_at(bench, monkeypatch):
    seen = []
    monkeypatch.setattr("widgets.sources.glance", lambda text: seen.append(text) or glance(text))

    async def hurry():
        for end in range(1, 5):
            bench.builder.smiles.text.value_input = "CCCO"[:end]

    bench.do(hurry)
    assert seen == ["CCCO"]


def test_a_better_tautomer_is_offered_and_a_good_one_is_left_alone():
    assert glance("Oc1ccccn1").tautomers[0] == "O=c1cccc[nH]1"
    assert glance(PARACETAMOL).tautomers == ()
    assert glance(PARACETAMOL).isomers == ()


def test_names_are_completed_and_smiles_are_not():
    assert "aspirin" in completions("Aspi")
    assert completions("aspirin") == completions("C1CC") == completions("a") == ()


# -- files -------------------------------------------------------------------------------------------------------------------------


def test_of_several_molecules_one_is_chosen_and_the_next_button_leaves_out_bad_ones(bench, series):
    builder, form = bench.builder, bench.builder.file
    bench.do(builder.open_file(series))
    assert bench.opened == []
    assert (len(form.records), len(form.list.options)) == (3, 3)
    bench.do(lambda: _click(form.after), lambda: _click(form.after))
    assert [recipe.system.source.index for recipe in bench.opened] == [0, 2]
    assert form.after.disabled
    assert not form.before.disabled
    assert bench.store.title == form.records[2].title
    with pytest.raises(StructureError, match=r"Molecule 2 of 'series\.sdf' cannot be used"):
        bench.do(form.choose(1))
    assert (form.index, form.list.value) == (2, 2)


async def _click(button):
    button.clicks += 1


def test_the_filter_finds_molecules_by_name(bench, series):
    form = bench.builder.file
    bench.do(bench.builder.open_file(series))
    form.filter.value_input = form.records[2].title
    assert list(form.list.options.values()) == [2]


def test_a_bad_file_leaves_the_good_one_chosen(bench, series, tmp_path):
    form = bench.builder.file
    bench.do(bench.builder.open_file(series, index=0))
    for name, data in (("x.sdf", b""), ("../x.sdf", b"\x00\x01" * 50), ("x.xyz", b"3\n")):
        with pytest.raises(StructureError):
            bench.do(form.take(name, data))
    assert (form.path, form.index, len(bench.opened)) == (series, 0, 1)


@pytest.mark.parametrize(
    ("name", "safe"),
    [
        ("../../etc/passwd", "passwd"),
        ("a b\u00e9.SDF", "a_b.sdf"),
        ("C:\\x\\lig 1.pdb", "lig_1.pdb"),
        ("set 1.sdf.GZ", "set_1.sdf.gz"),
        (".sdf", "sdf"),
        ("", "molecule"),
        ("x" * 300 + ".cif", "x" * 60 + ".cif"),
    ],
)
def test_file_names_are_made_safe(name, safe):
    assert safe_name(name) == safe


def test_an_upload_comes_in_pieces_and_too_much_is_refused():
    files, refused = [], []
    upload = Upload(lambda *file: files.append(file), lambda *file: refused.append(file), [])
    upload.hear({"name": "a.sdf", "index": 0, "total": 2, "data": b"ab"})
    upload.hear({"name": "a.sdf", "index": 1, "total": 2, "data": b"cd"})
    assert files == [("a.sdf", b"abcd")]
    upload.hear({"name": "b.sdf", "refused": 200.0})
    for index in range(3):
        upload.hear({"name": "c.sdf", "index": index, "total": 4, "data": b"x" * int(MAX_MEGABYTES * 4e5)})
    assert [name for name, _ in refused] == ["b.sdf", "c.sdf"]
    upload.hear({"nonsense": True})
    assert len(files) == 1


# -- what was done, and steps back -------------------------------------------------------------------------------------------------


def test_water_of_a_file_is_left_out_on_request_and_taken_back(bench, tmp_path):
    (tmp_path / "wet.pdb").write_text(PEPTIDE.replace("END", "") + atom("O", "HOH", "301", (20, 20, 20), serial=90) + "END\n")
    bench.do(bench.builder.open_file(tmp_path / "wet.pdb"))
    tale, first = bench.builder.tale, bench.store.recipe.system
    assert bench.store.structure.atoms_of("water").size
    assert tale.list.title == f"What was done: {len(tale.deeds)}"
    bench.do(lambda: _undo(tale, "Leave it out"))
    assert not bench.store.structure.atoms_of("water").size
    undone = next(deed for deed in tale.deeds if "as you asked" in deed.sentence)
    assert tale.list.deeds[tale.deeds.index(undone)]["undone"]
    bench.do(lambda: _undo(tale, "Take it back in"))
    assert bench.store.structure.atoms_of("water").size
    assert bench.builder.system == bench.store.recipe.system == first


async def _undo(tale, action):
    tale.hear({"type": "undo", "deed": next(number for number, deed in enumerate(tale.deeds) if deed.action == action)})
    tale.hear({"type": "undo", "deed": 99})
    await settled()


def test_a_protonation_is_changed_by_the_deed_and_the_form_follows(bench):
    bench.do(bench.builder.open_smiles("CC(=O)O"))
    bench.do(lambda: _undo(bench.builder.tale, bench.builder.tale.deeds[0].action))
    assert bench.store.structure.charge == -1
    assert bench.builder.protonate.on


def test_steps_back_lead_to_the_systems_before(bench):
    builder = bench.builder
    bench.do(builder.open_smiles("C"), builder.open_smiles("CC"), builder.open_smiles("CCC"))
    assert not builder.previous.disabled
    bench.do(builder.back, builder.back)
    assert (bench.store.title, builder.smiles.text.value, builder.previous.disabled) == ("C", "C", True)
    bench.do(builder.back)
    assert bench.store.title == "C"


def test_a_refusal_by_the_worker_keeps_what_was_typed_and_the_way_back(bench):
    builder = bench.builder
    bench.do(builder.open_smiles("C"), builder.open_smiles("CC"))
    builder.smiles.fill("CCO")
    bench.store.refuse("Silicon is not known.")
    bench.store._go_on()
    assert (builder.smiles.text.value, bench.store.title, len(builder._history)) == ("CCO", "CC", 1)


def test_another_molecule_is_not_asked_for_the_old_region(bench):
    bench.do(bench.builder.open_smiles("CCO"))
    recipe = bench.store.recipe
    bench.store.recipe = recipe.model_copy(update={"view": View(resolution="nnp/mm", region=Atoms(indices=(0, 1)), charge=1)})
    bench.do(bench.builder.open_smiles("CC"))
    assert (bench.opened[-1].view.region, bench.opened[-1].view.charge) == (View().region, None)


@pytest.mark.parametrize(
    ("system", "was", "fits"),
    [
        (System(source=FromSmiles(smiles="C")), "nnp/mm", "nnp"),
        (System(source=FromSmiles(smiles="C"), surroundings=WaterBox()), "nnp", "nnp/mm"),
        (System(source=FromSmiles(smiles="C"), surroundings=WaterBox()), "mm", "mm"),
        (System(source=FromFile(path="x.mol2.gz")), "nnp/mm", "nnp"),
        (System(source=FromFile(path="x.pdb")), "nnp", "mm"),
        (System(source=FromSequence(sequence="AAA")), "nnp/mm", "mm"),
        (System(source=FromTarget(target="tyk2", ligand="a", complex=False)), "nnp/mm", "nnp"),
    ],
)
def test_a_new_system_begins_with_a_view_that_fits(system, was, fits):
    assert fitting(system, View(resolution=was)).resolution == fits


# -- the drawing and the sketcher --------------------------------------------------------------------------------------------------


def test_atoms_are_picked_in_the_drawing(bench):
    bench.do(bench.builder.open_smiles("CCO"))
    paper = bench.builder.tale.paper
    assert sorted(paper.atoms) == [0, 1, 2]
    assert [each["label"] for each in paper.pane.drawing["atoms"]] == list(bench.store.structure.names[:3])
    paper.hear({"type": "pick", "atom": 2})
    paper.hear({"type": "pick", "atom": 77})
    paper.hear({"nonsense": 1})
    assert bench.store.picks == (2,)
    assert paper.pane.picked == [2]
    bench.store.picks = ()
    assert paper.pane.picked == []


def test_the_drawing_travels_as_plain_data(bench):
    bench.do(bench.builder.open_smiles("CCO"))
    assert json.loads(json.dumps(bench.builder.tale.paper.pane.drawing))["atoms"][0]["index"] == 0


def test_the_region_is_marked_in_the_drawing_of_a_mixed_view(bench):
    bench.do(bench.builder.open_smiles("CCO"))
    recipe = bench.store.recipe
    bench.store.recipe = recipe.model_copy(update={"view": View(resolution="nnp/mm", region=Atoms(indices=(0, 2)))})
    assert bench.builder.tale.paper.pane.marked == [0, 2]


def test_the_sketcher_comes_in_pieces_and_its_absence_is_a_sentence(bench, monkeypatch):
    sent = []
    board = bench.builder.sketch.sketcher
    monkeypatch.setattr(board.pane, "_send_msg", sent.append)

    async def ask(name, piece):
        board.hear({"type": "need", "name": name, "piece": piece})
        await settled()

    bench.do(lambda: ask("widget.css", 0), lambda: ask("../../secret", 0), lambda: ask("widget.css", -1))
    assert [(each["name"], each["piece"]) for each in sent] == [("widget.css", 0)]
    assert len(sent[0]["data"]) <= sketcher.PIECE
    sketcher.packed.cache_clear()
    monkeypatch.setattr(sketcher.importlib.util, "find_spec", lambda _name: None)
    bench.do(lambda: ask("widget.js", 0))
    assert "pip install ketcher-anywidget" in sent[-1]["reason"]


def test_a_drawn_molecule_lands_in_the_field(bench):
    async def draw():
        bench.builder.sketch.sketcher.hear({"type": "taken", "smiles": "CC(N)=O"})

    bench.do(draw)
    assert (bench.builder.kind.value, bench.builder.smiles.text.value, bench.builder.smiles.seen.formula) == ("smiles", "CC(N)=O", "C2H5NO")
