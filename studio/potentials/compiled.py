"""Compiled: a network's arithmetic as machine code, made once per machine and kept in the cache.

Torch's ahead-of-time compiler turns a function of tensors into a package for any number of atoms and pairs; loading one takes
milliseconds. Making one takes a C++ compiler and about 50 s, so that it is done in a process of its own while the plain
form works. This file knows functions of tensors and files; it must not know any one network.
"""

import contextlib
import hashlib
import logging
import os
import platform
import shutil
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING
from zipfile import BadZipFile, ZipFile

from studio.errors import MissingPackageError
from studio.files import cache_folder, storage

if TYPE_CHECKING:
    from torch import Tensor

logger = logging.getLogger(__name__)

Function = Callable[..., "tuple[Tensor, ...]"]
STALE_SECONDS = 900.0
"""A package that somebody else began to make so long ago will not come."""


def package_path(name: str, *parts: str) -> Path:
    """Where the package of a function lies; another torch, processor or source text has another place.

    Args:
        name: What the function is, for people.
        parts: All text that determines the function: source, settings.
    """
    import torch

    machine = (torch.__version__, platform.machine(), torch.backends.cpu.get_cpu_capability(), Path(__file__).read_text(encoding="utf-8"))
    return cache_folder() / "compiled" / f"{name}-{hashlib.sha256(chr(0).join((*machine, *parts)).encode()).hexdigest()[:24]}.pt2"


def load_package(path: Path) -> Function | None:
    """The compiled function, or none where there is none that this user made.

    Args:
        path: From `package_path`.
    """
    if not path.is_file() or (hasattr(os, "getuid") and path.stat().st_uid != os.getuid()):  # it is code: nobody else's is run
        return None
    from torch._inductor import aoti_load_package

    try:
        _check_sums(path)
        run = aoti_load_package(str(path))
    except (RuntimeError, OSError, ValueError, BadZipFile) as problem:
        logger.warning("The compiled network %s cannot be loaded and is not used; delete it and run `potential-studio compile`: %s", path, problem)
        return None

    def call(*tensors: "Tensor") -> "tuple[Tensor, ...]":
        return tuple(run(*tensors))

    return call


def _check_sums(path: Path) -> None:
    """Torch does not look at the archive's checksums.

    Raises:
        BadZipFile: The package is damaged.
    """
    with ZipFile(path) as archive:
        if damaged := archive.testzip():
            raise BadZipFile(f"{damaged} is damaged")


def compiler() -> str | None:
    """The C++ compiler that torch would use, or none."""
    return next((found for name in (os.environ.get("CXX"), "g++", "clang++", "c++") if name and (found := shutil.which(name))), None)


def make_package(function: Function, example: "Sequence[Tensor]", growing: Sequence[bool], path: Path) -> bool:
    """Compile `function` for tensors like those of `example`; about 50 s.

    Args:
        function: Of tensors, may differentiate inside.
        example: Arguments; sizes that differ from each other are taken for different sizes.
        growing: For each argument whether the length of its first dimension is free.
        path: Where to put the package, from `package_path`.

    Returns:
        False if another process is at it or the package is there already.

    Raises:
        MissingPackageError: There is no C++ compiler.
        StorageError: The package cannot be written.
    """
    if compiler() is None:
        raise MissingPackageError("Without a C++ compiler the network is not compiled; it works, at a third of the speed. On Debian: apt install g++.")
    with storage(path.parent), _claim(path) as mine:
        if mine:
            part = path.with_suffix(f".{os.getpid()}.pt2")
            try:
                _compile(function, tuple(example), growing, part)
                part.replace(path)
            finally:
                part.unlink(missing_ok=True)
    return mine


def _compile(function: Function, example: "tuple[Tensor, ...]", growing: Sequence[bool], path: Path) -> None:
    import torch
    from torch._inductor import aoti_compile_and_package
    from torch.export import Dim, export
    from torch.fx.experimental.proxy_tensor import make_fx

    # Export alone cannot differentiate: the graph with its backward pass is traced first.
    graph = make_fx(function, tracing_mode="symbolic", _allow_non_fake_inputs=True)(*example)

    class Traced(torch.nn.Module):
        def forward(self, *tensors: "Tensor") -> "tuple[Tensor, ...]":
            answer: tuple[Tensor, ...] = graph(*tensors)
            return answer

    shapes = tuple({0: Dim.DYNAMIC} if free else None for free in growing)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's own deprecations
        exported = export(Traced(), example, dynamic_shapes=(shapes,), strict=False)
        # One thread: a molecule is too small for two, and parallel loops made copies slower as well (4.4 against 2.6 ms a copy).
        aoti_compile_and_package(exported, package_path=str(path), inductor_configs={"cpp.threads": 1})


@contextlib.contextmanager
def _claim(path: Path) -> Iterator[bool]:
    """True for the one process that is to make `path`; a claim that got old is taken over."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    claim = path.with_suffix(".claim")
    with contextlib.suppress(FileNotFoundError):
        if _age(claim) > STALE_SECONDS:
            claim.unlink()
    try:
        claim.touch(exist_ok=False)
    except FileExistsError:
        yield False
        return
    try:
        yield not path.exists()
    finally:
        claim.unlink(missing_ok=True)


def _age(path: Path) -> float:
    from time import time

    return time() - path.stat().st_mtime
