"""Beads on the screen, without a browser: chains from sequences, the way up with what was left behind, atoms beside, one board for unlike clocks."""

import asyncio
import html
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest

from studio.alternatives import alternatives, same_start
from studio.coarse import shelf
from studio.coarse.calvados import Calvados
from studio.coarse.go import GoModel
from studio.coarse.mapping import map_protein
from studio.errors import LeftBehindError, SettingsError, StructureError
from studio.frame import Frame
from studio.hybrid.view import View
from studio.levels import level
from studio.library import Library
from studio.preview import Preview
from studio.recipes.dynamics import Dynamics
from studio.region_card import describe
from studio.sources import FromChains
from studio.structure import Structure
from studio.system import EXAMPLES, FromExample, FromSmiles, Implicit, System
from tests import test_builder, test_compare, test_picker
from tests.test_compare import record
from widgets.bead_form import BeadForm
from widgets.beside import BEFORE, BUILT, Beside
from widgets.chains import chains_of
from widgets.dial import Dial, row_of
from widgets.listing import fits
from widgets.listing import row_of as listed
from widgets.opening import moved
from widgets.sight import look_at
from widgets.words import bead_card_of

HELIX = EXAMPLES["alanine-helix"].system
CHAINS = EXAMPLES["histatin-5"].system


@pytest.fixture(scope="module")
def helix() -> Structure:
    return HELIX.prepare()


@pytest.fixture
def bench(tmp_path, monkeypatch, helix):
    bench = test_picker.Bench(tmp_path, monkeypatch, {HELIX.source.kind: helix, CHAINS.source.kind: CHAINS.prepare()})
    bench.dial = Dial(bench.desk)
    yield bench
    bench.store.close()


@pytest.fixture
def builder(tmp_path, monkeypatch):
    bench = test_builder.Bench(tmp_path, monkeypatch)
    yield bench
    bench.store.close()


def as_beads(bench, helix):
    """The helix at the Go level, its run made of beads as a worker makes it."""
    bench.open(View(resolution="mm"), HELIX, "Helix")
    bench.do(lambda: bench.dial.turn("go-ca"))
    beads = map_protein(helix).beads
    bench.store.structure = bench.runs[-1].structure = beads
    return beads


class TestChains:
    def test_sequences_become_beads_that_calvados_moves(self, builder):
        builder.do(lambda: builder.builder.open_chains("GSMKAEEK", "RKRKSG"))
        recipe = builder.opened[-1]
        assert recipe.system.source.sequences == ("GSMKAEEK", "RKRKSG")
        assert (recipe.view.resolution, recipe.view.beads, recipe.friction) == ("beads", Calvados(), Calvados().friction)
        assert builder.store.title == "2 chains of 14 residues"
        assert builder.builder.system == recipe.system
        assert builder.store.friction == Calvados().friction

    def test_what_is_no_sequence_is_said_in_place_and_opens_nothing(self, builder):
        builder.builder.kind.value = "chains"
        with pytest.raises(SettingsError, match="got none"):
            builder.builder.system  # noqa: B018 - reading it is the test
        builder.builder.chains.text.value_input = "GSM\nAXA"
        assert "Chain 2: Letter 2" in builder.builder.chains.told.object
        with pytest.raises(StructureError, match="'X', is no amino acid"):
            builder.builder.system  # noqa: B018
        assert builder.opened == []

    def test_lines_and_fasta_are_read_and_copies_counted(self, builder):
        assert chains_of(">a\nGSM\nKA\n>b\nRK\n") == ("GSMKA", "RK")
        assert chains_of("gsm ka\n\nrk") == ("GSMKA", "RK")
        form = builder.builder.chains
        form.text.value_input, form.copies.value = "GSMKAEEK", 3
        assert form.read()[0].sequences == ("GSMKAEEK",) * 3
        assert "3 chains, 24 residues, charge +0" in form.told.object
        form.show(FromChains(sequences=("GSM", "RK") * 2, box_nm=20.0))
        assert (form.text.value_input, form.copies.value, form.box.value) == ("GSM\nRK", 2, 20.0)

    def test_the_example_is_listed_and_offers_no_level_of_atoms(self, bench):
        bench.open(level("calvados2").apply(Dynamics(system=CHAINS)).view, CHAINS, "Histatin-5")
        rows = {row["name"]: row for row in bench.dial.pane.rows}
        assert bench.dial.level == "calvados2"
        assert {name for name, row in rows.items() if not row["blocked"]} == {"calvados2"}
        assert all("beads" in rows[name]["hint"] for name in ("nnp", "mm"))
        assert bench.said == []
        assert "beads" in describe(CHAINS.prepare(), View().region).refusal


class TestTheWayUp:
    def test_what_was_left_behind_offers_ways_to_go_on(self, bench, helix):
        """Silently starting from other atoms would throw the beads' shape away."""
        beads, ways = as_beads(bench, helix), []
        bench.desk.alert.say = lambda _sentence, *found, **_kinds: ways.extend(found)
        wet = helix.join(Structure.from_smiles("O"))
        bench.store._wholes = {HELIX.model_dump_json(): wet}
        bench.dial.sight = look_at(bench.store.home, wet)
        runs = len(bench.runs)
        with pytest.raises(LeftBehindError, match="left 3 atoms"):
            bench.do(lambda: bench.dial.turn("mm"))
        assert (len(bench.runs), bench.dial.level, bench.dial.pane.wish) == (runs, "go-ca", "")
        bench.do(lambda: bench.dial._hear({"type": "turn", "level": "mm"}))
        assert bench.runs[-1].structure is beads
        assert bench.runs[-1].now.state == "playing", "the beads go on"
        labels = [way.label for way in ways]
        assert labels[0] == "Go on from the last atoms"
        bench.do(ways[0].act)
        assert bench.dial.level == "mm"
        assert bench.runs[-1].given is wet

    def test_settings_of_the_beads_and_of_the_atoms_survive_the_turns(self):
        home = Dynamics(system=HELIX, view=View(beads=Calvados(salt=0.05)), friction=2.0)
        down = level("calvados2").apply(home)
        assert (down.view.beads.salt, down.friction, down.view.clock) == (0.05, 0.01, "CG time")
        assert level("go-ca").apply(home).view.beads == GoModel()
        up = level("mm").apply(down)
        assert (up.friction, up.view.clock) == (Dynamics.model_fields["friction"].default, "time")


class TestSettings:
    def test_salt_and_domains_start_a_run_of_their_own_from_the_beads_of_now(self, bench, helix):
        form = bench.dial.beads
        assert not form.panel.visible
        bench.open(View(resolution="mm"), HELIX, "Helix")
        bench.do(lambda: bench.dial.turn("calvados2"))
        assert form.panel.visible
        bench.do(lambda: setattr(form.salt, "value", 0.05))
        assert bench.store.recipe.view.beads == Calvados(salt=0.05)
        assert bench.store.home.view.resolution == "mm"
        assert bench.store.home.friction != bench.store.recipe.friction
        bench.do(lambda: form.change(Calvados(salt=0.05, version=3)))
        bench.do(lambda: setattr(form.domains, "value", "residue A:1-5; residue A:7-10"))
        assert len(bench.store.recipe.view.beads.domains) == 2
        runs = len(bench.runs)
        bench.do(lambda: setattr(form.domains, "value", "some helix"))
        assert len(bench.runs) == runs
        assert "some" in bench.said[-1]
        assert "1-5" in form.domains.value

    def test_the_card_of_a_learned_model_is_read_beside_the_dial(self, bench, monkeypatch, tmp_path):
        monkeypatch.setattr("studio.coarse.shelf.own_folder", lambda: tmp_path / "beads")
        peptide = System(source=FromExample(name="alanine-dipeptide"))
        bench.structures[peptide.source.kind] = peptide.prepare()
        form, card = bench.dial.beads, shelf.card("alanine-dipeptide")
        bench.open(View(resolution="mm"), peptide, "Dipeptide")
        assert not form.panel.visible
        bench.do(lambda: bench.dial.turn("learned"))
        assert form.panel.visible
        assert form._about.visible
        assert "learned for these beads" in bench.dial.advice.object, "beads that a network moves are not said to have none"
        for told in (card.licence, "MM (ff14SB)", "It passed all of them.", *(gate.words for gate in card.gates)):
            assert told in html.unescape(form.card.object)
        assert not form.choice.visible, "there is one model only"
        other = shelf.load("alanine-dipeptide")
        other.save(tmp_path / "file")
        shelf.put(tmp_path / "file", "ours")
        form._follow()
        assert (form.choice.options, form.choice.value) == (["ours", "alanine-dipeptide"], "ours"), "own models come first"
        bench.do(lambda: setattr(form.choice, "value", "alanine-dipeptide"))
        assert bench.store.recipe.view.beads.model == "alanine-dipeptide"
        failed = card.model_copy(update={"gates": (card.gates[0].model_copy(update={"value": 0.3, "passed": False}),)})
        assert "FAILED: Jensen-Shannon divergence, 20 x 20 0.3, limit 0.02" in bead_card_of(failed)

    def test_a_contact_may_be_shallower(self, bench):
        bench.open(View(resolution="mm"), HELIX, "Helix")
        bench.do(lambda: bench.dial.turn("go-ca"))
        bench.do(lambda: setattr(bench.dial.beads.depth, "value", 0.5))
        assert bench.store.recipe.view.beads.epsilon == pytest.approx(2.092)
        assert BeadForm(bench.desk).depth.value == 0.5


def test_what_goes_on_is_in_the_box_of_now(helix):
    """A barostat has changed it; beads put together in the box of the start would be torn."""
    wet = replace(helix, box=3.0 * np.eye(3))
    now = moved(wet, Frame(1, 0.1, wet.positions.astype(np.float32) + 1.0, box=2.9 * np.eye(3, dtype=np.float32)))
    assert now.box[0, 0] == pytest.approx(2.9)
    assert now.positions == pytest.approx(wet.positions + 1.0, abs=1e-5)
    assert moved(wet, Frame(1, 0.1, np.zeros((3, 3), np.float32))) is wet, "of something else"


class TestAtomsBeside:
    def test_they_are_built_on_the_beads_in_a_process_of_their_own(self, helix):
        beads = map_protein(helix).beads
        preview = Preview(beads, helix.join(Structure.from_smiles("O")))
        try:
            preview.offer(beads.positions + 1.0)
            end, built = time.monotonic() + 60.0, None
            while built is None and time.monotonic() < end:
                built = preview.latest()
                time.sleep(0.02)
            moved = preview.follow(built, beads.positions - 3.0)
        finally:
            preview.close()
        alphas = [atom for atom, name in enumerate(helix.names) if name == "CA"]
        assert np.linalg.norm(moved[alphas] - beads.positions + 3.0, axis=1).max() < 0.06, "the shape of before goes along with the beads"
        assert built.shape == (len(helix), 3), "water has no place there"
        assert np.linalg.norm(built[alphas] - beads.positions - 1.0, axis=1).max() < 0.06

    def test_they_stand_in_a_second_part_until_they_cannot_be_built(self, bench, helix, monkeypatch):
        offered, answers = [], [helix.positions + 0.1, StructureError("They overlap.")]

        class Told:
            """Answers at once."""

            def __init__(self, beads, like):
                self.like, self.offer, self.close = like, offered.append, lambda: None
                self.follow = lambda atoms, _positions: atoms

            def latest(self):
                answer = answers.pop(0) if offered and answers else None
                if isinstance(answer, Exception):
                    raise answer
                return answer

        monkeypatch.setattr("widgets.beside.Preview", Told)
        beside, sent = Beside(bench.desk), []
        bench.open(View(resolution="mm"), HELIX, "Helix")
        assert beside.obstacle
        beads = as_beads(bench, helix)
        assert beside.obstacle == ""
        assert beside.enter() is None, "nobody asked for them"
        beside.switch()
        assert len(beside.enter()) == len(helix)
        monkeypatch.setattr(bench.desk.viewer, "send", lambda frame, cell=0: sent.append((cell, frame)))
        bench.store.frame = Frame(step=1, time=0.1, positions=beads.positions.astype(np.float32))
        beside.follow(bench.store.frame)
        beside.refresh()
        beside.refresh()
        assert [cell for cell, _ in sent] == [1, 1], "as they were, then as built"
        np.testing.assert_allclose(sent[1][1].positions, helix.positions + 0.1, atol=1e-5)
        assert (beside.title, beside.built) == (BUILT, 1)
        beside.refresh()
        assert beside.title == BEFORE
        assert "They overlap." in bench.said[-1]


class TestCGTime:
    def test_the_list_of_runs_says_which_time_it_is(self, tmp_path):
        recipe = level("calvados2").apply(Dynamics(system=HELIX))
        entry = Library(tmp_path).new(recipe, "Helix")
        Library(tmp_path).update(entry.id, time_ps=1500.0)
        entry = Library(tmp_path).get(entry.id)
        assert (listed(entry)["seen"], listed(entry)["time"]) == ("CALVADOS 2", "CG 1.500 ns")
        assert fits(entry, "beads calvados")
        assert entry.clock == "CG time"

    def test_the_dial_never_mixes_days_of_atoms_and_beads(self, helix):
        sight = look_at(Dynamics(system=HELIX), helix)
        assert row_of(sight.prospect("go-ca"))["clock"] == "CG time"
        assert row_of(sight.prospect("mm"))["clock"] == "time"


class TestOneBoard:
    @pytest.fixture
    def board(self, tmp_path, monkeypatch):
        return test_compare.Bench(tmp_path / "data", monkeypatch)

    def test_atoms_and_beads_share_steps_and_no_time(self, board, helix):
        atoms, coarse = Dynamics(system=HELIX, interval=10, timestep=2.0), level("go-ca").apply(Dynamics(system=HELIX, interval=10))
        beads = map_protein(helix).beads
        numbers = tuple(record(board.library.new(asked, "Helix"), structure, 40, 300.0, asked) for asked, structure in ((atoms, helix), (coarse, beads)))

        async def visit():
            await board.show(*numbers)
            return board.board, board.compare._clock(), board.compare.table, board.desk.plots

        with ThreadPoolExecutor(1) as pool:
            shown, clock, table, plots = pool.submit(asyncio.run, visit()).result()
        assert (shown.by_steps, shown.axis, clock["unit"], shown.end) == (True, "thousand steps", "thousand steps", 0.39)
        assert [chip["unit"] for chip in clock["chips"]] == ["ps", "ps CG time"]
        assert plots.panel.clock == "thousand steps"
        assert plots.to_csv().startswith("run,thousand steps,")
        assert {"C-alpha RMSD to start", "C-alpha radius of gyration"} <= set(plots.observed)
        assert ("Simulated (ps)" in table[0], "Simulated (ps)" in table[1], "Simulated (ps CG time)" in table[1]) == (True, False, True)
        rows = {row["name"]: row for row in board.compare._sheet()["rows"]}
        assert rows["Potential above its start, kcal/mol"]["apart"] == ["", ""], "energies of beads are not those of atoms"

    def test_three_scales_are_offered_side_by_side(self, helix):
        asked = Dynamics(system=HELIX.model_copy(update={"surroundings": Implicit()}))
        found = {each.name: each for each in alternatives(asked, asked, helix)}["scales"]
        assert [each.view.resolution for each in (found.recipe, *found.more)] == ["beads", "beads"]
        assert len({each.view.beads.kind for each in (found.recipe, *found.more)}) == 2
        small = Dynamics(system=System(source=FromSmiles(smiles="CCO")))
        refused = {each.name: each for each in alternatives(small, small, Structure.from_smiles("CCO"))}["scales"]
        assert refused.recipe is None
        assert "amino acids" in refused.reason

    def test_beads_start_where_beads_are(self, helix):
        beads = map_protein(helix).beads
        assert same_start(level("calvados2").apply(Dynamics(system=HELIX)), beads) == (beads, "")
