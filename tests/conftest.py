"""What all tests share: a cache folder of their own, filled once a session, so that no test reads or fills the user's."""

from collections.abc import Iterator

import pytest

from studio.structure import Structure

ASPIRIN = "CC(=O)Oc1ccccc1C(=O)O"


@pytest.fixture(scope="session", autouse=True)
def cache_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A fresh cache for this session; worker processes inherit it through the environment."""
    with pytest.MonkeyPatch.context() as patch:
        folder = str(tmp_path_factory.mktemp("cache"))
        patch.setenv("POTENTIAL_STUDIO_CACHE", folder)
        patch.setenv("OMP_NUM_THREADS", "1")  # networks of small molecules are fastest on one thread, above all where tests share two cores
        yield folder


@pytest.fixture(scope="session")
def aspirin() -> Structure:
    return Structure.from_smiles(ASPIRIN)
