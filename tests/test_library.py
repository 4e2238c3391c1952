"""That a kept run is found again: after a restart, beside other programs, after a crash, a full disk, a damaged list."""

import json
import signal
import sqlite3
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest

from studio import database
from studio.errors import SettingsError, StorageError
from studio.frame import Frame
from studio.library import DATABASE, Library
from studio.recipes.dynamics import Dynamics
from studio.recipes.minimise import Minimise
from studio.recorder import Recorder
from studio.structure import Structure
from studio.system import FromFile, FromSmiles, System

ETHANOL = Dynamics(system=System(source=FromSmiles(smiles="CCO")), interval=10)
PNG = b"\x89PNG\r\n\x1a\n" + b"0" * 20


@pytest.fixture
def library(tmp_path: Path) -> Library:
    return Library(tmp_path / "data", patience=2.0)


def record(folder: Path, frames: int) -> None:
    ethanol = Structure.from_smiles("CCO")
    recorder = Recorder(folder, ethanol, ETHANOL.to_json(), interval=10)
    for step in range(0, 10 * frames, 10):
        recorder.record(Frame(step, step / 1000, ethanol.positions.astype(np.float32), None, {"potential": -1.0, "kinetic": 2.0}, 300.0, 10.0))
    recorder.save_checkpoint(b"checkpoint")


def damage(path: Path) -> None:
    path.write_bytes(b"this is no database at all, and long enough to be looked at" * 100)


def test_runs_are_found_after_a_restart(library: Library) -> None:
    one = library.new(ETHANOL, "Ethanol", owner="ada")
    two = library.new(Minimise(system=System(source=FromSmiles(smiles="CO"))), owner="bob")
    library.update(one.id, status="paused", time_ps=1.5, frames=15, atoms=9)
    library.rename(one.id, "Ethanol in vacuum")
    library.annotate(one.id, "for the course")
    library.set_thumbnail(one.id, PNG)
    again = Library(library.folder)
    newest, oldest = again.entries()
    assert (newest.id, newest.kind, newest.title, newest.thumbnail) == (two.id, "minimise", f"Run {two.id}", None)
    assert (oldest.title, oldest.note, oldest.owner, oldest.status, oldest.time_ps, oldest.frames) == (
        "Ethanol in vacuum", "for the course", "ada", "paused", 1.5, 15,
    )  # fmt: skip
    assert (oldest.kind, oldest.resolution, oldest.potential, oldest.temperature) == ("dynamics", "mm", "", 300.0)
    assert oldest.thumbnail is not None
    assert oldest.thumbnail.read_bytes() == PNG
    assert oldest.updated - oldest.created >= timedelta(0)
    assert [entry.id for entry in again.entries(owner="bob")] == [two.id]
    assert again.recipe_of(one.id) == ETHANOL


def test_numbers_are_never_given_twice(library: Library) -> None:
    first = library.new(ETHANOL)
    library.delete(first.id)
    assert library.purge(days=0) == (first.id,)
    assert not first.folder.exists()
    assert library.new(ETHANOL).id > first.id
    with pytest.raises(SettingsError, match="There is no run 1"):
        library.get(first.id)


def test_deleting_is_undone_and_the_bin_is_emptied_late(library: Library) -> None:
    run = library.new(ETHANOL).id
    library.delete(run)
    assert library.entries() == ()
    assert [entry.id for entry in library.entries(deleted=True)] == [run]
    assert library.purge() == ()
    assert library.restore(run).deleted is None
    assert [entry.id for entry in library.entries()] == [run]
    library.delete(run)
    with library.claim(run):
        assert library.purge(days=0) == ()
    assert library.purge(days=0) == (run,)


def test_discarding_removes_what_came_to_nothing_only(library: Library) -> None:
    empty, moved = library.new(ETHANOL), library.new(ETHANOL)
    record(moved.folder, 3)
    library.discard(empty.id)
    library.discard(moved.id)
    assert not empty.folder.exists()
    assert [entry.id for entry in library.entries(deleted=True)] == [moved.id]


def test_inputs_outlive_the_folder_they_were_uploaded_to(library: Library, tmp_path: Path) -> None:
    upload = tmp_path / "upload" / "ligand.sdf"
    upload.parent.mkdir()
    upload.write_text("a molecule")
    run = library.new(Dynamics(system=System(source=FromFile(path=str(upload)))))
    upload.unlink()
    copy = Path(library.recipe_of(run.id).system.source.path)
    assert copy == run.folder / "inputs" / "ligand.sdf"
    twin = library.duplicate(run.id)
    assert twin.title.endswith("(copy)")
    assert Path(library.recipe_of(twin.id).system.source.path).read_text() == "a molecule"
    assert Path(library.recipe_of(twin.id).system.source.path).parent.parent == twin.folder
    moved = library.folder.rename(tmp_path / "elsewhere")
    assert Path(Library(moved).recipe_of(run.id).system.source.path).parent.parent == moved / "runs" / str(run.id)


def test_an_input_that_is_gone_leaves_nothing_behind(library: Library, tmp_path: Path) -> None:
    with pytest.raises(StorageError, match=r"gone\.sdf' cannot be read: .* Choose the file again"):
        library.new(Dynamics(system=System(source=FromFile(path=str(tmp_path / "gone.sdf")))))
    assert library.entries() == ()
    assert list((library.folder / "runs").iterdir()) == []


def test_a_run_is_played_by_one_at_a_time(library: Library) -> None:
    run = library.new(ETHANOL).id
    with library.claim(run):
        with pytest.raises(StorageError, match="Run 1 is open in another window or program"):
            Library(library.folder).claim(run)
        library.update(run, status="playing")
        assert library.refresh(run).status == "playing"
    assert not library.held(run)
    library.claim(run).release()


PLAYER = """
import sys
from pathlib import Path
from time import sleep
from studio.library import Library
library = Library(Path(sys.argv[1]))
claim = library.claim(1)
library.update(1, status="playing")
print("playing", flush=True)
sleep(60)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="kills the POSIX way")
def test_a_run_whose_program_was_killed_can_be_continued(library: Library) -> None:
    entry = library.new(ETHANOL)
    record(entry.folder, 4)
    player = subprocess.Popen([sys.executable, "-c", PLAYER, str(library.folder)], stdout=subprocess.PIPE)
    assert player.stdout is not None
    with player.stdout:
        player.stdout.readline()
        assert library.refresh(entry.id).status == "playing"
        player.kill()
        player.wait()
    found = library.refresh(entry.id)
    assert (found.status, found.frames, found.atoms, found.time_ps) == ("interrupted", 4, 9, pytest.approx(0.03))


WRITER = """
import sys
from pathlib import Path
from studio.library import Library
from studio.recipes.dynamics import Dynamics
from studio.system import FromSmiles, System
library = Library(Path(sys.argv[1]))
which = sys.argv[2]
for n in range(10):
    if which == "a":
        library.update(1, time_ps=float(n), frames=n)
    else:
        library.update(1, temperature=float(n)); library.annotate(1, f"note {n}")
    if n % 5 == 0:
        library.new(Dynamics(system=System(source=FromSmiles(smiles="CCO"))), which)
"""


def test_two_programs_lose_nothing_of_each_other(library: Library) -> None:
    library.new(ETHANOL)
    writers = [subprocess.Popen([sys.executable, "-c", WRITER, str(library.folder), which], stderr=subprocess.PIPE, text=True) for which in "ab"]
    for writer in writers:
        _, errors = writer.communicate(timeout=120)
        assert writer.returncode == 0, errors
    entry = library.get(1)
    assert (entry.time_ps, entry.frames, entry.temperature, entry.note) == (9.0, 9, 9.0, "note 9")
    assert sorted(entry.title for entry in library.entries()) == ["Run 1", *"aabb"]


KILLED = """
import os, signal, sys
from pathlib import Path
from studio.library import Library
from studio.database import Row
library = Library(Path(sys.argv[1]))
def work(session):
    session.get(Row, 1).title = "half done"
    session.flush()
    os.kill(os.getpid(), signal.SIGKILL)
library._write(work)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="kills the POSIX way")
def test_a_program_killed_in_the_middle_of_an_update_leaves_all_or_nothing(library: Library) -> None:
    library.new(ETHANOL, "before")
    done = subprocess.run([sys.executable, "-c", KILLED, str(library.folder)], check=False)
    assert done.returncode == -signal.SIGKILL
    assert Library(library.folder).get(1).title == "before"
    assert library.rename(1, "after").title == "after"


FULL_DISK = """
import json, resource, signal, sys
from pathlib import Path
from studio.errors import StorageError
from studio.library import Library
library = Library(Path(sys.argv[1]))
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), int(sys.argv[2])))
try:
    for n in range(100):
        library.annotate(1, "x" * 1000 * n)
except StorageError as problem:
    print(json.dumps(str(problem)))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="limits file sizes the POSIX way")
@pytest.mark.parametrize("limit", [2000, 30_000])
def test_a_full_disk_is_a_sentence_and_the_list_stays(library: Library, limit: int) -> None:
    library.new(ETHANOL, "kept")
    done = subprocess.run([sys.executable, "-c", FULL_DISK, str(library.folder), str(limit)], capture_output=True, text=True, check=True)
    assert "Free some space" in json.loads(done.stdout)
    assert Library(library.folder).get(1).title == "kept"
    assert json.loads((library.get(1).folder / "run.json").read_text())["title"] == "kept"


def test_a_damaged_list_is_made_again_from_the_folders(library: Library) -> None:
    kept, binned = library.new(ETHANOL, "kept", owner="ada"), library.new(ETHANOL)
    record(kept.folder, 3)
    library.delete(binned.id)
    library.annotate(kept.id, "important")
    damage(library.folder / DATABASE)
    (entry,) = library.entries()  # noticed in the middle of things
    assert (entry.id, entry.title, entry.owner, entry.note, entry.status, entry.frames) == (kept.id, "kept", "ada", "important", "interrupted", 3)
    assert abs((entry.created - kept.created).total_seconds()) < 1e-3
    assert [entry.id for entry in library.entries(deleted=True)] == [binned.id]
    assert library.recipe_of(kept.id).interval == 10
    assert len(list(library.folder.glob("library.db.damaged-*"))) == 1
    damage(library.folder / DATABASE)
    assert [entry.id for entry in Library(library.folder).entries()] == [kept.id]  # noticed on opening
    assert library.new(ETHANOL).id > binned.id


def test_a_list_that_was_removed_by_hand_is_made_again(library: Library) -> None:
    run = library.new(ETHANOL, "kept").id
    for path in library.folder.glob(f"{DATABASE}*"):
        path.unlink()
    assert library.get(run).title == "kept"


def test_a_locked_list_is_a_sentence(tmp_path: Path) -> None:
    library = Library(tmp_path, patience=0.3)
    library.new(ETHANOL, "kept")
    other = sqlite3.connect(tmp_path / DATABASE, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    try:
        with pytest.raises(StorageError, match=r"in use by another program for more than 0\.3 s"):
            library.rename(1, "other")
        assert library.get(1).title == "kept"  # looking never waits
    finally:
        other.close()
    assert library.rename(1, "other").title == "other"


def test_a_folder_removed_by_hand_is_said_and_comes_back(library: Library, tmp_path: Path) -> None:
    entry = library.new(ETHANOL)
    record(entry.folder, 2)
    entry.folder.rename(tmp_path / "away")
    assert library.refresh(entry.id).status == "missing"
    with pytest.raises(StorageError, match="The folder of run 1 is gone"):
        library.claim(entry.id)
    (tmp_path / "away").rename(entry.folder)
    assert library.refresh(entry.id).status == "interrupted"


def test_a_recipe_of_a_newer_version_is_listed_and_named(library: Library) -> None:
    library.new(ETHANOL, "from the future")
    newer = json.loads(ETHANOL.to_json()) | {"kind": "alchemy", "view": {"resolution": "quark", "potential": "nnp9"}}
    with sqlite3.connect(library.folder / DATABASE) as other:
        other.execute("UPDATE runs SET recipe = ?", (json.dumps(newer),))
    other.close()
    assert library.entries()[0].title == "from the future"
    with pytest.raises(SettingsError, match=r"not one that this version understands: No recipe is called 'alchemy'.* can still be looked at"):
        library.recipe_of(1)
    with sqlite3.connect(library.folder / DATABASE) as other:
        other.execute("UPDATE runs SET recipe = '{'")
    other.close()
    with pytest.raises(SettingsError, match="The recipe of run 1 is damaged"):
        library.duplicate(1)


def test_an_older_list_is_brought_up_to_date_and_a_newer_one_refused(library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    library.new(ETHANOL, "old")
    monkeypatch.setattr(database, "SCHEMA", 2)
    monkeypatch.setitem(database.MIGRATIONS, 2, ("ALTER TABLE runs ADD COLUMN colour TEXT NOT NULL DEFAULT 'blue'",))
    assert Library(library.folder).get(1).title == "old"
    with sqlite3.connect(library.folder / DATABASE) as other:
        assert other.execute("SELECT colour FROM runs").fetchone() == ("blue",)
    other.close()
    monkeypatch.setattr(database, "SCHEMA", 1)
    with pytest.raises(StorageError, match=r"written by a newer Potential Studio \(version 2, this one knows 1\)"):
        Library(library.folder)


def test_what_is_no_picture_or_state_is_refused(library: Library) -> None:
    run = library.new(ETHANOL).id
    with pytest.raises(SettingsError, match="Expected a PNG"):
        library.set_thumbnail(run, b"GIF89a")
    with pytest.raises(SettingsError, match="'walking' is not a state of a run"):
        library.update(run, status="walking")


def test_room_is_counted_by_owner(library: Library) -> None:
    entry = library.new(ETHANOL, owner="ada")
    (entry.folder / "trajectory.xtc").write_bytes(b"0" * 2_000_000)
    library.delete(entry.id)
    assert library.megabytes("ada") == pytest.approx(2.0, abs=0.1)
    assert library.megabytes("bob") == 0.0
    assert library.megabytes() > 2.0
    library.check_room("bob", 1.0)
    with pytest.raises(StorageError, match="Your runs take 2 MB; you may use 1 MB"):
        library.check_room("ada", 1.0)


def test_a_folder_that_cannot_be_written_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StorageError, match="Cannot write to"):
        Library(tmp_path / "file")
    (tmp_path / "data" / DATABASE).mkdir(parents=True)
    with pytest.raises(StorageError, match="The list of runs cannot be kept in"):
        Library(tmp_path / "data")
