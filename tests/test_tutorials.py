"""Tutorials run from top to bottom, without a warning on the screen, and say what their text claims."""

from pathlib import Path

import nbformat
import numpy as np
import pytest
from nbclient import NotebookClient

TUTORIALS = sorted((Path(__file__).parent.parent / "tutorials").glob("*.ipynb"))


def executed(path: Path, checks: str) -> nbformat.NotebookNode:
    notebook = nbformat.read(path, as_version=4)
    notebook.cells.append(nbformat.v4.new_code_cell(checks))
    NotebookClient(notebook, timeout=400, resources={"metadata": {"path": path.parent}}).execute()
    return notebook


CHECKS = {
    "01_what_is_a_neural_network_potential": """
gap = lambda x, y: np.sqrt(((found[x] - found[y]) ** 2).mean())
print(gap("SO3LR", "AIMNet2") < 0.5 * gap("SO3LR", "MM (Sage)"), "the networks agree better with each other than with MM")
print(stretch["MM (Sage)"][-1] > stretch["SO3LR"][-1] + 10, "MM's bond is a parabola")
print(all(abs(abs(angles[np.argmin(curve)]) - 90) <= 30 for curve in curves.values()), "the ester stands up from the ring")
print(len({round(b, 3) for b in barrier.values()}) == 3 and all(0 < b < 30 for b in barrier.values()), "barriers are different and sane")
""",
}


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("path", TUTORIALS, ids=lambda path: path.stem)
def test_tutorial(path: Path) -> None:
    notebook = executed(path, CHECKS[path.stem])
    verdicts = notebook.cells[-1].outputs[0].text.splitlines()
    assert verdicts
    assert [line for line in verdicts if not line.startswith("True")] == []
    errors = [output.text for cell in notebook.cells for output in cell.get("outputs", []) if output.get("name") == "stderr"]
    assert errors == [], "a student would see this"
    assert np.all([not cell.get("outputs") for cell in nbformat.read(path, as_version=4).cells]), "commit notebooks without output"
