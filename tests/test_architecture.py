"""The shape of the house: what may be imported when, and that README tells the truth."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
HEAVY = {"torch", "openmm", "rdkit", "panel", "param", "bokeh", "ipywidgets", "nglview", "openff", "mdtraj", "scipy"}


def modules_after(statement: str) -> set[str]:
    code = f"{statement}\nimport sys; print(' '.join({{name.split('.')[0] for name in sys.modules}}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_import_studio_loads_no_engine_and_no_screen() -> None:
    assert not modules_after("import studio") & HEAVY


@pytest.mark.parametrize("name", ["Structure", "Dynamics", "Run", "View", "System", "SO3LR", "AIMNet2Ensemble", "GFN2xTB", "OpenMMML", "MLFragment", "total"])
def test_settings_load_no_engine(name: str) -> None:
    assert not modules_after(f"from studio import {name}") & (HEAVY - {"rdkit", "scipy"})


def test_every_public_name_exists() -> None:
    import studio

    for name in studio.__all__:
        assert getattr(studio, name) is not None
    with pytest.raises(AttributeError, match="studio has no 'Strcture'; it has"):
        _ = studio.Strcture


def readme_block() -> str:
    return re.search(r"```python\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL).group(1)


def test_the_block_in_readme_runs(tmp_path: Path) -> None:
    block = readme_block()
    assert len(block.splitlines()) <= 15
    done = subprocess.run([sys.executable, "-c", block], capture_output=True, text=True, cwd=tmp_path, timeout=240)
    assert done.returncode == 0, done.stderr
    assert "kcal/mol" in done.stdout


def test_readme_names_what_exists() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    for picture in re.findall(r"!\[[^\]]*\]\(([^)]+)\)", text):
        assert (ROOT / picture).exists()
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for target in re.findall(r"`make (\w+)", text):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), f"README names make {target}"


@pytest.mark.parametrize("folder", ["studio", "widgets", "tests", "examples", "tutorials"])
def test_nothing_names_a_machine(folder: str) -> None:
    forbidden = re.compile(r"/(work|root|home)/\w|files\.pythonhosted|download\.pytorch|deb\.debian")
    for path in (ROOT / folder).rglob("*"):
        if path.suffix in {".py", ".js", ".css", ".ipynb", ".md", ".json", ".toml"} and path.name != Path(__file__).name and "screenshots" not in path.parts:
            assert not forbidden.search(path.read_text(encoding="utf-8")), path
