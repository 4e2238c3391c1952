"""The builder in a real browser with the network cut off: typing, drawing, uploading good and bad files, picking atoms on paper."""

import time
from pathlib import Path

import panel as pn
import pytest
from conftest import wait_until

from studio.library import Library
from studio.worker import Status
from tests.fake_runs import FakeRun
from tests.molecule_files import PEPTIDE, atom
from tests.test_bad_input import MOLFILE
from widgets.builder import Builder
from widgets.desk import Desk

pytestmark = [pytest.mark.ui, pytest.mark.slow]

SCREENSHOTS = Path(__file__).parent / "screenshots"
BAD_FILES = {
    "empty.sdf": b"",
    "format.xyz": b"3\n\n",
    "binary.sdf": b"\x00\x01\x02\x03" * 100,
    "text.sdf": b"hello\n",
    "cut.sdf": MOLFILE[:-40].encode(),
    "counts.mol": MOLFILE.replace("  3  2  0", "  9  2  0").encode(),
    "valence.mol": MOLFILE.replace("  2  3  1", "  2  3  3").encode(),
    "text.mol2": b"hello\n",
    "bomb.sdf.gz": b"not packed at all",
    "text.pdb": b"hello\n",
    "latin.pdb": bytes(range(128, 256)) * 20,
    "cut.pdb": PEPTIDE[:1000].encode(),
    "text.cif": b"hello\n",
    "cut.cif": b"data_x\nloop_\n_atom_site.id\n",
    "unknown.pdb": atom("C1", "XYZ", "1", (0, 0, 0)).encode(),
    "\u2603 <b>x</b>.pdb": b"hello\n",
}
"""What people upload by mistake; each has to be answered by a sentence."""


class Worker(FakeRun):
    """Prepares as a worker does, and says what goes wrong as a worker says it."""

    def __init__(self, recipe, structure=None):
        super().__init__(recipe, structure)
        try:
            self.structure = structure or recipe.system.prepare()
        except Exception as error:
            self.now = Status("failed", str(error))


class App:
    """A page with nothing but the builder."""

    def __init__(self, folder, dark=True):
        self.folder, self.dark = folder, dark

    def page(self):
        self.desk = Desk(Library(self.folder / "library"), dark=self.dark)
        self.desk.store._opening._launch = lambda recipe, structure, folder: Worker(recipe, structure)
        self.builder = Builder(self.desk)
        return pn.Column(self.builder, width=290)

    @property
    def store(self):
        return self.desk.store

    @property
    def said(self):
        """What is said in place, and over the picture."""
        shown = self.builder.problem.object if self.builder.problem.visible else ""
        return shown + self.desk.alert.sentence


@pytest.fixture
def app(tmp_path, monkeypatch):
    monkeypatch.setattr("widgets.store.runs.prewarm", lambda: None)
    return App(tmp_path)


@pytest.fixture
def visit(app, serve, page):
    errors = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.set_viewport_size({"width": 330, "height": 980})
    page.goto(serve(app.page))
    page.get_by_text("Molecule from").wait_for()
    yield page
    assert errors == []


def source(page, name):
    page.get_by_role("radio", name=name, exact=True).check(force=True)


def shot(page, name):
    page.wait_for_timeout(400)
    page.screenshot(path=SCREENSHOTS / f"builder-{name}.png")


def test_a_molecule_is_typed_told_built_and_picked_on_paper(app, visit):
    source(visit, "SMILES")
    field = visit.get_by_label("Name or SMILES")
    field.click()
    field.press_sequentially("para", delay=30)
    visit.get_by_role("radio", name="paracetamol").check(force=True)
    visit.get_by_text("C8H9NO2").wait_for()
    field.press("Enter")
    wait_until(lambda: app.store.title == "paracetamol", visit)
    visit.locator(".atom").first.wait_for()
    place = next(index for index, number in enumerate(app.store.structure.numbers) if number == 7)
    visit.locator(f'.atom[data-atom="{place}"]').click()
    wait_until(lambda: app.store.picks == (place,), visit)
    assert visit.locator('.atom[aria-pressed="true"]').get_attribute("aria-label") == app.store.structure.names[place]
    visit.locator(".atom").first.focus()
    visit.keyboard.press("ArrowRight")
    visit.keyboard.press("Enter")
    wait_until(lambda: len(app.store.picks) == 2, visit)
    before = visit.locator(".paper svg").inner_html()
    visit.get_by_label("Atom numbers").check()
    wait_until(lambda: visit.locator(".paper svg").inner_html() != before, visit)
    shot(visit, "smiles")


def test_a_drawing_becomes_the_smiles_of_the_field(app, visit):
    visit.set_viewport_size({"width": 1280, "height": 800})
    source(visit, "Sketch")
    began = time.monotonic()
    visit.get_by_role("button", name="Draw it").click()
    take = visit.get_by_role("button", name="Use this molecule")
    wait_until(take.is_enabled, visit, 90)
    print(f"the sketcher opened in {time.monotonic() - began:.1f} s, in the browser {app.builder.sketch.sketcher.loading_ms} ms")
    board = visit.frames[-1]
    board.locator("[data-testid='template-0'], button[title*='Benzene']").first.click()
    box = visit.locator("iframe").bounding_box()
    visit.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    wait_until(lambda: board.evaluate("ketcher.getSmiles()") != "", visit)
    shot(visit, "sketcher")
    take.click()
    wait_until(lambda: app.builder.smiles.text.value_input, visit)
    assert app.builder.kind.value == "smiles"
    visit.get_by_text("C6H6").wait_for()
    assert visit.locator("dialog").count() == 0
    visit.get_by_role("button", name="Build", exact=True).click()
    wait_until(lambda: app.store.structure is not None and len(app.store.structure) == 12, visit)


def upload(page, name, data):
    page.locator("input[type=file]").set_input_files({"name": name, "mimeType": "application/octet-stream", "buffer": data})


def test_bad_files_are_answered_by_sentences_and_the_run_goes_on(app, visit):
    source(visit, "SMILES")
    visit.get_by_label("Name or SMILES").fill("CCO")
    visit.get_by_label("Name or SMILES").press("Enter")
    wait_until(lambda: app.store.status.state == "playing", visit)
    present = app.store.run
    source(visit, "File")
    for name, data in BAD_FILES.items():
        app.desk.alert.sentence = ""
        app.builder.problem.visible = False
        upload(visit, name, data)
        wait_until(lambda: app.said, visit)
        assert "Traceback" not in app.said, name
        assert "should not have" not in app.said, name
        wait_until(lambda: app.store.pending is None and app.store.status.state == "playing", visit)
        assert app.store.run is present, name
    shot(visit, "bad-file")


def test_one_of_many_molecules_is_found_and_built(app, visit, tmp_path):
    ligands = "".join(MOLFILE.replace("ethanol", f"ligand {number}") + "$$$$\n" for number in range(1, 301))
    source(visit, "File")
    upload(visit, "series.sdf", ligands.encode())
    visit.get_by_text("300 molecules").wait_for()
    visit.get_by_label("Find a molecule").fill("ligand 29")
    molecules = visit.get_by_label("Molecules of the file")
    wait_until(lambda: molecules.locator("option").count() == 11, visit)
    molecules.select_option(index=3)
    wait_until(lambda: app.store.title == "ligand 292", visit)
    visit.get_by_role("button", name="Next", exact=True).click()
    wait_until(lambda: app.store.title == "ligand 293", visit)
    shot(visit, "file")


def test_deeds_are_undone_on_a_light_page(tmp_path, monkeypatch, serve, page):
    monkeypatch.setattr("widgets.store.runs.prewarm", lambda: None)
    app = App(tmp_path, dark=False)
    page.set_viewport_size({"width": 330, "height": 1100})
    page.goto(serve(app.page))
    source(page, "File")
    upload(page, "wet.pdb", (PEPTIDE.replace("END", "") + atom("O", "HOH", "301", (20, 20, 20), serial=90) + "END\n").encode())
    page.get_by_text("What was done").wait_for()
    page.get_by_role("button", name="Leave it out").click()
    page.get_by_text("Undone:").wait_for()
    assert not app.store.structure.atoms_of("water").size
    shot(page, "deeds")
    page.get_by_role("button", name="Previous system").click()
    wait_until(lambda: app.store.structure.atoms_of("water").size, page)
