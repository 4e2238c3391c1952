"""Example scripts run, and print what they promise."""

import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = sorted((Path(__file__).parent.parent / "examples").glob("*.py"))
PROMISED = {
    "beads_and_back": ["18 beads with", "CG time   100 ps", "Atoms were built on the beads", "Relaxed: C-alphas moved by at most 0."],
    "binding_of_a_guest": ["Standard free energy of binding: -", "Do not trust this number", "- Does it settle?", "copies_crossing"],
    "binding_of_a_run": ["Interaction energy of the ligand", "VAL A93", "hydrogen bond N", "End-point binding energy -", "frames cover"],
    "disordered_chain": ["p27     107 residues, 0.095 mol/l salt: ", "measured 2.81 +- 0.18 nm, missed by", "sorted  107 residues"],
    "labels_of_a_peptide": ["22 atoms, 5 beads", "16 configurations at 300 and 330 K, of which 8 are taken", "8 mean forces at 300 K"],
    "learn_beads": ["22 atoms, 5 beads, ", "Forces on labels held out:", "the model: Failed", "prior only: Failed"],
    "ligand_and_gatekeeper": ["32 atoms and 11, 1 hydrogens", "network every", "ns/day"],
    "strain_of_a_series": ["ejm_31: strain mm", "so3lr", "measured dG -9.5", "bond C", "kcal/mol, "],
    "strain_of_a_pose": ["Sage", "SO3LR", "AIMNet2", "kcal/mol released"],
    "torsion_profile": ["MM describes this torsion badly, SO3LR says", "so3lr  gfn2-xtb", "-180 deg", "angle of the pose: 103 deg"],
    "series_by_two_workers": ["ejm_31: strain ", "4 ligands against experiment: RMSE ", "note: 4 ligands are few"],
    "watch_from_python": ["set 300 K", "set 400 K", "Paused at"],
}


@pytest.mark.slow
@pytest.mark.parametrize("script", EXAMPLES, ids=lambda path: path.stem)
def test_example(script: Path, tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, cwd=tmp_path, timeout=240)
    assert done.returncode == 0, done.stderr
    for words in PROMISED[script.stem]:
        assert words in done.stdout
    assert "Traceback" not in done.stderr
