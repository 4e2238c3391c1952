"""Studies in a process of their own: stopped, killed, broken, on a full disk - always a sentence, and nothing finished is lost."""

import os
import signal
from importlib.metadata import EntryPoint
from time import monotonic, sleep

import psutil
import pytest

from studio import plugins, study
from studio.entry import adopted
from studio.library import Library
from studio.questions import Unanswered, answered, offer_of, offers
from studio.region import ResidueIs
from studio.study import Inquiry
from studio.system import FromSmiles, System
from tests.study_recipes import ALL, Broken, Counting, Deaf, Several

METHANOL = System(source=FromSmiles(smiles="CO"))
QUICK = Counting(system=METHANOL, parts=3)
SLOW = Counting(system=METHANOL, parts=60, tempo={"seconds": 0.1})


@pytest.fixture
def registered(monkeypatch):
    """The studies of the tests beside the built-in ones."""
    real = plugins.entry_points
    points = tuple(EntryPoint(name, value, "studio.recipes") for name, value in ALL.items())
    monkeypatch.setattr(plugins, "entry_points", lambda group: (*real(group=group), *points) if group == "studio.recipes" else real(group=group))


def alive(pid):
    return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE


def until(condition, seconds=30.0):
    end = monotonic() + seconds
    while not condition():
        assert monotonic() < end, "waited in vain"
        sleep(0.02)


def at_work(recipe, folder, parts=2):
    """A study that has finished some parts and has more to do."""
    inquiry = Inquiry(recipe, folder)
    until(lambda: len(list(folder.glob("part-*"))) >= parts or inquiry.standing.over)
    assert not inquiry.standing.over
    return inquiry


def test_it_works_tells_and_keeps_what_it_found(tmp_path):
    inquiry = Inquiry(QUICK, tmp_path)
    assert inquiry.pid != os.getpid()
    told = {inquiry.standing.sentence}
    until(lambda: told.add(inquiry.standing.sentence) or inquiry.standing.over)
    assert inquiry.standing.state == "done"
    assert inquiry.result().values == {"parts": 3.0}
    assert any("Counting" in sentence for sentence in told)
    until(lambda: inquiry.standing.over and inquiry.ended)
    inquiry.close()


def test_stopped_it_keeps_what_is_finished_and_goes_on_from_there(tmp_path):
    inquiry = at_work(SLOW, tmp_path)
    inquiry.cancel()
    assert inquiry.standing.sentence in ("Stopping", study.STOPPED)
    standing = inquiry.wait(30)
    assert standing.state == "stopped"
    assert "go on" in standing.sentence
    kept = {path.name: path.stat().st_mtime_ns for path in tmp_path.glob("part-*")}
    assert 2 <= len(kept) < 60
    inquiry.close()
    again = Inquiry(SLOW.model_copy(update={"tempo": SLOW.tempo.model_copy(update={"seconds": 0.0})}), tmp_path)
    assert again.wait(60).state == "done"
    assert again.result().values == {"parts": 60.0}
    assert {path.name: path.stat().st_mtime_ns for path in tmp_path.glob("part-*") if path.name in kept} == kept
    again.close()


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no such signal")
def test_a_killed_worker_is_told_and_another_goes_on(tmp_path):
    inquiry = at_work(SLOW, tmp_path)
    os.kill(inquiry.pid, signal.SIGKILL)
    standing = inquiry.wait(10)
    assert standing.state == "lost"
    assert "SIGKILL" in standing.sentence
    assert "go on" in standing.sentence
    again = Inquiry(SLOW.model_copy(update={"tempo": SLOW.tempo.model_copy(update={"seconds": 0.0})}), tmp_path)
    assert again.wait(60).state == "done"
    again.close()


def test_one_that_does_not_listen_is_ended(tmp_path, monkeypatch):
    monkeypatch.setattr(study, "STOP_PATIENCE", 0.3)
    inquiry = at_work(Deaf(system=METHANOL, parts=200, tempo={"seconds": 0.1}), tmp_path)
    inquiry.cancel()
    assert inquiry.wait(10).state == "stopped"
    until(lambda: not alive(inquiry.pid))


def test_what_nobody_foresaw_is_a_sentence(tmp_path):
    standing = Inquiry(Broken(system=METHANOL), tmp_path).wait(30)
    assert standing.state == "failed"
    assert "ZeroDivisionError: by a test" in standing.sentence
    assert "report" in standing.sentence


def test_a_folder_that_cannot_be_written_is_a_sentence(tmp_path):
    (tmp_path / "file").write_text("in the way")
    standing = Inquiry(Several(source={"kind": "target", "target": "tyk2"}), tmp_path / "file").wait(30)
    assert standing.state == "failed"
    assert "Cannot write" in standing.sentence


def test_closing_ends_the_worker(tmp_path):
    inquiry = at_work(SLOW, tmp_path)
    inquiry.close(patience=0.5)
    assert inquiry.standing.state == "stopped"
    assert not alive(inquiry.pid)


# -- in the library -----------------------------------------------------------------------------------------------------


def test_a_study_has_its_own_words_in_the_library(tmp_path):
    library = Library(tmp_path)
    entry = library.new(QUICK, "Counted")
    assert (entry.kind, entry.potential, entry.status) == ("counting", "mm", "new")
    claim = library.claim(entry.id)
    library.update(entry.id, status="running")
    assert library.refresh(entry.id).status == "running"
    claim.release()
    assert library.refresh(entry.id).status == "interrupted"  # nobody holds it: its worker died
    Inquiry(QUICK, entry.folder).wait(30)
    assert adopted(entry.folder).status == "done"


def test_the_file_of_a_series_is_taken_along(tmp_path):
    file = tmp_path / "ligands.sdf"
    file.write_text("")
    entry = Library(tmp_path / "library").new(Several(source={"kind": "records", "path": str(file)}), "Series")
    assert (entry.folder / "inputs" / "ligands.sdf").exists()


# -- what is asked -------------------------------------------------------------------------------------------------------


def test_studies_are_offered_by_subject(registered):
    found = offers()
    assert {"counting", "several", "looking"} <= {offer.kind for offer in found}
    subjects = [offer.study.subject for offer in found]
    assert subjects == sorted(subjects, key=["system", "series", "recording"].index)
    assert offer_of("dynamics") is None
    assert offer_of("nothing") is None


def test_settings_with_a_title_are_asked_also_inside_others(registered):
    asked = {question.name: question for question in offer_of("counting").questions}
    assert list(asked) == ["ligand", "parts", "potentials", "medium", "aloud", "bonds", "most", "tempo.seconds"]
    assert (asked["parts"].kind, asked["parts"].low, asked["parts"].high, asked["parts"].default) == ("whole", 1, 1000, 5)
    assert asked["potentials"].kind == "potentials"
    assert asked["medium"].choices == ("gas", "water")
    assert asked["aloud"].kind == "yes"
    assert asked["bonds"].kind == "values"
    assert asked["most"].optional
    assert (asked["ligand"].kind, asked["ligand"].default) == ("region", "focus")
    assert (asked["tempo.seconds"].default, asked["tempo.seconds"].high) == (0.05, 10.0)


def test_answers_make_the_recipe(registered):
    offer, subject = offer_of("counting"), {"system": METHANOL.model_dump(mode="json")}
    recipe = answered(offer, subject, {"parts": 7, "bonds": "1, 4", "tempo.seconds": 0.5, "most": None, "ligand": "resname LIG"})
    assert recipe.ligand == ResidueIs(name="LIG")
    assert (recipe.parts, recipe.bonds, recipe.tempo.seconds, recipe.tempo.hidden) == (7, (1, 4), 0.5, 3)
    assert answered(offer, subject, {}) == Counting(system=METHANOL)


def test_a_wrong_answer_is_told_at_its_question(registered):
    offer, subject = offer_of("counting"), {"system": METHANOL.model_dump(mode="json")}
    with pytest.raises(Unanswered) as caught:
        answered(offer, subject, {"parts": 0, "tempo.seconds": 99.0, "potentials": (), "bonds": "one", "ligand": "resnam LIG"})
    assert set(caught.value.problems) == {"parts", "tempo.seconds", "potentials", "bonds", "ligand"}
    assert caught.value.problems["parts"] == "Expected greater than or equal to 1, got 0."
