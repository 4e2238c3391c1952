"""Learned beads: forces are slopes, what was learned is what was taught, replicas keep their temperature, and files are read safely."""

import hashlib
import json
import pickle
from collections import OrderedDict
from dataclasses import replace
from pathlib import Path
from time import perf_counter

import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result

from studio.cli import main
from studio.coarse import shelf
from studio.coarse.batched import BeadReplicas
from studio.coarse.card import GateLine
from studio.coarse.chain import torsion_of
from studio.coarse.coordinates import Coordinates, copies_first, copies_last
from studio.coarse.foreign import open_checkpoint
from studio.coarse.labels import Labels
from studio.coarse.learned import LearnedModel, layout_of
from studio.coarse.learned_beads import Learned
from studio.coarse.mapping import atomic_masses, map_protein
from studio.coarse.network import NETWORKS
from studio.coarse.prior import Prior
from studio.coarse.shape import stretches
from studio.coarse.training import Epoch, Training, calibrated, fit
from studio.errors import PluginError, SettingsError, SimulationError, StoppedError, StorageError, StructureError, UnsupportedError, WeightsError
from studio.hybrid.view import View
from studio.levels import LearnedLevel
from studio.recipes import let_go
from studio.recipes.dynamics import Dynamics
from studio.run import Run
from studio.structure import Structure
from studio.system import FromSequence, FromSmiles, Implicit, System
from studio.units import BOLTZMANN
from tests.bead_teachers import DIPEPTIDE, SHIPPED_LABELS, Teacher, dipeptide, jensen_shannon, slope, surface_of
from tests.test_run import next_frame

MIRROR = np.array([1.0, 1.0, -1.0])
QUICK = Training(epochs=60, members=2, hidden=32)


@pytest.fixture(scope="module")
def beads() -> Structure:
    return dipeptide()[0].beads


@pytest.fixture(scope="module")
def teacher(beads: Structure) -> Teacher:
    return Teacher(beads)


def moved(teacher: Teacher, beads: Structure, kelvin: float = 300.0, replicas: int = 64) -> np.ndarray:
    """Positions that a model has at a temperature."""
    held = BeadReplicas(teacher, np.repeat(beads.positions[None], replicas, axis=0), dipeptide()[1], kelvin, seed=1)
    held.advance(500)
    frames = []
    for _ in range(10):
        held.advance(100)
        frames.append(held.positions)
    return np.concatenate(frames)


@pytest.fixture(scope="module")
def sampled(teacher: Teacher, beads: Structure) -> np.ndarray:
    return moved(teacher, beads)


@pytest.fixture(scope="module")
def model(teacher: Teacher, beads: Structure, sampled: np.ndarray) -> LearnedModel:
    """Quickly learned, and rough."""
    return fit(teacher.labels(sampled[:300]), beads, dipeptide()[1], QUICK)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's data folder, and no shipped models."""
    monkeypatch.setenv("POTENTIAL_STUDIO_DATA", str(tmp_path / "home"))
    monkeypatch.setattr(shelf, "SHIPPED", tmp_path / "shipped")
    return tmp_path / "home"


def gated(model: LearnedModel, *, passed: bool = True) -> LearnedModel:
    gate = GateLine(name="JS20", value=0.01 if passed else 0.3, limit=0.02, passed=passed)
    return replace(model, card=model.card.model_copy(update={"name": "mine", "reference": "a teacher", "gates": (gate,)}))


# --- coordinates, prior, networks


def test_torsions_have_their_sign(beads: Structure) -> None:
    grid = Coordinates.of(beads, torch.float64)
    for places in (beads.positions, beads.positions * MIRROR):
        turns = grid(copies_last(torch.tensor(places)[None])).turns[:, 0]
        assert torch.atan2(*turns.chunk(2)).numpy() == pytest.approx(torsion_of(places, grid.fours), abs=1e-9)


def test_forces_along_coordinates_are_slopes_by_torch(beads: Structure, sampled: np.ndarray) -> None:
    """Each distance, angle and torsion by itself, against automatic differentiation."""
    grid, places = Coordinates.of(beads, torch.float64), torch.tensor(sampled[:20])
    _, jacobian = grid.jacobian(copies_last(places))
    for row in range(grid.count):
        wanted = slope(lambda x, row=row: grid(copies_last(x)).values[row], places)
        assert jacobian[:, :, row].reshape(20, 5, 3).numpy() == pytest.approx(wanted.numpy(), abs=1e-8), row


def test_the_slopes_of_a_prior_are_its_own(sampled: np.ndarray) -> None:
    chain = System(source=FromSequence(sequence="GAGAG")).prepare()
    longer = map_protein(chain, "backbone").beads
    places = longer.positions + 0.01 * np.random.default_rng(0).normal(size=(30, len(longer), 3))
    prior, grid = Prior.fit(places, longer, 300.0, twist=True), Coordinates.of(longer, torch.float64)
    assert (prior.reach > 0).any()
    assert (prior.twisting > 0).all()
    seen = grid(copies_last(torch.tensor(places)))
    ours = copies_first(grid.forces(seen, prior.slopes(seen)))
    assert ours.numpy() == pytest.approx(slope(lambda x: prior.energy(x, grid), torch.tensor(places)).numpy(), rel=1e-6, abs=1e-5)


def test_a_prior_recovers_what_made_the_spread(beads: Structure) -> None:
    """Bonds and angles drawn from known springs: a molecule of independent coordinates gives its springs back."""
    rng, heat, count = np.random.default_rng(0), BOLTZMANN * 300.0, 4000
    bond, angle = 0.14 + np.sqrt(heat / 2e5) * rng.normal(size=(count, 2)), 2.0 + np.sqrt(heat / 300.0) * rng.normal(size=count)
    three = beads.take(np.arange(3))
    places = np.zeros((count, 3, 3))
    places[:, 0, 0] = bond[:, 0]
    places[:, 2] = bond[:, 1, None] * np.stack([np.cos(angle), np.sin(angle), np.zeros(count)], axis=1)
    prior = Prior.fit(places, three, 300.0)
    assert prior.stiffness[[0, 2]] == pytest.approx(2e5, rel=0.07)
    assert prior.bending == pytest.approx(300.0, rel=0.07)
    assert (prior.lengths[0], prior.angles[0]) == pytest.approx((0.14, 2.0), rel=1e-3)
    assert Prior.from_state(prior.state()).stiffness == pytest.approx(prior.stiffness)


@pytest.mark.parametrize("kind", ["internal", "graph"])
def test_the_forces_of_a_network_are_the_slopes_of_its_energy(kind: str, teacher: Teacher, beads: Structure, sampled: np.ndarray) -> None:
    labels = teacher.labels(sampled[:60])
    model = fit(labels, beads, dipeptide()[1], Training(network=kind, epochs=2, members=3, hidden=16, held_out=0.2))
    places = torch.tensor(sampled[100:140], dtype=torch.float32)
    energies, forces = model.energies_forces(places)
    wanted = slope(model.energy, places)
    scale = float(wanted.abs().max())
    assert forces.numpy() == pytest.approx(wanted.numpy(), abs=2e-5 * scale)
    assert energies.shape == (40,)
    assert model.member_forces(places).mean(0).numpy() == pytest.approx(forces.numpy(), abs=2e-5 * scale)
    assert model.forces(copies_last(places)).permute(2, 0, 1).numpy() == pytest.approx(forces.numpy())
    assert (model.spread(places) > 0).all()
    assert forces.sum(1).abs().max() < 1e-4 * scale, "no force moves the whole"


def test_a_network_is_a_sum_over_stretches_of_the_chain() -> None:
    """Three residues: forces are slopes, and without the part that sees all, what the ends do is independent of one another."""
    three = System(source=FromSequence(sequence="AAA"), surroundings=Implicit()).prepare()
    mapping = map_protein(three, "backbone")
    chain, random = mapping.beads, np.random.default_rng(0)
    seen = stretches(chain)
    assert [(min(stretch), max(stretch), len(stretch)) for stretch in seen] == [(0, 4, 5), (3, 7, 5), (6, 10, 5), (0, 7, 8), (3, 10, 8), (0, 10, 11)]
    places = chain.positions + 0.01 * random.normal(size=(60, 11, 3))
    labels = Labels(places, 100.0 * random.normal(size=(60, 11, 3)), np.ones((60, 11, 3)), 300.0)
    model = fit(labels, chain, atomic_masses(three)[mapping.sites], Training(epochs=2, members=2, hidden=16))
    assert (model.card.network.hidden, model.card.network.stretches) == (8, seen)
    some = torch.tensor(places[:10], dtype=torch.float32)
    forces = model.energies_forces(some)[1]
    assert forces.numpy() == pytest.approx(slope(model.energy, some).numpy(), abs=2e-5 * float(forces.abs().max()))
    assert model.member_forces(some).mean(0).numpy() == pytest.approx(forces.numpy(), abs=2e-5 * float(forces.abs().max()))

    def coupling(model: LearnedModel) -> float:
        ends = torch.tensor(np.stack([places[0], places[0], places[0], places[0]]), dtype=torch.float32)
        ends[1::2, 0, 0] += 0.02
        ends[2:, 10, 0] += 0.02
        one, first, last, both = model.network.energies(model.coordinates(copies_last(ends)).values).double()[0]
        return abs(float(one + both - first - last))

    deaf = {**model.weights, "w3": model.weights["w3"].clone()}
    deaf["w3"][:, -1] = 0.0
    assert coupling(replace(model, weights=deaf)) < 1e-5 < 1e-4 < coupling(model)


@pytest.mark.parametrize("kind", ["internal", "graph"])
def test_a_molecule_and_its_mirror_image_differ(kind: str, teacher: Teacher, beads: Structure, sampled: np.ndarray) -> None:
    """A network of distances alone would give both the same energy, and L peptides would fold like D."""
    model = fit(teacher.labels(sampled[:200]), beads, dipeptide()[1], Training(network=kind, epochs=60, members=1, hidden=16))
    places = sampled[300:340]
    own, other = (model.energies_forces(torch.tensor(x, dtype=torch.float32))[0].numpy() for x in (places, places * MIRROR))
    turn, _ = np.linalg.qr(np.random.default_rng(0).normal(size=(3, 3)))
    turned = model.energies_forces(torch.tensor(places @ (turn * np.sign(np.linalg.det(turn))) + 3.0, dtype=torch.float32))[0].numpy()
    assert turned == pytest.approx(own, abs=0.05), "turned and shifted"
    assert (own - other).mean() < -5.0, "the teacher favours one hand by some 20 kJ/mol"


# --- training


def test_what_is_taught_is_learned(teacher: Teacher, beads: Structure, sampled: np.ndarray) -> None:
    """From 400 noisy labels the same surface of torsions."""
    heard: list[Epoch] = []
    model = fit(teacher.labels(sampled[:400]), beads, dipeptide()[1], Training(epochs=120, members=2), heard.append)
    assert {epoch.member for epoch in heard} == {0, 1}
    assert [epoch.epoch for epoch in heard if epoch.member == 0] == list(range(1, 121))
    assert heard[-1].held_out < heard[0].held_out
    fresh = sampled[450:]
    exact = copies_first(teacher.forces(copies_last(torch.tensor(fresh, dtype=torch.float32)))).numpy()
    missed = model.energies_forces(torch.tensor(fresh, dtype=torch.float32))[1].numpy() - exact
    assert np.sqrt((missed**2).mean()) < 90.0, "labels were 60 off, and stiff directions count least"
    ours = BeadReplicas(model, sampled[-64:], dipeptide()[1], seed=3)
    frames = []
    for _ in range(20):
        ours.advance(100)
        frames.append(ours.positions)
    grid = teacher.coordinates
    found = jensen_shannon(surface_of(np.concatenate(frames), grid, 10), surface_of(sampled, grid, 10))
    shuffled = jensen_shannon(surface_of(sampled * MIRROR, grid, 10), surface_of(sampled, grid, 10))
    assert found < 0.08
    assert shuffled > 0.3, "negative control: the other hand"


def test_training_stops_when_told(teacher: Teacher, beads: Structure, sampled: np.ndarray) -> None:
    heard: list[int] = []
    fit(teacher.labels(sampled[:60]), beads, dipeptide()[1], QUICK, lambda epoch: heard.append(epoch.epoch) or epoch.epoch < 3)
    assert max(heard) == 3


def test_training_repeats(teacher: Teacher, beads: Structure, sampled: np.ndarray, model: LearnedModel) -> None:
    again = fit(teacher.labels(sampled[:300]), beads, dipeptide()[1], QUICK)
    assert again.key == model.key
    assert again.card == model.card


def test_the_spread_is_calibrated_on_what_was_held_out(model: LearnedModel, teacher: Teacher, sampled: np.ndarray) -> None:
    """On labels that it never saw, the mean squared spread is the mean squared error."""
    held = teacher.labels(sampled[320:600], seed=4)
    judged = calibrated(model, held)
    places = torch.tensor(held.positions, dtype=torch.float32)
    missed = ((judged.energies_forces(places)[1].numpy() - held.forces) ** 2).sum(2).mean() - 3 * 60.0**2
    assert float((judged.spread(places) ** 2).mean()) == pytest.approx(missed, rel=0.02)
    assert judged.card.label_error == pytest.approx(60.0)
    assert -1.0 <= judged.card.rank_correlation <= 1.0
    assert judged.card.held_out_error > 60.0


def test_what_cannot_be_learned_is_refused(teacher: Teacher, beads: Structure, sampled: np.ndarray) -> None:
    with pytest.raises(SettingsError, match="at least 20 labels; got 5"):
        fit(teacher.labels(sampled[:5]), beads, dipeptide()[1])
    with pytest.raises(StructureError, match="of 5 beads"):
        fit(teacher.labels(sampled[:50]), beads.take(np.arange(4)), dipeptide()[1][:4])
    with pytest.raises(SettingsError, match="at least 10 positions"):
        Prior.fit(sampled[:3], beads, 300.0)


@pytest.mark.skipif(not SHIPPED_LABELS.exists(), reason="no labels are shipped")
def test_the_shipped_labels_teach_alanine_dipeptide(beads: Structure) -> None:
    """On real mean forces, within a minute: most of the force is learned, and what is not is near the noise of the labels."""
    start = perf_counter()
    model = fit(Labels.load(SHIPPED_LABELS), beads, dipeptide()[1], Training(members=2))
    assert perf_counter() - start < 60.0
    assert model.card.held_out_error < 2.0 * model.card.label_error
    assert model.card.network.kind == "internal"


# --- replicas


@pytest.mark.parametrize("kelvin", [300.0, 450.0])
def test_replicas_have_the_temperature_of_the_thermostat(teacher: Teacher, beads: Structure, kelvin: float) -> None:
    """With bonds as stiff as real ones at 2 fs: kinetic temperature, and widths of bonds by equipartition."""
    replicas = BeadReplicas(teacher, np.repeat(beads.positions[None], 64, axis=0), dipeptide()[1], kelvin, friction=20.0)
    replicas.advance(300)
    seen, bonds = [], []
    for _ in range(60):
        replicas.advance(20)
        seen.append(replicas.temperature)
        bonds.append(np.linalg.norm(replicas.positions[:, 1] - replicas.positions[:, 2], axis=1))
    assert np.mean(seen) == pytest.approx(kelvin, rel=0.02)
    assert 2.5e5 * np.var(np.concatenate(bonds)) / (BOLTZMANN * kelvin) == pytest.approx(1.0, abs=0.08)
    assert replicas.set_aside == 0
    assert replicas.time == pytest.approx(1500 * 0.002)


def test_replicas_go_on_from_a_checkpoint(model: LearnedModel, sampled: np.ndarray, tmp_path: Path, teacher: Teacher) -> None:
    replicas = BeadReplicas(model, sampled[:8], dipeptide()[1], seed=5)
    replicas.advance(100)
    replicas.save(tmp_path / "replicas.npz")
    replicas.advance(100)
    again = BeadReplicas(model, sampled[:8], dipeptide()[1], seed=6)
    again.load(tmp_path / "replicas.npz")
    assert again.step == 100
    again.advance(100)
    assert np.array_equal(again.positions, replicas.positions)
    with pytest.raises(StorageError, match="another model"):
        BeadReplicas(teacher, sampled[:8], dipeptide()[1]).load(tmp_path / "replicas.npz")
    (tmp_path / "torn.npz").write_bytes((tmp_path / "replicas.npz").read_bytes()[:200])
    with pytest.raises(StorageError, match="expected a checkpoint of replicas, but it is damaged"):
        again.load(tmp_path / "torn.npz")


@pytest.mark.parametrize(("end", "often"), [(StoppedError, 1e9), (KeyboardInterrupt, 0.0)])
def test_replicas_that_were_broken_off_give_the_frames_of_those_that_were_not(
    model: LearnedModel, sampled: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, end: type[BaseException], often: float
) -> None:
    """Stopped, or killed after a checkpoint; before frames are counted, and after."""
    monkeypatch.setattr(let_go, "OFTEN", often)
    trial, seen = let_go.Trial(replicas=8, steps=400, interval=20), []

    def gone(key: str, last: float) -> np.ndarray:
        def look(fraction: float, _now: np.ndarray, _frames: np.ndarray) -> None:
            seen.append(fraction)
            if fraction == last:
                raise end("Enough.")

        return let_go.let_go(model, sampled[:8], trial, look, temperature=300.0, seed=3, halt=let_go.Halt(tmp_path / "halted.npz", key))[0]

    whole = gone("alone", 0.0)
    assert whole.shape == (80, 5, 3)
    seen.clear()
    for last in (0.25, 0.7):
        with pytest.raises(end):
            gone("broken off", last)
    assert np.array_equal(gone("broken off", 0.0), whole)
    assert seen == [step / 20 for step in range(1, 21)], "no step is done twice"
    with pytest.raises(end):
        gone("something else", 0.05)


def test_a_replica_that_leaves_physics_is_set_aside_and_the_others_go_on(teacher: Teacher, sampled: np.ndarray) -> None:
    start = sampled[:6].copy()
    start[2, 0] += 5.0
    replicas = BeadReplicas(teacher, start, dipeptide()[1])
    replicas.advance(200)
    assert replicas.set_aside == 1
    assert replicas.alive.tolist() == [True, True, False, True, True, True]
    assert np.isfinite(replicas.positions).all()
    assert replicas.positions[2] == pytest.approx(start[2], abs=1e-5), "where it was last sane"
    with pytest.raises(SimulationError, match="All 2 replicas left physics"):
        BeadReplicas(teacher, start[[2, 2]], dipeptide()[1]).advance(100)


def test_jumps_keep_the_distribution_and_fill_basins(teacher: Teacher, beads: Structure) -> None:
    """All replicas start where the teacher does not want them; with jumps they soon are where its surface says, in two dimensions."""
    phi = psi = (np.arange(200) + 0.5) / 100 * np.pi - np.pi
    turns = [torch.tensor(f(x)) for f in (np.sin, np.cos) for x in np.meshgrid(phi, psi, indexing="ij")]
    weights = np.exp(-teacher.surface(torch.stack(turns)).numpy() / (BOLTZMANN * 300.0)).reshape(10, 20, 10, 20).sum((1, 3))
    replicas = BeadReplicas(teacher, np.repeat(beads.positions[None], 128, axis=0), dipeptide()[1], seed=2, jumps=True)
    replicas.advance(500)
    frames = []
    for _ in range(30):
        replicas.advance(50)
        frames.append(replicas.positions)
    assert replicas.jumped > 100
    assert jensen_shannon(surface_of(np.concatenate(frames), teacher.coordinates, 10), weights / weights.sum()) < 0.03


@pytest.mark.parametrize(
    ("change", "error", "says"),
    [
        ({"positions": np.zeros((3, 4, 3))}, StructureError, "replicas with 5 beads"),
        ({"positions": np.full((3, 5, 3), np.nan)}, StructureError, "no number"),
        ({"masses": np.zeros(5)}, StructureError, "masses above zero"),
        ({"timestep": 50.0}, SettingsError, "time step above 0 and up to 20, got 50"),
        ({"temperature": -1.0}, SettingsError, "temperature above 0"),
    ],
)
def test_replicas_refuse(teacher: Teacher, sampled: np.ndarray, change: dict, error: type[Exception], says: str) -> None:
    with pytest.raises(error, match=says):
        BeadReplicas(**{"model": teacher, "positions": sampled[:3], "masses": dipeptide()[1]} | change)


# --- files


def test_a_model_comes_back_as_it_was_written(model: LearnedModel, sampled: np.ndarray, tmp_path: Path) -> None:
    written = model.save(tmp_path / "one")
    again = LearnedModel.load(tmp_path / "one")
    assert again.card == written.card
    assert again.card.weights_sha256 == hashlib.sha256((tmp_path / "one" / "weights.npz").read_bytes()).hexdigest()
    places = torch.tensor(sampled[:5], dtype=torch.float32)
    assert torch.equal(again.energies_forces(places)[1], model.energies_forces(places)[1])


def test_weights_that_are_not_those_of_the_card_are_not_opened(model: LearnedModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The hash is compared before numpy sees a byte; then shapes, numbers and objects."""
    folder = tmp_path / "one"
    model.save(folder)
    good = (folder / "weights.npz").read_bytes()
    (folder / "weights.npz").write_bytes(good[:-1] + b"x")
    with monkeypatch.context() as patch:
        patch.setattr(np, "load", lambda *_args, **_kw: pytest.fail("was opened"))
        with pytest.raises(WeightsError, match="not those of their card: expected SHA-256"):
            LearnedModel.load(folder)
    np.savez(folder / "weights.npz", allow_pickle=True, prior_lengths=np.array([print], dtype=object))
    _sign(folder)
    with pytest.raises(WeightsError, match="no plain arrays"):
        LearnedModel.load(folder)
    arrays = dict(np.load(_whole(tmp_path / "copy.npz", good)))
    np.savez(folder / "weights.npz", **{**arrays, "network_w2": arrays["network_w2"][:, :, :5]})
    _sign(folder)
    with pytest.raises(WeightsError, match=r"'w2' is \(2, 1, 5, 32\), expected \(2, 1, 32, 32\)"):
        LearnedModel.load(folder)
    np.savez(folder / "weights.npz", **{**arrays, "network_w3": arrays["network_w3"] * np.nan})
    _sign(folder)
    with pytest.raises(WeightsError, match="no number, in 'network_w3'"):
        LearnedModel.load(folder)
    (folder / "weights.npz").unlink()
    with pytest.raises(WeightsError, match="are missing"):
        LearnedModel.load(folder)
    (folder / "model.json").write_text("{}", encoding="utf-8")
    with pytest.raises(WeightsError, match="is no card of a bead model"):
        LearnedModel.load(folder)
    with pytest.raises(WeightsError, match="holds no bead model"):
        LearnedModel.load(tmp_path / "nothing")


def _whole(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def _sign(folder: Path) -> None:
    """Make the card say the hash of what lies there."""
    card = json.loads((folder / "model.json").read_text(encoding="utf-8"))
    card["weights_sha256"] = hashlib.sha256((folder / "weights.npz").read_bytes()).hexdigest()
    (folder / "model.json").write_text(json.dumps(card), encoding="utf-8")


def test_our_own_checkpoint_is_read_with_the_settings_in_it(model: LearnedModel, sampled: np.ndarray, tmp_path: Path) -> None:
    state = {f"network_{name}": tensor for name, tensor in model.weights.items()}
    state |= {f"prior_{name}": torch.tensor(array) for name, array in model.prior.state().items()}
    places = torch.tensor(sampled[:5], dtype=torch.float32)
    for content in (
        {"card": model.card.model_dump_json(), "state_dict": state},
        {"hyper_parameters": {"card": model.card.model_dump(mode="json")}, "state_dict": {f"model.{name}": tensor for name, tensor in state.items()}},
    ):
        torch.save(content, tmp_path / "ours.ckpt")
        again = open_checkpoint(tmp_path / "ours.ckpt")
        assert torch.equal(again.energies_forces(places)[1], model.energies_forces(places)[1])
        assert again.card == model.card


def test_a_checkpoint_is_taken_onto_the_shelf_by_the_command_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """People have a file and a terminal, not Python; what they took in is listed, and gates that were measured on other weights are not believed."""
    monkeypatch.setenv("POTENTIAL_STUDIO_DATA", str(tmp_path / "data"))
    model = shelf.load("alanine-dipeptide")
    state = {f"network_{name}": tensor for name, tensor in model.weights.items()}
    state |= {f"prior_{name}": torch.tensor(array) for name, array in model.prior.state().items()}

    def beads(*words: object) -> Result:
        return CliRunner().invoke(main, list(map(str, words)))

    def written(file: str, **changes: object) -> Path:
        path = tmp_path / file
        torch.save({"card": model.card.model_copy(update=changes).model_dump_json(), "state_dict": state}, path)
        return path

    taken = beads("beads", "import", written("ours.ckpt", name="ours"))
    assert taken.exit_code == 0, taken.output
    assert "'ours' is on your shelf" in taken.output
    assert "It passed its gates, as its card says." in taken.output
    assert "ours" in beads("models").output
    assert "imported from   ours.ckpt" in beads("models", "ours").output
    again = beads("beads", "import", tmp_path / "ours.ckpt")
    assert (again.exit_code, "You have a bead model called 'ours' already" in again.output) == (1, True)
    other = beads("beads", "import", written("other.ckpt", weights_sha256="0" * 64), "--name", "other")
    assert "never compared" in other.output
    assert shelf.card("other").state == "not gated"
    assert "comes with the program" in beads("beads", "import", written("shipped.ckpt"), "--name", "alanine-dipeptide").output
    huge = model.card.network.model_copy(update={"hidden": 4096, "members": 64, "layers": 64})
    assert "asks for larger networks" in beads("beads", "import", written("huge.ckpt", network=huge), "--name", "huge").output
    (tmp_path / "bomb.ckpt").write_bytes(pickle.dumps(Bomb(str(tmp_path / "trace"))))
    refused = beads("beads", "import", tmp_path / "bomb.ckpt")
    assert (refused.exit_code, refused.output.startswith("Error: bomb.ckpt"), (tmp_path / "trace").exists()) == (1, True, False)
    assert {path.name for path in shelf.own_folder().iterdir()} == {"ours", "other"}, "nothing half done"
    assert "no longer" in beads("beads", "remove", "other").output
    assert "other" not in shelf.folders()


class Bomb:
    """Leaves a trace when it is unpickled."""

    def __init__(self, path: str) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[str, str]]:
        return open, (self.path, "w")


def test_a_checkpoint_with_a_foreign_class_is_refused_and_nothing_runs(tmp_path: Path) -> None:
    torch.save({"state_dict": {}, "hyper_parameters": Bomb(str(tmp_path / "trace"))}, tmp_path / "bomb.ckpt")
    with pytest.raises(WeightsError, match=r"bomb\.ckpt holds the class \w*io\.open.*opening it would run code.*state_dict"):
        open_checkpoint(tmp_path / "bomb.ckpt")
    (tmp_path / "plain.pt").write_bytes(pickle.dumps(Bomb(str(tmp_path / "trace"))))
    with pytest.raises(WeightsError, match=r"plain\.pt"):
        open_checkpoint(tmp_path / "plain.pt")
    torch.save(torch.nn.Linear(2, 2), tmp_path / "module.pt")
    with pytest.raises(WeightsError, match=r"the class torch\.nn\.modules\.linear\.Linear"):
        open_checkpoint(tmp_path / "module.pt")
    assert not (tmp_path / "trace").exists()


def test_other_checkpoints_are_refused_by_what_they_are(tmp_path: Path, model: LearnedModel) -> None:
    path = tmp_path / "other.ckpt"
    torch.save({"state_dict": OrderedDict({"representation_model.embedding.weight": torch.zeros(3)}), "hyper_parameters": {"cutoff_upper": 12.0}}, path)
    with pytest.raises(UnsupportedError, match=r"a network of 1 tensors \(representation_model.embedding.weight, ...; cutoff_upper 12.0\)"):
        open_checkpoint(path)
    torch.save({"network_w1": torch.zeros(3)}, path)
    with pytest.raises(UnsupportedError, match="no bead model of this program"):
        open_checkpoint(path)
    torch.save({"card": {"residues": 3}, "state_dict": {"network_w1": torch.zeros(3)}}, path)
    with pytest.raises(UnsupportedError, match=r"The card in other\.ckpt"):
        open_checkpoint(path)
    torch.save({"card": model.card.model_dump_json(), "state_dict": {"network_w1": torch.zeros(3)}}, path)
    with pytest.raises(WeightsError, match="lack the part"):
        open_checkpoint(path)
    path.write_bytes(b"not a checkpoint")
    with pytest.raises(WeightsError):
        open_checkpoint(path)
    with pytest.raises(WeightsError, match="cannot be read"):
        open_checkpoint(tmp_path / "nowhere.pt")


# --- shelf, level, run


def test_the_shelf_knows_own_models_by_their_residues(model: LearnedModel, home: Path, tmp_path: Path, beads: Structure) -> None:
    assert shelf.cards() == {}
    good = gated(model).save(tmp_path / "made")
    Labels(beads.positions[None], beads.positions[None], beads.positions[None], 300.0).save(tmp_path / "made" / "labels.npz")
    assert shelf.put(tmp_path / "made") == "mine"
    assert (home / "beads" / "mine" / "labels.npz").exists()
    assert list(shelf.fitting(DIPEPTIDE.prepare())) == ["mine"]
    assert list(shelf.fitting(beads)) == ["mine"]
    assert shelf.load("mine").key == good.card.weights_sha256
    gated(model, passed=False).save(tmp_path / "worse")
    shelf.put(tmp_path / "worse", "a-worse-one")
    assert list(shelf.fitting(beads)) == ["mine", "a-worse-one"], "those that passed first"
    assert shelf.card("a-worse-one").state == "failed"
    other = map_protein(System(source=FromSequence(sequence="G")).prepare(), "backbone").beads
    assert shelf.fitting(other) == {}
    (home / "beads" / "mine" / "model.json").write_text("{}", encoding="utf-8")
    assert list(shelf.cards()) == ["a-worse-one"], "a damaged card hides no other"
    with pytest.raises(WeightsError, match="no card of a bead model"):
        shelf.card("mine")
    shelf.remove("a-worse-one")
    with pytest.raises(PluginError, match="called 'a-worse-one'"):
        shelf.load("a-worse-one")
    with pytest.raises(SettingsError, match="lower-case letters"):
        shelf.put(tmp_path / "worse", "../up")


def test_a_model_that_failed_is_refused_unless_asked_for(model: LearnedModel, home: Path, tmp_path: Path) -> None:
    level, atoms = LearnedLevel(), DIPEPTIDE.prepare()
    assert "No learned model is of ACE ALA NME. There is none on the shelf yet. Learn one" in level.limits(DIPEPTIDE, atoms, View()).blocking
    ethanol = System(source=FromSmiles(smiles="CCO"))
    assert "there is none here" in level.limits(ethanol, ethanol.prepare(), View()).blocking
    gated(model, passed=False).save(tmp_path / "made")
    shelf.put(tmp_path / "made")
    assert "failed its gates (JS20 0.3, limit 0.02)" in level.limits(DIPEPTIDE, atoms, View()).blocking
    assert level.limits(DIPEPTIDE, atoms, View(beads=Learned(model="mine", trial=True))).possible
    with pytest.raises(UnsupportedError, match="failed its gates"):
        Learned(model="mine").build(atoms, atoms, 300.0, 7.4)
    peptide = System(source=FromSequence(sequence="AG")).prepare()
    with pytest.raises(UnsupportedError, match="was learned for ACE ALA NME, and this is"):
        Learned(model="mine", trial=True).build(peptide, peptide, 300.0, 7.4)
    with pytest.raises(WeightsError, match="is another one now"):
        Learned(model="mine", trial=True, sha256="0" * 64).build(atoms, atoms, 300.0, 7.4)


def test_the_dial_goes_to_learned_beads_and_back(model: LearnedModel, home: Path, tmp_path: Path) -> None:
    """Atoms, beads that move, and atoms on them again: the backbone stays where it is."""
    gated(model).save(tmp_path / "made")
    shelf.put(tmp_path / "made")
    level, atoms = LearnedLevel(), DIPEPTIDE.prepare()
    limits = level.limits(DIPEPTIDE, atoms, View())
    assert limits.possible, limits.blocking
    assert level.particles(atoms, View()) == 5
    there = level.apply(Dynamics(system=DIPEPTIDE))
    assert there.view.timestep == 2.0
    assert there.view.clock == "CG time"
    simulation = there.simulation(level.carry(atoms, there.system.prepare()).structure)
    frame = simulation.advance(500)
    assert simulation.structure.is_beads
    assert simulation.provenance["bead_model"] == "mine"
    assert any("CG time" in note for note in simulation.structure.notes)
    beads = simulation.structure.with_positions(frame.positions.astype(float))
    back = LearnedLevel().carry(beads, there.system.prepare())
    assert back.structure.key == beads.key, "beads stay beads"
    from studio.levels import level as level_by_name

    up = level_by_name("mm").carry(beads, atoms)
    assert up.structure.names == atoms.names
    assert map_protein(up.structure, "backbone").beads.positions == pytest.approx(beads.positions)
    alphas = map_protein(atoms).beads
    with pytest.raises(UnsupportedError, match="C-alphas alone"):
        level.carry(alphas, atoms)


def test_one_copy_in_openmm_samples_what_replicas_sample(model: LearnedModel, home: Path, tmp_path: Path) -> None:
    """The same energies and forces at the same places, so that both are one model."""
    gated(model).save(tmp_path / "made")
    shelf.put(tmp_path / "made")
    recipe = LearnedLevel().apply(Dynamics(system=DIPEPTIDE, minimise=0))
    simulation = recipe.simulation()
    places = torch.tensor(simulation.structure.positions, dtype=torch.float32)[None]
    assert simulation.forces() == pytest.approx(model.energies_forces(places)[1][0].numpy(), rel=1e-3, abs=0.5)
    assert simulation.advance(0).energies["potential"] == pytest.approx(float(model.energies_forces(places)[0][0]), abs=0.05)


def test_one_copy_stays_where_it_is_and_at_the_temperature_of_the_thermostat(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its strong friction brings drift back within 0.2 ps: taken out more rarely, it left the picture, and 300 K were shown as 370."""
    monkeypatch.setenv("POTENTIAL_STUDIO_DATA", str(tmp_path))  # the shipped model
    simulation = LearnedLevel().apply(Dynamics(system=DIPEPTIDE, minimise=0, seed=1)).simulation()
    simulation.advance(200)
    frames = [simulation.advance(10) for _ in range(300)]
    centres = np.array([frame.positions.mean(axis=0) for frame in frames])
    assert np.linalg.norm(centres - centres[0], axis=1).max() < 0.1
    assert np.mean([frame.temperature for frame in frames]) == pytest.approx(300.0, abs=40.0)


def test_learned_beads_stream_from_a_worker(model: LearnedModel, home: Path, tmp_path: Path) -> None:
    gated(model).save(tmp_path / "made")
    shelf.put(tmp_path / "made")
    recipe = LearnedLevel().apply(Dynamics(system=DIPEPTIDE)).model_copy(update={"steps": 2000, "interval": 50})
    with Run(recipe) as run:
        run.wait("paused")
        run.play()
        frame = next_frame(run, after=100)
        run.pause()
        assert "CG time" in run.wait("paused").message
    assert frame.positions.shape == (5, 3)
    assert frame.timestep == 2.0


def test_layouts_are_read_from_the_card(model: LearnedModel) -> None:
    layout = layout_of(model.card, model.coordinates)
    fresh = NETWORKS[layout.kind].fresh(layout, 2, torch.Generator())
    assert {name: tensor.shape for name, tensor in fresh.items()} == {name: tensor.shape for name, tensor in model.weights.items()}
