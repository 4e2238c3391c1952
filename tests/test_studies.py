"""Studies on the page without a browser: the form and its answers, one at work and the next waiting, the list of runs, the report."""

import asyncio
import json
from importlib.metadata import EntryPoint
from time import monotonic

import numpy as np
import pytest

from studio import plugins
from studio.errors import SettingsError, WorkerError
from studio.hybrid.view import View
from studio.library import Library
from studio.recipes.dynamics import Dynamics
from studio.report import Painted, Report
from studio.result import Result
from studio.study import Inquiry
from studio.system import FromSmiles, FromTarget, System
from studio.units import NM_PER_ANGSTROM
from tests.fake_runs import FakeRun
from tests.molecule_files import sdf
from tests.report_samples import molecule, sample
from tests.study_recipes import ALL, Counting
from widgets.desk import Desk
from widgets.inquiries import inquiries
from widgets.limits import Limits
from widgets.notebook import _bundle
from widgets.report_data import between, colours_of, plain, range_of, target_of
from widgets.reporting import Reporting, show_report
from widgets.runs import Runs
from widgets.stage import stage_of
from widgets.studies import Studies
from widgets.visitors import Visitors

ASPIRIN = System(source=FromSmiles(smiles="CC(=O)Oc1ccccc1C(=O)O"))


class Bench:
    """A desk with studies, reports and the list, about aspirin, which runs."""

    def __init__(self, folder, owner=""):
        self.library = Library(folder / "data", patience=2.0)
        self.desk = Desk(self.library, owner, launch=lambda recipe, _structure, _folder: FakeRun(recipe, molecule()))
        self.store = self.desk.store
        self.stage, self.studies, self.reporting, self.runs = stage_of(self.desk), Studies(self.desk), Reporting(self.desk), Runs(self.desk)

    async def settle(self):
        await asyncio.sleep(0)
        while self.desk.guard._tasks:
            await asyncio.gather(*self.desk.guard._tasks)
        self.studies.refresh()

    async def open(self, system=ASPIRIN, title="Aspirin"):
        await self.store.open(Dynamics(system=system, view=View(resolution="nnp")), title)
        self.store.refresh()
        await self.settle()

    async def until(self, condition, seconds=30.0):
        end = monotonic() + seconds
        while not condition():
            assert monotonic() < end, "waited in vain"
            await asyncio.sleep(0.05)
            await self.settle()

    async def ask(self, parts=3, seconds=0.0):
        self.studies.ask("counting")
        self.studies.answer("parts", parts)
        self.studies.answer("tempo.seconds", seconds)
        number = await self.studies.start()
        await self.settle()
        return number

    def state(self, number):
        return next(job.standing.state for job in self.studies.jobs if job.number == number)


@pytest.fixture(autouse=True)
def registered(monkeypatch):
    """The studies of the tests beside the built-in ones; whatever works at the end is ended."""
    real = plugins.entry_points
    points = tuple(EntryPoint(name, value, "studio.recipes") for name, value in ALL.items())
    monkeypatch.setattr(plugins, "entry_points", lambda group: (*real(group=group), *points) if group == "studio.recipes" else real(group=group))
    monkeypatch.setattr("widgets.store.runs.prewarm", lambda: None)
    yield
    inquiries.close()


@pytest.fixture
def bench(tmp_path):
    return Bench(tmp_path)


# -- the form ------------------------------------------------------------------------------------------------------------


def test_the_form_asks_what_the_recipe_has_titles_for(bench):
    bench.studies.ask("counting")
    fields = {field["name"]: field for field in bench.studies.pane.fields}
    assert [field["more"] for field in fields.values()] == [True, *[False] * 3, *[True] * 4]
    assert {"value": "mm", "title": "MM (OpenFF Sage)"} in fields["potentials"]["choices"]
    assert fields["medium"]["choices"][1] == {"value": "water", "title": "Water"}
    assert bench.studies.pane.about == "Counts up to a number, in no time."
    with pytest.raises(SettingsError, match=r"'nothing' is not a study. Expected one of .*counting"):
        bench.studies.ask("nothing")


def test_what_cannot_be_asked_now_is_a_sentence(bench):
    bench.studies.ask("counting")
    assert "Open a molecule first" in bench.studies.pane.subject["off"]
    with pytest.raises(SettingsError, match="Open a molecule first"):
        _ = bench.studies.recipe
    bench.studies.ask("looking")
    assert "Nothing is recorded yet" in bench.studies.pane.subject["off"]


def test_a_wrong_answer_stands_at_its_field_and_stops_the_start(bench):
    async def act():
        await bench.open()
        bench.studies.ask("counting")
        bench.studies._hear({"type": "answer", "name": "parts", "value": 0})
        assert bench.studies.pane.problems == {"parts": "Expected greater than or equal to 1, got 0."}
        bench.studies._hear({"type": "answer", "name": "potentials", "value": []})
        assert set(bench.studies.pane.problems) == {"parts", "potentials"}
        with pytest.raises(SettingsError, match="got 0"):
            await bench.studies.start()
        assert bench.studies.jobs == ()

    asyncio.run(act())


def test_the_molecule_that_is_open_is_the_subject(bench):
    async def act():
        await bench.open()
        bench.studies.ask("counting")
        assert bench.studies.recipe == Counting(system=ASPIRIN)
        assert bench.studies.pane.subject["title"] == "Aspirin"

    asyncio.run(act())


def test_a_series_is_that_of_the_target_or_an_uploaded_file(bench, tmp_path):
    async def act():
        await bench.open(System(source=FromTarget(target="mcl1", ligand="26", complex=False)), "MCL1")
        bench.studies.ask("several")
        assert bench.studies.pane.subject["choices"][0]["value"] == "target:mcl1"
        assert bench.studies.upload.pane.visible
        text = "".join(sdf(molecule(), name) for name in ("one", "two"))
        await bench.studies.take("my ligands.sdf", text.encode())
        assert bench.studies.pane.subject["value"].endswith("my_ligands.sdf")
        assert bench.studies.recipe.source.kind == "records"
        number = await bench.studies.start()
        await bench.until(lambda: bench.state(number) == "done")
        assert bench.library.get(number).title == "Count a series: my_ligands.sdf"
        assert Result.kept(bench.library.get(number).folder).values == {"ligands": 2.0}

    asyncio.run(act())


# -- at work -------------------------------------------------------------------------------------------------------------


def test_it_works_beside_the_run_and_the_next_one_waits(bench):
    async def act():
        await bench.open()
        first = await bench.ask(parts=30, seconds=0.1)
        second = await bench.ask(parts=2)
        await bench.until(lambda: bench.state(first) == "running")
        assert bench.state(second) == "waiting"
        waiting = next(row for row in bench.studies.pane.jobs if row["number"] == second)
        assert waiting["words"] == f"Waits until study {first} has ended"
        with pytest.raises(Exception, match="open in another window"):
            bench.library.claim(first)
        assert "pause" not in bench.store.run.told
        bench.studies.cancel(first)
        await bench.until(lambda: bench.state(first) == "stopped" and bench.state(second) == "done")
        assert bench.store.status.state == "playing"
        await bench.until(lambda: bench.library.get(second).status == "done" and bench.library.get(first).status == "stopped")
        bench.library.claim(first).release()
        await bench.studies.resume(first)
        await bench.until(lambda: bench.state(first) == "running")
        assert next(job for job in bench.studies.jobs if job.number == first).standing.fraction >= 0.0
        bench.studies.cancel(first)
        await bench.until(lambda: bench.state(first) == "stopped")

    asyncio.run(act())


def test_too_many_are_refused_in_a_sentence(bench, monkeypatch):
    async def act():
        await bench.open()
        monkeypatch.setattr("widgets.studies.MOST_WAITING", 1)
        await bench.ask(parts=50, seconds=0.1)
        with pytest.raises(SettingsError, match="1 studies are at work or wait already"):
            await bench.studies.start()

    asyncio.run(act())


def test_what_fails_is_said_and_the_run_goes_on(bench):
    async def act():
        await bench.open()
        bench.studies.ask("broken")
        number = await bench.studies.start()
        await bench.until(lambda: bench.state(number) == "failed")
        assert "ZeroDivisionError" in bench.desk.alert.sentence
        assert bench.store.status.state == "playing"

    asyncio.run(act())


def test_a_visitor_has_so_many_workers_and_no_more(tmp_path):
    room = Visitors(Limits(runs=1))
    seat = room.admit("ann")
    first = seat.inquire(Counting(system=ASPIRIN, parts=50, tempo={"seconds": 0.1}), tmp_path)
    try:
        with pytest.raises(WorkerError, match="1 runs and studies at work"):
            seat.inquire(Counting(system=ASPIRIN), tmp_path / "other")
        room.look()
        assert not first.standing.over
        first.end("The study took too much.")
        assert first.standing.sentence == "The study took too much."
    finally:
        first.close()


# -- in the list ---------------------------------------------------------------------------------------------------------


def test_it_is_listed_in_its_own_words_and_opened_as_a_report(bench):
    async def act():
        await bench.open()
        number, run = await bench.ask(), bench.store.run
        await bench.until(lambda: bench.state(number) == "done" and bench.library.get(number).status == "done")
        await bench.runs.read()
        row = next(row for row in bench.runs.panel.rows if row["id"] == number)
        assert (row["title"], row["seen"], row["words"], row["study"]) == ("Count: Aspirin", "counting \u00b7 mm", "done", True)
        await bench.runs.open(number)
        await bench.settle()
        assert bench.reporting.report.headline == "There are 3 parts."
        assert bench.store.run is run
        assert bench.store.reported
        bench.reporting.leave()
        assert not bench.store.reported
        assert bench.store.study == 0
        assert bench.runs.keeper.delete(number) == f"Run {number} deleted."

    asyncio.run(act())


def test_one_without_a_result_says_how_to_go_on(bench):
    async def act():
        entry = bench.library.new(Counting(system=ASPIRIN, parts=2), "Count")
        await bench.runs.open(entry.id)
        await bench.settle()
        assert "is not finished: not started yet" in bench.desk.alert.sentence
        assert bench.store.study == 0
        bench.desk.alert._ways[0].act()
        await bench.until(lambda: bench.studies.jobs and bench.state(entry.id) == "done")

    asyncio.run(act())


def test_the_studies_of_others_are_not_gone_on_with(tmp_path):
    bench = Bench(tmp_path, owner="ann")
    entry = bench.library.new(Counting(system=ASPIRIN), "Count", owner="bob")
    with pytest.raises(SettingsError, match="no study"):
        asyncio.run(bench.studies.resume(entry.id))


def test_a_study_at_work_is_seen_growing_and_ends_as_its_result(bench):
    async def act():
        await bench.open()
        bench.studies.ask("growing")
        bench.studies.answer("parts", 40)
        bench.studies.answer("tempo.seconds", 0.1)
        number = await bench.studies.start()
        await bench.until(lambda: any("watch" in row["acts"] for row in bench.studies.pane.jobs))
        bench.studies.open(number)
        await bench.settle()
        reporting, shown = bench.reporting, bench.reporting.pane
        assert shown.report["mark"] == "so far"
        assert not bench.desk.alert.sentence  # it is seen: nobody has to be told that it is at work
        serial, count, scene = shown.report["serial"], reporting.report.headline, bench.desk.viewer.pane.scene["serial"]
        reporting.choose(0, [0])
        reporting.paint(-1)
        await bench.until(lambda: reporting.refresh() or reporting.report.headline != count)
        assert shown.report["serial"] == serial
        assert shown.side["chosen"]["words"] == "part 0"
        assert shown.side["paint"] == -1
        assert bench.desk.viewer.pane.scene["serial"] == scene  # the molecule is not drawn anew
        assert reporting._frame is not None
        await bench.until(lambda: reporting.refresh() or shown.report["mark"] == "")
        assert reporting.report.headline == "There are 40 parts."
        assert "is done" not in bench.desk.alert.sentence

    asyncio.run(act())


# -- the report ----------------------------------------------------------------------------------------------------------


def test_shapes_lie_over_each_other_and_no_more_than_can_be_told_apart(bench):
    report = sample()
    bench.reporting.open(report)
    viewer = bench.desk.viewer
    assert bench.reporting.shown == ("pose", "minimum by MM")
    assert viewer.pane.overlay
    bench.reporting.lay("relaxed pose", over=True)
    bench.reporting.lay("minimum by SO3LR", over=True)
    assert [cell["tone"] for cell in viewer.pane.scene["cells"]] == [0, 2, 1, 3]  # each keeps its colour
    with pytest.raises(SettingsError, match="4 shapes"):
        bench.reporting.lay("minimum by GFN2-xTB", over=True)
    for name in ("pose", "relaxed pose", "minimum by MM", "minimum by SO3LR"):
        bench.reporting.lay(name, over=False)
    assert bench.reporting.shown == ("minimum by SO3LR",)
    assert not viewer.pane.overlay
    x = float(
        viewer.pane.scene["cells"][0]["pdb"].splitlines()[
            next(k for k, line in enumerate(viewer.pane.scene["cells"][0]["pdb"].splitlines()) if line.startswith(("ATOM", "HETATM")))
        ][30:38]
    )
    assert x == pytest.approx(report.shapes[3].positions[0, 0] / NM_PER_ANGSTROM, abs=1e-3)


def test_an_item_does_what_its_target_says(bench):
    async def act():
        await bench.open()
        bench.reporting.open(sample())
        bench.reporting._hear({"type": "choose", "chart": 0, "place": [2]})
        assert bench.desk.viewer.pane.highlight == [2, 3]
        assert "minimum by SO3LR" in bench.reporting.shown
        assert bench.reporting.pane.side["chosen"]["words"] == "O4-C5"
        bench.reporting._hear({"type": "choose", "chart": 4, "place": [0, 2]})
        assert bench.reporting.pane.side["chosen"] == {"words": "ejm_33", "opens": True, "chart": 4, "place": [0, 2]}
        bench.reporting._hear({"type": "choose", "chart": 4, "place": [7, 7]})
        bench.reporting._hear({"type": "choose", "chart": 99, "place": [0]})
        assert "chosen" not in bench.reporting.pane.side
        bench.reporting.choose(4, [0, 2])
        await bench.reporting.open_chosen()
        bench.store.refresh()
        assert bench.store.home.system.source.smiles == "CO"
        assert bench.reporting.report is None

    asyncio.run(act())


def test_charts_reach_the_page_as_plain_data_without_what_is_no_number():
    report = sample()
    data = plain(report)
    json.dumps(data, allow_nan=False)
    assert [chart["type"] for chart in data["charts"]] == ["Bars", "Table", "Curves", "Heat", "Scatter", "Bars", "Heat"]
    assert data["charts"][0]["targets"] == [True] * 5
    assert data["charts"][4]["series"][0][1][0]["targeted"] is True
    assert data["charts"][1]["rows"][2][2] is None
    assert target_of(report.charts[2], [2, 3]).atoms == (3,)
    assert target_of(report.charts[2], [0, 0]).atoms == ()
    assert target_of(report.charts[6], [0, 3]).atoms == (3,)  # a bin of a map
    assert data["charts"][6]["cells"][0][3] is True
    assert plain(Report("Nothing", (report.charts[0],)))["charts"][0]["axis"] == "strain, kcal/mol"


def test_colours_tell_values():
    bonds = Painted("strain", ((1, 0), (2, 3)), (0.0, 2.0))
    colours = colours_of(bonds, dark=True)
    assert set(colours) == {"0-1", "2-3"}
    assert colours["0-1"] != colours["2-3"]
    assert range_of(Painted("difference", ((0,), (1,)), (-1.0, 3.0), True)) == (-3.0, 3.0)
    assert set(colours_of(Painted("residue", ((4, 5, 6),), (1.0,)), dark=False)) == {"4", "5", "6"}
    assert colours_of(Painted("none", ((0, 1),), (float("nan"),)), dark=False) == {}
    lightness = [sum(int(between(("#54697e", "#ffe69a"), k / 8)[at : at + 2], 16) for at in (1, 3, 5)) for k in range(9)]
    assert np.all(np.diff(lightness) > 0)


def test_a_notebook_shows_a_report_a_folder_or_a_result(tmp_path):
    async def act():
        recipe = Counting(system=ASPIRIN, parts=2, tempo={"seconds": 0.0})
        Inquiry(recipe, tmp_path).wait(30)
        (tmp_path / "recipe.json").write_text(recipe.to_json())
        part = show_report(tmp_path)
        assert part.report.headline == "There are 2 parts."
        assert part.desk.viewer.pane.scene["cells"]
        assert part.pane.back == ""
        assert show_report(Result.kept(tmp_path), molecule()).report.headline == "There are 2 parts."
        shown = show_report(sample())
        assert shown.report.molecule is not None
        bundle, _ = _bundle(shown)
        assert any("html" in kind for kind in bundle)
        shown.desk.close()

    asyncio.run(act())


# -- the user's own ------------------------------------------------------------------------------------------------------


def test_a_page_may_not_name_paths_of_the_machine(bench, tmp_path):
    async def act():
        bench.studies.ask("against_experiment")
        (tmp_path / "secret.csv").write_text("a,b\n")
        bench.studies._hear({"type": "answer", "name": "measured", "value": str(tmp_path / "secret.csv")})
        bench.studies._hear({"type": "answer", "name": "nothing", "value": 1})
        assert bench.studies.answers == {}
        await bench.studies.take("mine.csv", b"name,dG\none,-9\n")
        field = next(field for field in bench.studies.pane.fields if field["name"] == "predictions")
        assert field["value"].endswith("mine.csv")
        bench.studies._hear({"type": "answer", "name": "measured", "value": field["value"]})
        assert bench.studies.recipe.measured.endswith("mine.csv")
        entry = bench.library.new(bench.studies.recipe, "Agreement")
        assert bench.library.recipe_of(entry.id).measured == str(entry.folder / "inputs" / "mine.csv")
        await bench.studies.take("protein.pdb", b"END\n")
        bench.studies.ask("endpoint_series")
        assert [choice["title"] for choice in next(field for field in bench.studies.pane.fields if field["name"] == "protein")["choices"]] == [
            "None",
            "protein.pdb",
        ]

    asyncio.run(act())


def test_a_cluster_is_for_the_owner_of_the_machine(tmp_path):
    for owner, there in (("", True), ("ann", False)):
        studies = Bench(tmp_path / (owner or "nobody"), owner).studies
        studies.ask("strain_series")
        assert ("crew.cluster" in {field["name"] for field in studies.pane.fields}) == there
