"""Crew: who works on a series - this process, workers beside it, a dask cluster by address, or jobs of a batch system.

Knows `dask.distributed` and how its workers are started and ended; must not know what they work on.
"""

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from pydantic import BaseModel, ConfigDict, Field

from studio.errors import MissingPackageError, SettingsError, WorkerError

if TYPE_CHECKING:
    from distributed import Client

SCHEDULERS = {
    "slurm": "SLURMCluster", "pbs": "PBSCluster", "sge": "SGECluster", "lsf": "LSFCluster", "oar": "OARCluster", "moab": "MoabCluster",
    "htcondor": "HTCondorCluster",
}  # fmt: skip
"""Batch systems that jobs are sent to, and what serves them in dask-jobqueue."""
PATIENCE = 20.0
"""How long a scheduler may take to answer, s."""
ALIVE = 60.0
"""A worker that does not find its scheduler for so long ends itself, s: nothing stays behind when this process is killed; a busy machine starts slowly."""
ONE_THREAD = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "OPENMM_CPU_THREADS": "1"}
"""Small molecules gain nothing from more threads, and workers share the cores."""
QUIET = {"distributed.admin.large-graph-warning-threshold": "1GB"}
"""Input files may be large."""


class Crew(BaseModel):
    """Who works on a series.

    Args:
        workers: How many work at the same time: processes of this machine with one thread each, or jobs of a batch system. An existing cluster has its own.
        cluster: Empty for this machine; the address of a dask scheduler that is trusted (what runs there can read what it is sent, and runs it);
            or a batch system, which dask-jobqueue's own configuration describes.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    workers: Annotated[
        int,
        Field(title="Workers", description="Ligands that are worked on at the same time. one for each core of this machine is a good number.", ge=1, le=1024),
    ] = 1
    cluster: Annotated[
        str,
        Field(
            title="Cluster",
            description="Left empty, all work is done on this machine. Else the address of a dask scheduler that you trust, such as tcp://10.0.0.5:8786, "
            f"or a batch system that dask-jobqueue is configured for: {', '.join(SCHEDULERS)}.",
            pattern=rf"^(|(tcp|tls)://\S+:\d+|{'|'.join(SCHEDULERS)})$",
        ),
    ] = ""

    @property
    def alone(self) -> bool:
        """Whether this process does the work itself."""
        return not self.cluster and self.workers == 1


@dataclass(frozen=True)
class Team:
    """A crew that is there.

    Args:
        client: To whom work is given.
        near: It sees the disk of this process.
        coming: Whether somebody can still come.
        dashboard: Where dask shows what its workers do; empty if nowhere.
    """

    client: "Client"
    near: bool
    coming: Callable[[], bool]
    dashboard: str

    def present(self) -> set[str]:
        """Addresses of the workers that are there.

        Raises:
            WorkerError: Nobody is there, and nobody can come any more.
        """
        found = set(self.client.nthreads())  # asks each time; `scheduler_info` may answer with what was last heard, without any worker
        if not found and not self.coming():
            raise WorkerError("No worker could be started on this machine, or all have ended. Close other programs, or ask for fewer workers.")
        return found


@contextmanager
def hired(crew: Crew) -> Iterator[Team]:
    """Start workers, or find them, and send them home at the end; they need not have come yet.

    Args:
        crew: Who is wanted; not this process alone.

    Raises:
        WorkerError: Nobody answers at the address.
        SettingsError: The batch system is not configured.
        MissingPackageError: dask-jobqueue is not installed.
    """
    import dask
    from distributed import Client

    with ExitStack() as stack:
        stack.enter_context(dask.config.set(QUIET))
        if crew.cluster in SCHEDULERS:
            address, coming = stack.enter_context(_jobs(crew)), _always
        elif crew.cluster:
            address, coming = crew.cluster, _always
        else:
            address, coming = stack.enter_context(beside(crew.workers))
        try:
            client = stack.enter_context(Client(address, timeout=PATIENCE, set_as_default=False))
        except OSError as problem:
            raise WorkerError(f"No dask scheduler answers at {address}. Check the address, and that `dask scheduler` runs there.") from problem
        yield Team(client, not crew.cluster, coming, str(client.dashboard_link or ""))


@contextmanager
def beside(count: int) -> Iterator[tuple[str, Callable[[], bool]]]:
    """A scheduler in this process, and workers that are programs of their own: a spawned process may have no children by `multiprocessing`.

    Gives its address, and whether a worker can still come.

    Args:
        count: Of workers.
    """
    from distributed import LocalCluster

    # The dashboard answers on this machine only, at any free port.
    with (
        LocalCluster(n_workers=0, host="127.0.0.1", dashboard_address="127.0.0.1:0", silence_logs=50) as cluster,
        tempfile.TemporaryDirectory(prefix="potential-studio-crew-", ignore_cleanup_errors=True) as folder,
    ):
        processes = [_worker(str(cluster.scheduler_address), Path(folder), number) for number in range(count)]
        try:
            yield str(cluster.scheduler_address), lambda: any(process.poll() is None for process in processes)
        finally:
            _end(processes)


def _always() -> bool:
    return True


def _worker(address: str, folder: Path, number: int) -> subprocess.Popen[bytes]:
    """One worker under a nanny, which starts another one when it dies."""
    words = ("--nthreads", "1", "--nworkers", "1", "--name", f"worker-{number}", "--memory-limit", "0", "--no-dashboard", "--local-directory", str(folder))
    environment = os.environ | ONE_THREAD | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "DASK_DISTRIBUTED__LOGGING__DISTRIBUTED": "critical"}
    command = [sys.executable, "-m", "distributed.cli.dask_worker", address, *words, "--death-timeout", str(ALIVE)]
    return subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def _end(processes: list[subprocess.Popen[bytes]]) -> None:
    """End workers with all that they started, at once: what they finished is written."""
    import psutil

    for process in processes:
        with suppress(psutil.NoSuchProcess):
            children = psutil.Process(process.pid).children(recursive=True)
            process.kill()  # first, for it would start them again
            for child in children:
                with suppress(psutil.NoSuchProcess):
                    child.kill()
        process.wait()


@contextmanager
def _jobs(crew: Crew) -> Iterator[str]:
    """Jobs of a batch system, each a worker or more, as dask-jobqueue's configuration says."""
    import dask

    try:
        kind = getattr(import_module("dask_jobqueue"), SCHEDULERS[crew.cluster])
    except ImportError as problem:
        raise MissingPackageError("dask-jobqueue is not installed. Install it: pip install 'potential-studio[cluster]'.") from problem
    missing = [key for key in ("cores", "memory") if dask.config.get(f"jobqueue.{crew.cluster}.{key}", None) is None]
    if missing:
        raise SettingsError(f"Jobs for {crew.cluster} need {' and '.join(missing)}: say so in ~/.config/dask/jobqueue.yaml, under jobqueue: {crew.cluster}:.")
    try:
        cluster = kind(n_workers=crew.workers)
    except (ValueError, OSError, RuntimeError) as problem:
        raise SettingsError(f"Jobs for {crew.cluster} cannot be sent: {problem} Look at ~/.config/dask/jobqueue.yaml.") from problem
    with cluster:
        yield str(cluster.scheduler_address)
