"""Series by several workers: the same rows as by one, each ligand for itself, whatever happens to the workers."""

import json
import os
import signal
import stat
import sys
import time
from collections.abc import Callable
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError

from studio.errors import SettingsError, StorageError, WorkerError
from studio.io import store
from studio.progress import Progress
from studio.recipes import ligands
from studio.recipes.base import OnFrame
from studio.recipes.crew import Crew, beside, hired
from studio.recipes.farm import NOBODY, Harvest, Trade, spread
from studio.recipes.ligands import KEY, LIGANDS, TRADE, Done, Task, keep, kept, lost
from studio.recipes.series import Records
from studio.recipes.strain_series import StrainSeries
from studio.recorder import STRUCTURE
from studio.result import Result
from studio.strain import StrainProtocol
from studio.structure import Structure
from tests.molecule_files import sdf

QUICK = StrainProtocol(medium="gas", conformers=2, torsions=False)


@pytest.fixture
def series(tmp_path: Path) -> StrainSeries:
    """Propanol, methylsilane, phenol: the second cannot be done by MM."""
    path, molecules = tmp_path / "series.sdf", {"propanol": "CCCO", "silane": "C[SiH3]", "phenol": "Oc1ccccc1"}
    path.write_text("".join(sdf(Structure.from_smiles(smiles), name) for name, smiles in molecules.items()))
    return StrainSeries(source=Records(path=str(path)), potentials=("mm",), protocol=QUICK)


def with_crew(series: StrainSeries, workers: int = 2, cluster: str = "") -> StrainSeries:
    return series.model_copy(update={"crew": Crew(workers=workers, cluster=cluster)})


def trade(measure: Callable[[Task, OnFrame | None, Progress | None], Done | None]) -> Trade[Task, Done]:
    return Trade(measure, kept, keep, lost)


def check_equal(one: Result, other: Result) -> None:
    """To the last digit."""
    assert one.values == other.values
    for name, array in one.arrays.items():
        np.testing.assert_array_equal(array, other.arrays[name])


def in_a_spawned_process(line: Connection, recipe: str, folder: str) -> None:
    """As the page's worker processes do it: daemons, which may not have children by `multiprocessing`."""
    told: list[tuple[float, str]] = []
    result = StrainSeries.model_validate_json(recipe).run(folder=Path(folder), progress=lambda part, text: told.append((part, text)))
    line.send((result, told))


def test_two_workers_give_the_same_numbers_also_from_a_daemon_process(series: StrainSeries, tmp_path: Path) -> None:
    ours, theirs = get_context("spawn").Pipe()
    recipe = with_crew(series)
    process = get_context("spawn").Process(target=in_a_spawned_process, args=(theirs, recipe.to_json(), str(tmp_path / "out")), daemon=True)
    process.start()
    serial = series.run()
    assert ours.poll(240.0)
    result, told = ours.recv()
    process.join(20.0)
    assert result.ok
    check_equal(serial, result)
    assert any(note.startswith("silane: ") for note in result.notes)
    assert [part for part, _ in told] == sorted(part for part, _ in told)
    assert "http://127.0.0.1:" in told[0][1]
    assert any("phenol (3 of 3). " in text for _, text in told)
    again = time.perf_counter()
    check_equal(serial, recipe.run(folder=tmp_path / "out"))
    assert time.perf_counter() - again < 3.0 or sys.gettrace()  # nobody is hired where all is done
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "series.sdf").rename(tmp_path / "elsewhere" / "series.sdf")
    moved = series.model_copy(update={"source": Records(path=str(tmp_path / "elsewhere" / "series.sdf"))})
    assert all(kept(task) is not None for task in moved.tasks(tmp_path / "out"))


def die_once(task: Task, on_frame: OnFrame | None = None, progress: Progress | None = None) -> Done | None:
    """The second ligand's first worker dies; the third one's always do."""
    mark = Path(task.folder.parent.parent) / "died"
    if task.index == 2 or (task.index == 1 and not mark.exists()):
        if task.index == 1:
            mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    if task.index == 0:
        raise ZeroDivisionError("a fault of ours")
    return Done(task, Result({}, {"strain_kcal_mol": 1.0}))


def test_a_worker_that_dies_costs_no_ligand_but_the_one_that_kills_it(series: StrainSeries, tmp_path: Path) -> None:
    import dask
    import distributed  # noqa: F401 - brings its settings

    harvest = Harvest()
    with dask.config.set({"distributed.client.scheduler-info-interval": "1ms"}):  # what dask remembers of its workers changes all the time
        rows = sorted(spread(trade(die_once), series.tasks(tmp_path), Crew(workers=2), harvest=harvest), key=lambda row: row.task.index)
    assert "unexpected ZeroDivisionError: a fault of ours" in rows[0].failure
    assert rows[1].result.values == {"strain_kcal_mol": 1.0}
    assert "3 workers died while they worked on this ligand" in rows[2].failure
    assert "4 workers were lost on the way" in harvest.notes[0]
    assert not harvest.stopped
    assert not (tmp_path / LIGANDS / "0002" / KEY).exists()  # so that it is tried again


def wait_to_be_stopped(task: Task, on_frame: OnFrame | None = None, progress: Progress | None = None) -> Done | None:
    if task.index == 0:
        return Done(task, Result({}, {"strain_kcal_mol": 1.0}))
    progress(0.5, "Listening.")
    while on_frame(NOBODY) is not False:
        time.sleep(0.05)
    (task.folder.parent.parent / "heard").touch()
    return None


def test_all_workers_stop_when_the_user_says_so(series: StrainSeries, tmp_path: Path) -> None:
    told: list[str] = [""]
    harvest = Harvest()
    rows = list(
        spread(
            trade(wait_to_be_stopped), series.tasks(tmp_path), Crew(workers=2), harvest=harvest,
            on_frame=lambda _: "Listening" not in told[-1], progress=lambda _, text: told.append(text),
        )
    )  # fmt: skip
    assert harvest.stopped
    assert [row.task.index for row in rows] == [0]
    assert (tmp_path / "heard").exists()


def test_workers_that_do_not_see_our_disk_are_sent_the_file_and_send_back_what_they_kept(series: StrainSeries, tmp_path: Path) -> None:
    with beside(1) as (address, _):
        result = with_crew(series, cluster=address).run(folder=tmp_path / "far")
        refused = list(spread(trade(tell_path), series.tasks(tmp_path / "paths"), Crew(cluster=address)))
        tasks = [ligands.Task(task.index, task.name, task.recipe, folder=tmp_path / f"done-{task.index}") for task in series.tasks()]
        done, notes = ligands.all_of(tasks, Crew(cluster=address), None, None, lambda _: None)
        with pytest.raises(StorageError, match=r"Cannot write to .*file"):
            list(spread(TRADE, series.tasks(tmp_path / "series.sdf" / "file"), Crew(cluster=address)))
    near = series.run(folder=tmp_path / "near")
    check_equal(near, result)
    names = [{path.relative_to(tmp_path / place).as_posix() for path in (tmp_path / place).rglob("*")} for place in ("near", "far")]
    assert names[0] == names[1]
    far = tmp_path / "far" / LIGANDS / "0000"
    assert store.load(far / STRUCTURE).key == store.load(tmp_path / "near" / LIGANDS / "0000" / STRUCTURE).key
    assert all(kept(task) is not None for task in series.tasks(tmp_path / "far"))
    assert not any(row.failure.startswith(str(tmp_path)) for row in refused)
    assert [each.result.ok for each in done] == [True, False, True]
    assert [each.task for each in done] == tasks
    assert notes == []
    assert done[0].result.values["mm_strain_kcal_mol"] == near.arrays["strain_kcal_mol"][near.arrays["names"].tolist().index("propanol"), 0]
    assert ligands.kept(tasks[0]).result.values == done[0].result.values


def tell_path(task: Task, on_frame: OnFrame | None = None, progress: Progress | None = None) -> Done | None:
    return lost(task, task.recipe.system.source.path)


def test_jobs_of_a_batch_system_do_it_too(series: StrainSeries, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import dask
    import dask_jobqueue  # noqa: F401 - brings its settings
    import distributed  # noqa: F401 - brings its settings

    jobs = tmp_path / "bin"
    jobs.mkdir()
    for name, text in {"sbatch": 'cp "$1" "$0.job"\nsetsid bash "$0.job" >/dev/null 2>&1 &\necho "Submitted batch job $!"', "scancel": 'kill -- -"$1"'}.items():
        (jobs / name).write_text(f"#!/bin/bash\n{text}\n")
        (jobs / name).chmod(stat.S_IRWXU)
    monkeypatch.setenv("PATH", f"{jobs}:{os.environ['PATH']}")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, sys.path)))
    settings = {"cores": 1, "processes": 1, "memory": "2GB", "interface": "lo", "local-directory": str(tmp_path), "death-timeout": 20}
    with dask.config.set({f"jobqueue.slurm.{key}": value for key, value in settings.items()}):
        check_equal(series.run(), with_crew(series, 1, "slurm").run())


@pytest.mark.parametrize("cluster", ["somewhere", "http://host:1", "tcp://host"])
def test_what_is_no_cluster_is_refused(cluster: str) -> None:
    with pytest.raises(ValidationError, match="cluster"):
        Crew(cluster=cluster)


def test_who_does_not_answer_is_a_sentence(series: StrainSeries, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("studio.recipes.crew.PATIENCE", 0.5)
    failure = with_crew(series, cluster="tcp://127.0.0.1:9").run().failure
    assert failure.kind == WorkerError.__name__
    assert "No dask scheduler answers at tcp://127.0.0.1:9" in failure.message
    with pytest.raises(SettingsError, match=r"slurm need cores and memory: .*jobqueue\.yaml"), hired(Crew(cluster="slurm")):
        pass


def test_the_recipe_says_who_works(series: StrainSeries) -> None:
    assert json.loads(with_crew(series).to_json())["crew"] == {"workers": 2, "cluster": ""}
    assert series.tasks()[0].key == with_crew(series).tasks()[0].key
    assert StrainSeries.model_validate_json(series.to_json()) == series
