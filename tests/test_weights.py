"""Files of weights: the hash decides before anything is interpreted."""

import hashlib
import io
import pickle
import types

import pytest
import torch

from studio.errors import MissingPackageError, WeightsError
from studio.potentials import aimnet2, so3lr, weights
from studio.potentials.aimnet2 import AIMNet2
from studio.potentials.so3lr import SO3LR
from studio.potentials.weights import WeightsFile, locate, read_state, read_verified
from studio.testing import water


@pytest.fixture
def no_reading(monkeypatch):
    def never(*_, **__):
        raise AssertionError("bytes of the wrong file were interpreted")

    monkeypatch.setattr(torch, "load", never)
    monkeypatch.setattr(torch.jit, "load", never)


@pytest.mark.parametrize("file", [so3lr.WEIGHTS, aimnet2.WEIGHTS], ids=lambda f: f.package)
def test_the_installed_files_are_the_known_ones(file):
    assert hashlib.sha256(read_verified(file)).hexdigest() == file.sha256


@pytest.mark.parametrize("potential", [SO3LR, AIMNet2])
def test_wrong_file_is_refused_before_it_is_interpreted(potential, tmp_path, no_reading):
    path = tmp_path / "other.model"
    path.write_bytes(b"not the weights")
    with pytest.raises(WeightsError, match=r"other\.model are not the known file: expected SHA-256 [0-9a-f]{64}, got [0-9a-f]{64}"):
        potential(weights=path).bind(water())


def test_one_changed_byte_in_the_package_is_found(monkeypatch, tmp_path, no_reading):
    content = bytearray(read_verified(so3lr.WEIGHTS))
    content[1000] ^= 1
    path = tmp_path / "so3lr.model"
    path.write_bytes(content)
    monkeypatch.setattr(weights, "locate", lambda file: path)
    with pytest.raises(WeightsError, match=r"pip install --force-reinstall --no-deps so3krates-torch==0\.2\.1"):
        SO3LR().bind(water())


def test_a_copy_of_the_right_file_works(tmp_path):
    path = tmp_path / "copy.model"
    path.write_bytes(read_verified(so3lr.WEIGHTS))
    structure = water()
    assert SO3LR(weights=path).bind(structure)(structure.positions).energy == SO3LR().bind(structure)(structure.positions).energy


@pytest.mark.parametrize("potential", [SO3LR, AIMNet2])
def test_missing_file(potential, tmp_path):
    with pytest.raises(WeightsError, match=r"cannot be read: No such file"):
        potential(weights=tmp_path / "nowhere.model").bind(water())


def test_missing_package():
    absent = WeightsFile("package_that_is_not_there", "x.model", "0" * 64, "absent==1.0")
    with pytest.raises(MissingPackageError, match=r"absent, which is not installed\. Run: pip install absent==1\.0"):
        locate(absent)


def test_tensors_are_read_without_their_classes():
    layer = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.LayerNorm(3))
    stream = io.BytesIO()
    torch.save(layer, stream)
    tensors, attributes = read_state(stream.getvalue())
    assert set(tensors) == set(layer.state_dict())
    assert all(torch.equal(tensors[name], tensor) for name, tensor in layer.state_dict().items())
    assert attributes["training"] is True


def test_a_pickle_that_wants_to_run_code_is_refused():
    class Evil:
        def __reduce__(self):
            return eval, ("1 / 0",)

    stream = io.BytesIO()
    torch.save(types.SimpleNamespace(x=Evil()), stream, pickle_module=pickle)
    with pytest.raises(WeightsError, match="which a file of tensors has no need for"):
        read_state(stream.getvalue())
