"""Learning a model of beads as a whole: tiny, so that it fails and says so; stopped and gone on; what can be seen on the way; the shelf."""

import itertools
import json

import numpy as np
import pytest

from studio import so_far
from studio.coarse import shelf
from studio.coarse.card import BeadCard
from studio.coarse.gates import Verdict
from studio.coarse.labels import Labels
from studio.coarse.learned import LearnedModel
from studio.coarse.mapping import map_protein
from studio.coarse.shape import rmsd
from studio.errors import StoppedError
from studio.hybrid.view import View
from studio.io import store
from studio.parts import kept
from studio.questions import offer_of
from studio.recipes import learning
from studio.recipes.acquisition import Ground, drawn, evenly, pulled
from studio.recipes.bead_replicas import BeadReplicaRun
from studio.recipes.learn_beads import LearnBeads
from studio.recipes.unbiased import Unbiased
from studio.recorder import STRUCTURE
from studio.replay import Replay
from studio.report import Bars, Curves, Heat, Table
from studio.system import FromExample, FromSmiles, Implicit, System
from tests.torsion_frames import dipeptide_beads, placed

ALANINE = System(source=FromExample(name="alanine-dipeptide"))
TINY = LearnBeads(
    system=ALANINE, labels=44, reference_ns=0.05, rounds=1, added=0.1, spacing_ps=0.05, settle_ps=0.02, average_ps=0.1,
    training={"epochs": 12, "members": 2, "hidden": 16}, trial={"replicas": 16, "steps": 800, "interval": 20},
)  # fmt: skip


@pytest.fixture(autouse=True)
def own_shelf(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("POTENTIAL_STUDIO_DATA", str(tmp_path_factory.mktemp("data")))


class Late(Unbiased):
    """Its pieces come when somebody waits for them, on the quickest machine, too."""

    seen = ()

    def look(self):
        if any(words.startswith("All atoms for comparison") for _, words in self.seen):
            super().look()


def measured(words):
    """Labels that this sentence tells of; they come some at a time."""
    return int(words.split()[2]) if words.startswith("Mean force") else 0


@pytest.fixture(scope="module")
def learned(tmp_path_factory):
    """A whole course that was stopped on the way, twice, and what was seen."""
    folder, seen = tmp_path_factory.mktemp("learned"), []

    def tell(fraction, sentence):
        seen.append((fraction, sentence))

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("POTENTIAL_STUDIO_DATA", str(tmp_path_factory.mktemp("shelf")))
        patch.setattr(so_far, "SECONDS", 0.0)
        patch.setattr(so_far, "SHARE", 1e9)
        patch.setattr(learning, "Unbiased", Late)
        patch.setattr(Late, "seen", seen)
        stopped = TINY.run(on_frame=lambda _frame: not any(measured(words) >= 15 for _, words in seen), progress=tell, folder=folder)
        partly, told = so_far.found(folder, TINY.to_json()), len(seen)
        waiting = TINY.run(on_frame=lambda _frame: not seen[-1][1].startswith("All atoms for comparison"), progress=tell, folder=folder)
        waited = len(seen)
        result = TINY.run(on_frame=lambda _frame: True, progress=tell, folder=folder)
        on_shelf = list(shelf.own_folder().glob("*"))
    then, last = seen[told:waited], seen[waited:]
    return {"folder": folder, "stopped": [stopped, waiting], "partly": partly, "then": then, "last": last, "result": result, "shelf": on_shelf}


def test_tiny_models_fail_in_a_sentence_and_stay_off_the_shelf(learned):
    result = learned["result"]
    assert result.ok, result.failure
    assert result.values["passed"] == 0.0
    assert learned["shelf"] == []
    card = LearnedModel.load(learned["folder"] / "model").card
    assert result.provenance["comparison"] == "replica exchange, 16 copies, 6 of them at the temperature"
    assert (card.state, card.labels, card.reference) == ("failed", 44, "MM (ff14SB) in continuum water, 300 K")
    assert any("not offered on the dial" in note for note in result.notes)
    report = TINY.report(result, store.load(learned["folder"] / STRUCTURE))
    assert report.headline.startswith("Failed ")
    assert "is kept here and is not offered on the dial" in report.headline
    assert Labels.load(learned["folder"] / "model" / "labels.npz").positions.shape == (44, 5, 3)


def test_what_knows_nothing_fails_the_same_gates(learned):
    controls = [Verdict.model_validate_json(text) for text in learned["result"].arrays["controls"].tolist()]
    assert list(learned["result"].arrays["control_names"].tolist()) == ["prior only", "shuffled labels"]
    assert not any(control.passed for control in controls)


def test_a_stopped_course_goes_on_behind_what_is_finished(learned):
    assert [stopped.failure.kind for stopped in learned["stopped"]] == ["StoppedError"] * 2
    assert all("is kept" in stopped.failure.message for stopped in learned["stopped"])
    assert [words for _, words in learned["then"] if words.startswith("Configuration")] == []
    assert next(measured(words) for _, words in learned["then"] if measured(words)) >= 15
    fractions = [fraction for fraction, _ in learned["then"]]
    assert max(fractions) <= 1.0
    assert all(later >= earlier - 0.05 for earlier, later in itertools.pairwise(fractions))  # it does not jump back


def test_controls_do_not_wait_for_the_comparison_and_are_kept(learned):
    """Nor do people wait for nothing: the sentence says what moves meanwhile, until it does not."""
    told = [words for _, words in learned["then"]]
    controls = [words for words in told if words.startswith("Negative control: ")]
    assert told.index("All atoms for comparison: 0.00 of 0.05 ns") == len(told) - 1
    for title in ("prior only", "shuffled labels"):
        assert f"Negative control: {title}; all atoms meanwhile: 0.00 of 0.05 ns" in controls
    last = [words for _, words in learned["last"]]
    assert [words for words in last if "meanwhile" in words or "replicas of the model" in words] == []
    assert last[-2:] == ["Negative control is judged: prior only", "Negative control is judged: shuffled labels"]
    assert not list(learned["folder"].glob("*-halted.npz"))


def test_what_is_known_on_the_way_is_seen(learned):
    partly = learned["partly"]
    assert 0 < partly.values["labels"] < 44
    assert len(partly.arrays["label_errors_kj_mol_nm"]) == partly.values["labels"]
    report = TINY.report(partly, store.load(learned["folder"] / STRUCTURE))
    assert report.headline.startswith("Mean force")
    assert "Labels" in [chart.title for chart in report.charts]


def test_the_report_shows_surfaces_beside_each_other_gates_basins_and_how_it_learned(learned):
    report = TINY.report(learned["result"], store.load(learned["folder"] / STRUCTURE))
    by_title = {chart.title: chart for chart in report.charts}
    surfaces = by_title["Beads, ALA A2"]
    assert isinstance(surfaces, Heat)
    assert [each.title for each in surfaces.beside] == ["All atoms, ALA A2", "Difference"]
    assert len(surfaces.dots) == 16
    assert all(0.0 <= row <= 20.0 and 0.0 <= column <= 20.0 for row, column in surfaces.dots)
    assert surfaces.beside[1].centred
    assert isinstance(by_title["Gates"], Table)
    assert isinstance(by_title["Learning"], Curves)
    assert len(by_title["Rounds"].rows) == 2
    assert [row[0] for row in by_title["Rounds"].rows] == [40.0, 44.0]
    assert isinstance(by_title["Negative controls"], Bars)
    assert "16 replicas" not in report.headline
    assert len(report.molecule) == 5


def test_a_model_may_be_tried_by_name_with_many_copies_that_go_on_after_a_stop(learned, tmp_path):
    shelf.put(learned["folder"] / "model", "tiny")
    refused = BeadReplicaRun(system=ALANINE, model="tiny", replicas=8, steps=100).run()
    assert "failed its gates" in refused.failure.message
    recipe = BeadReplicaRun(system=ALANINE, model="tiny", trial=True, replicas=24, steps=1200, interval=20, shown=3)
    frames = []

    def look(frame):
        frames.append(frame)
        return len(frames) != 45

    assert recipe.run(on_frame=look, folder=tmp_path).failure.kind == "StoppedError"
    result = recipe.run(on_frame=look, folder=tmp_path)
    assert result.ok, result.failure
    assert [frame.step for frame in frames[45:47]] == [820, 840]  # behind the checkpoint of step 800
    assert result.values["steps"] == 1200
    assert len(result.arrays["cg_times_ps"]) == 60
    assert len(Replay(tmp_path)) == 60
    np.testing.assert_allclose(Replay(tmp_path).frame(59).positions, frames[-1].positions, atol=1e-3)
    report = recipe.report(result, store.load(tmp_path / STRUCTURE))
    assert len(report.charts[0].dots) == 24
    assert report.charts[0].beside[0].title == "All atoms, ALA A2"
    assert "24 replicas of 'tiny' after 1,200 steps" in report.headline


def test_labels_lie_evenly_over_the_turns_of_the_backbone():
    """Of 950 frames in one basin and 50 on the way out of it, those on the way are taken before the basin fills up."""
    turn = np.random.default_rng(0).normal(scale=12.0, size=(2, 1000))
    phi, psi = turn[0] - 75.0, turn[1] + 145.0
    phi[950:] = np.linspace(-40.0, 120.0, 50)
    frames = placed(phi, psi, 0)
    chosen = evenly(frames, dipeptide_beads(), 200, 1)
    assert len(set(chosen.tolist())) == 200
    assert (chosen >= 950).sum() > 40, "ten of them by chance"
    assert len(evenly(frames, dipeptide_beads(), 5000, 1)) == 1000, "no more than there are"


def test_configurations_are_drawn_where_the_error_is_and_atoms_come_to_lie_there():
    expected = np.zeros((100, 5))
    expected[10:20] = 3.0
    assert set(drawn(expected, 10, 0).tolist()) == set(range(10, 20))
    assert len(drawn(np.zeros((5, 5)), 3, 0)) == 0
    system = ALANINE.model_copy(update={"surroundings": Implicit()})
    atoms = system.prepare()
    mapping, sampling = map_protein(atoms, "backbone"), TINY.plan(atoms).sampling
    target = np.array(mapping.beads.positions)
    turn = np.array([[0.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
    target[4] += [0.03, -0.03, 0.03]  # elsewhere, and turned as a whole
    ground = Ground(system, View(), atoms, mapping, sampling)
    found, away = pulled(ground, np.asarray(atoms.positions)[None], (target @ turn + 5.0)[None], lambda: None)
    assert found.shape == (1, len(atoms), 3)
    assert away[0] < 0.02
    assert rmsd(mapping.positions(found), target)[0] == pytest.approx(away[0])
    with pytest.raises(StoppedError):
        pulled(ground, np.asarray(atoms.positions)[None], target[None], _stop)


def _stop():
    raise StoppedError("Enough.")


def test_what_cannot_be_learned_is_refused_in_a_sentence():
    aspirin = LearnBeads(system=System(source=FromSmiles(smiles="CC(=O)Oc1ccccc1C(=O)O"))).run()
    assert "beads stand for amino acids" in aspirin.failure.message
    few = LearnBeads(system=ALANINE, scheme="ca").run()
    assert "1 beads are no chain" in few.failure.message
    alone = LearnBeads(system=ALANINE, reference="nnp/mm").run()
    assert "nothing is left for MM" in alone.failure.message


def test_people_are_asked_few_things_and_networks_can_make_the_forces():
    offer = offer_of("learn_beads")
    if offer is None:
        pytest.skip("the entry point is not installed")
    titles = [question.title for question in offer.questions]
    assert titles[:4] == ["Labels", "Forces by", "Network", "Comparison, ns"]
    assert next(question for question in offer.questions if question.name == "potential").kind == "potential"
    assert next(question for question in offer.questions if question.name == "added").kind == "number", "elsewhere 'added' is a result"
    recipe = LearnBeads(system=ALANINE, reference="nnp", potential="aimnet2")
    assert recipe.view.resolution == "nnp"
    assert recipe.by == "aimnet2 in vacuum, 300 K"
    assert LearnBeads.model_validate_json(recipe.to_json()) == recipe
    assert json.loads(recipe.to_json())["kind"] == "learn_beads"


def test_the_card_says_what_was_judged(learned):
    card = BeadCard.model_validate_json(str(learned["result"].arrays["card"]))
    assert [gate.name for gate in card.gates][:2] == ["Jensen-Shannon divergence, 20 x 20", "free-energy surface, mean error (kcal/mol)"]
    assert kept(learned["folder"] / "learned-0.npz", "other") is None
