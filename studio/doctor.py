"""Doctor: what of this installation works, what does not, and what to do about it.

Looks at packages, devices and files; changes nothing.
"""

import importlib.util
import json
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import distribution
from pathlib import Path

from studio import plugins
from studio.errors import StudioError
from studio.result import versions


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at: what, whether it works, and a sentence."""

    subject: str
    ok: bool
    text: str


def examine() -> list[Finding]:
    """Look at everything; takes some seconds, since it loads the engines and the weights."""
    checks: tuple[Callable[[], Iterator[Finding]], ...] = (_packages, _machine, _engines, _weights, _compiled, _viewer, _disk)
    return [finding for check in checks for finding in check()]


def _packages() -> Iterator[Finding]:
    for name, version in versions().items():
        missing = version == "not installed"
        yield Finding(name, not missing, "not installed; run `make studio` again" if missing else version)


def _machine() -> Iterator[Finding]:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    yield Finding("processor cores", True, f"{cores}")


def _engines() -> Iterator[Finding]:
    import openmm
    import torch

    platforms = [openmm.Platform.getPlatform(i).getName() for i in range(openmm.Platform.getNumPlatforms())]
    advice = "" if "CUDA" in platforms else "; with an NVIDIA GPU: pip install 'potential-studio[cuda12]'"
    yield Finding("OpenMM platforms", "CPU" in platforms, ", ".join(platforms) + advice)
    cuda = torch.cuda.is_available()
    yield Finding("networks run on", True, f"CUDA ({torch.cuda.get_device_name()})" if cuda else "CPU")


def _weights() -> Iterator[Finding]:
    from studio.potentials.catalogue import ready_cards
    from studio.structure import Structure

    water, ready = Structure.from_smiles("O"), ready_cards()
    for name in ready:
        try:
            potential = plugins.load("studio.potentials", name)()
            energy = potential.bind(water)(water.positions).energy
        except StudioError as problem:
            yield Finding(f"potential {name}", False, str(problem))
        else:
            yield Finding(f"potential {name}", True, f"{potential.card.title}: weights verified, energy of water {energy:.1f} kJ/mol")
    more = len(plugins.names("studio.potentials")) - len(ready)
    yield Finding("other potentials", True, f"{more} more models: `potential-studio models`")


def _compiled() -> Iterator[Finding]:
    from studio.potentials.compiled import compiler

    try:
        missing = [path for path in compiled_packages() if not path.exists()]
    except StudioError as problem:
        yield Finding("compiled so3lr", False, str(problem))
        return
    found = compiler()
    speed = "SO3LR works, at a third of the speed" if missing else "there"
    advice = f"; {'' if found else 'install a C++ compiler (on Debian: apt install g++) and '}run `potential-studio compile` (about 100 s, once)"
    yield Finding("compiled so3lr", True, speed + (advice if missing else ""))
    yield Finding("C++ compiler", True, found or "none found; needed only to compile a network")


def compiled_packages() -> tuple[Path, ...]:
    """Where the compiled form of SO3LR lies on this machine, or would lie.

    Raises:
        WeightsError: Its weights are missing or are not the known file.
    """
    from studio.potentials.so3lr import SO3LR
    from studio.structure import Structure

    return SO3LR().bind(Structure.from_smiles("O"), device="cpu").compiled_packages


def _viewer() -> Iterator[Finding]:
    yield _nglview()
    browser = next((path for name in ("chromium", "google-chrome", "chrome", "firefox") if (path := shutil.which(name))), None)
    advice = (
        "The 3D view needs WebGL; if it stays blank, open chrome://gpu (or about:support in Firefox) and look for WebGL, or switch on hardware acceleration."
    )
    yield Finding("browser", True, f"{browser or 'none found on the path (any modern one will do)'}. {advice}")


def _nglview() -> Finding:
    """Compare the versions that nglview's Python and its front end claim: Jupyter shows nothing where they differ (nglview 4.0.1)."""
    if importlib.util.find_spec("nglview") is None:
        return Finding("nglview", False, "not installed; run `make studio` again")
    package = distribution("nglview")
    root = Path(str(package.locate_file("nglview")))
    claimed = _between((root / "_frontend.py").read_text(encoding="utf-8"), "__frontend_version__")
    manifest = Path(sys.prefix) / "share" / "jupyter" / "labextensions" / "nglview-js-widgets" / "package.json"
    if not manifest.exists():
        return Finding("nglview", False, f"{package.version}: its JupyterLab extension is not in {manifest.parent}; reinstall nglview==3.1.4")
    shipped = json.loads(manifest.read_text(encoding="utf-8"))["version"]
    same = claimed == shipped
    advice = "" if same else ": JupyterLab will show nothing; install nglview==3.1.4"
    return Finding("nglview", same, f"{package.version}, Python expects front end {claimed}, installed front end is {shipped}{advice}")


def _between(text: str, name: str) -> str:
    """The string that is assigned to `name` in a line of `text`."""
    line = next((line for line in text.splitlines() if line.strip().startswith(name)), "= ''")
    return line.split("=", 1)[1].strip().strip("'\"")


def _disk() -> Iterator[Finding]:
    from studio.files import cache_folder

    place = cache_folder()
    parent = next(path for path in (place, *place.parents) if path.exists())
    free = shutil.disk_usage(parent).free / 2**30
    yield Finding("cache", free > 1.0 and os.access(parent, os.W_OK), f"{place}, {free:.0f} GiB free")
