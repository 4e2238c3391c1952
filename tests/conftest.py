"""What all tests share: a cache folder of their own, filled once a session, so that no test reads or fills the user's."""

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from filelock import FileLock

from studio.potentials.compiled import compiler
from studio.potentials.so3lr import SO3LR
from studio.structure import Structure
from tests.moving_systems import Moving, ethanol_and_waters

# Before torch and tblite are loaded, which read it once: networks of small molecules are fastest on one thread, above all where tests
# share two cores, and sums by several threads differ in their last bits from call to call.
os.environ["OMP_NUM_THREADS"] = "1"

LONGEST = ("test_tutorials.py", "test_examples.py")
"""Files that take minutes: who runs tests on several cores begins with them."""
ASPIRIN = "CC(=O)Oc1ccccc1C(=O)O"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: item.path.name not in LONGEST)


@pytest.fixture(scope="session", autouse=True)
def cache_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A fresh cache for this session, shared by the processes of pytest-xdist; worker processes inherit it through the environment."""
    with pytest.MonkeyPatch.context() as patch:
        folder = str(tmp_path_factory.getbasetemp().parent / "cache" if "PYTEST_XDIST_WORKER" in os.environ else tmp_path_factory.mktemp("cache"))
        Path(folder).mkdir(exist_ok=True)
        patch.setenv("POTENTIAL_STUDIO_CACHE", folder)
        yield folder


@pytest.fixture(scope="session")
def aspirin() -> Structure:
    return Structure.from_smiles(ASPIRIN)


@pytest.fixture(scope="session")
def compiled_so3lr(cache_folder: str) -> SO3LR:
    """SO3LR with its compiled form in the cache of this session, about 100 s."""
    if compiler() is None:
        pytest.skip("there is no C++ compiler")
    so3lr = SO3LR()
    with FileLock(f"{cache_folder}/compile.lock"):  # another process of the tests may be at it
        so3lr.compile()
    return so3lr


@pytest.fixture(scope="session")
def exact_ethanol() -> Moving:
    """Ethanol among waters, the network in double precision."""
    return ethanol_and_waters()


@pytest.fixture(scope="session")
def ethanol(exact_ethanol: Moving, compiled_so3lr: SO3LR) -> Moving:
    """The same with the network as users have it: single precision, compiled."""
    return replace(exact_ethanol, potential=compiled_so3lr.bind(exact_ethanol.part.structure, device="cpu"))
