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
    NotebookClient(notebook, timeout=1000, resources={"metadata": {"path": path.parent}}).execute()
    return notebook


CHECKS = {
    "01_what_is_a_neural_network_potential": """
gap = lambda x, y: np.sqrt(((found[x] - found[y]) ** 2).mean())
print(gap("SO3LR", "AIMNet2") < 0.5 * gap("SO3LR", "MM (Sage)"), "the networks agree better with each other than with MM")
print(stretch["MM (Sage)"][-1] > stretch["SO3LR"][-1] + 10, "MM's bond is a parabola")
print(all(abs(abs(angles[np.argmin(curve)]) - 90) <= 30 for curve in curves.values()), "the ester stands up from the ring")
print(len({round(b, 3) for b in barrier.values()}) == 3 and all(0 < b < 30 for b in barrier.values()), "barriers are different and sane")
""",
    "02_nnpmm_by_hand": """
print(abs(by_hand - by_couple) < 0.01, "the delta form by hand is what couple does")
print(np.abs(u_of_lambda - u_of_lambda[0] - lambdas * slope).max() < 0.01, "a straight line, whose slope is the bracket")
print(asked == [0, 1, 1, 1, 1], "no call of the network at lambda 0")
print(rms(bracket) > 0.45 * rms(mm_forces), "the bracket's forces are as large as half of what they correct")
print(rms(bracket - d_forces) < 0.4 * rms(bracket) and fitted.report.ratio < 0.3, "most of the bracket moves inside")
print(abs(energy(with_fit, shaken) - by_couple) < 0.01, "a refit leaves the energy as it was")
heat = {name: values for name, (_, values, _) in runs.items()}
print(len(heat["4 fs, no refit"]) < 15 or heat["4 fs, no refit"].max() > 1000, "4 fs without a refit boil the hydrogens")
print(len(heat["4 fs, with refit"]) == 25 and heat["4 fs, with refit"].mean() < 1.5 * heat["1 fs, the standard"].mean(), "4 fs with a refit do not")
print(runs["4 fs, with refit"][2] <= 300 / 4 + 2, "one call of the network per outer step")
depth = {name: -curve.min() for name, curve in pulled.items()}
print(depth["mechanical (MM charges)"] > depth["electrostatic + P1"] + 1 > depth["electrostatic"] + 2, "embedding weakens, polarisation gives part back")
print(all(abs(curve[distances > 0.7]).max() < 1 for curve in pulled.values()), "far away all agree")
print(len(side_chain.structure) == 5 and np.abs(given_back.sum(axis=0) - answer.forces.sum(axis=0)).max() < 1e-6, "a link hydrogen loses no force")
""",
    "03_the_studio_in_ten_minutes": """
print(len(cc) >= 3 and 1.4 < cc.mean() < 1.65 and 1.0 < ch.mean() < 1.2, "what is measured are a C-C and a C-H bond")
print(list(speeds) == ["nnp", "mm"] and min(speeds.values()) > 0, "both levels say how fast they are")
print(pulled.pull_force > 0 and "pull_work_kJ_mol" in table, "force and work of a pull are recorded")
print(lengths["nnp/mm"].std() > 3 * lengths["mm"].std(), "only the network's hydrogen swings")
print("Dynamics(" in script and "import" in script, "the run can be taken home")
""",
    "04_strain_of_a_bound_ligand": """
of = {pose: {name: result.values[f"{name}_strain_kcal_mol"] for name in asked[pose]} for pose, result in results.items()}
print(all(strain < 1.5 for strain in of["crystal"].values()), "the crystal pose is comfortable")
print(of["docked"]["so3lr"] > 2.5 > 1.0 > of["docked"]["mm"] and of["docked"]["gfn2-xtb"] > of["docked"]["mm"] + 0.5, "only MM does not mind the docked one")
print(worst == "C4-C8", "the network finds the bond that was turned")
print("badly" in table.rows[0][-1], "MM is told to be wrong about it")
heights = {curve.name: max(curve.y) for curve in curves.curves}
print(heights["GFN2-xTB"] > 1.5 * heights["MM"] and heights["SO3LR"] > 1.5 * heights["MM"], "two methods against one")
print(all(found[name, "gas"] > found[name, "water"] + 8 for name in ("mm", "so3lr")), "in vacuum the zwitterion folds")
print(by_count[0] < by_count[-1] - 0.5 and abs(by_count[-1] - by_count[-2]) < 0.3, "the search converges from below")
print(by_tolerance[0] > by_tolerance[-1] + 0.5, "a looser pose is less strained")
""",
    "05_host_guest_binding_from_sampling": """
print(abs(value - exact / KJ_PER_KCAL) < max(4 * error, 0.15), "windows and MBAR find the integral")
print(one_sided.ess < 0.3 * len(work), "of the unbound end's samples few count")
print(found.crossed == len(strengths) and np.allclose(found.overlap.sum(axis=1), 1), "copies travel, overlap is a probability")
print(len(guest) == 30 and short.ok and short.values["doubts"] >= 1, "a short run is doubted")
print(values["doubts"] == 0 and values["copies_crossing"] >= 2 and values["least_overlap"] > 0.03, "the long one is not")
print(abs(here - displaced) < 0.01, "the network does not feel the displacement")
""",
    "06_from_a_quantum_trained_potential_to_beads": """
print(found > floor, "a short run lies above its floor")
print(errors[0] > 1.5 * errors[-1], "longer averages are better labels")
print(model.card.held_out_error < 1.6 * model.card.label_error, "what was not learned from is known nearly as well as it can be")
js = {name: jensen_shannon(p, surface.probabilities) for name, surface in surfaces.items()}
print(js["learned"] < 0.5 * min(js["prior only"], js["shuffled forces"]), "labels matter, not the network")
print(not verdicts["prior only"].passed and not verdicts["shuffled forces"].passed, "controls fail")
print(replicas.set_aside == 0 and abs(replicas.temperature - 300) < 15, "all copies stay sane")
print(apart > 2 * np.sqrt((by_network.errors**2 + by_mm.errors**2).mean()), "the network's mean force is not MM's")
print(all(wanted[bond, "so3lr"] > wanted[bond, "mm"] + 0.01 for bond in ("ACE C - ALA N", "ALA C - NME N")), "peptide bonds are longer in vacuum")
print(lost > 0.2 and network_beads.card.held_out_error > 1.5 * network_beads.card.label_error, "too few labels are noticed without a reference")
print(card.state == "not gated" and len(studio.frames) > 1, "an own model is on the shelf, and moves")
""",
    "07_a_disordered_protein_beside_a_folded_one": """
print(len(native) == 297 and made[-10:].mean() > 0.95, "the native structure is the lowest")
print(hot < 0.5 and cold > hot + 0.15, "it comes apart when hot, and sets out for home in the cold")
print(sorted(sequences["p27"]) == sorted(sequences["sorted"]), "one composition")
print(all(inefficiency(values) > 5 for values in short.values()), "frames remember each other")
print(abs(found["p27"].value - measured["p27"][0]) < 2 * np.hypot(found["p27"].error, measured["p27"][1]), "the size of p27 is right within the errors")
print(abs(found["sorted"].value - measured["sorted"][0]) < 3 * np.hypot(found["sorted"].error, measured["sorted"][1]), "and that of the sorted chain")
print(block_mean(long["sorted_1"]).value > block_mean(long["sorted_0.05"]).value + 0.3, "salt opens what charges hold together")
print(0.4 < exponent < 0.65, "a chain, no ball")
print(q_swapped[-10:].mean() < 0.15 and "beads" in refusal, "the wrong model unfolds CDK2, or refuses")
""",
}


@pytest.mark.slow
@pytest.mark.timeout(1500)
@pytest.mark.parametrize("path", TUTORIALS, ids=lambda path: path.stem)
def test_tutorial(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POTENTIAL_STUDIO_DATA", str(tmp_path))
    notebook = executed(path, CHECKS[path.stem])
    verdicts = notebook.cells[-1].outputs[0].text.splitlines()
    assert verdicts
    assert [line for line in verdicts if not line.startswith("True")] == []
    errors = [output.text for cell in notebook.cells for output in cell.get("outputs", []) if output.get("name") == "stderr"]
    assert errors == [], "a student would see this"
    assert np.all([not cell.get("outputs") for cell in nbformat.read(path, as_version=4).cells]), "commit notebooks without output"
