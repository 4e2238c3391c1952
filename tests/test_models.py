"""The list of models: known without importing them, honest about what is missing, and every OpenMM-ML model through one adapter."""

import json
import pickle
import subprocess
import sys
from hashlib import sha256
from importlib import import_module
from importlib.metadata import entry_points
from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError

from studio import plugins
from studio.errors import MissingPackageError, SettingsError, UnsupportedError, WeightsError
from studio.potentials import catalogue
from studio.potentials.catalogue import USE_VARIABLE, entries, examine, ready_cards
from studio.potentials.openmmml import OpenMMML
from studio.potentials.openmmml_models import ROWS
from studio.potentials.so3lr import SO3LR
from studio.potentials.xtb import GFN2xTB
from studio.structure import Structure
from studio.testing import acetate, check_card, check_potential, check_settings, formaldehyde

TBLITE = OpenMMML(model="ase", calculator="tblite.ase:TBLite", elements=("H", "C", "N", "O"))


@pytest.fixture
def everything_installed(monkeypatch, tmp_path):
    """All packages, an empty home."""
    monkeypatch.setattr(catalogue, "_installed", lambda _package: True)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv(USE_VARIABLE, raising=False)
    return tmp_path


def command(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "studio", "models", *words], capture_output=True, text=True, timeout=60)


def test_every_name_that_openmm_ml_registers_is_known():
    theirs = {point.name for point in entry_points(group="openmmml.potentials") if point.dist is not None and point.dist.name == "openmmml"}
    assert len(theirs) > 30
    assert theirs <= set(plugins.names("studio.potentials"))
    assert set(ROWS) == theirs - {"aimnet2"}  # which is served natively, from the same weights


@pytest.mark.parametrize("name", ROWS)
def test_each_model_has_settings_and_a_card(name):
    settings = plugins.load("studio.potentials", name)()
    assert settings == OpenMMML(model=name)
    assert settings.card.name == name
    check_settings(settings)
    check_card(settings.card)
    assert settings.card.bring or settings.card.source.startswith("https://")


def test_facts_agree_with_openmm_ml():
    """Licences, addresses and file names against the adapter that downloads them."""
    mace = import_module("openmmml.models.macepotential").MACEPotentialImpl.KNOWN_MODELS
    fennix = import_module("openmmml.models.fennixpotential").FeNNixPotentialImpl.KNOWN_MODELS
    aceff = import_module("openmmml.models.torchmdnetpotential").TorchMDNetPotentialImpl.KNOWN_MODELS
    assert {name: ROWS[name].card.commercial for name in mace} == {name: row[2] is None for name, row in mace.items()}
    assert {name: ROWS[name].card.source for name in fennix} == {name: row[0] for name, row in fennix.items()}
    assert not any(ROWS[name].card.commercial for name, row in fennix.items() if row[1])
    for name, (repository, file, _) in aceff.items():
        assert ROWS[name].card.source == f"https://huggingface.co/{repository}/resolve/main/{file}"
        assert ROWS[name].card.file.endswith(file)


def test_states(everything_installed, monkeypatch):
    card = ROWS["mace-off23-small"].card
    entry = examine(card)
    assert entry.state == "needs download"
    assert card.source in entry.advice
    assert "~/.cache/mace/MACE-OFF23_small.model" in entry.advice
    place = everything_installed / ".cache" / "mace" / "MACE-OFF23_small.model"
    place.parent.mkdir(parents=True)
    place.write_bytes(b"weights")
    assert examine(card).state == "ready"
    assert examine(card, "commercial").state == "not licensed for this use"
    assert "Academic Software License" in examine(card, "commercial").advice
    monkeypatch.setenv(USE_VARIABLE, "commercial")
    assert examine(card).state == "not licensed for this use"
    assert examine(ROWS["mace-mpa-0-medium"].card).state == "needs download"
    assert examine(ROWS["mace"].card).state == "needs settings"
    monkeypatch.setenv(USE_VARIABLE, "profit")
    with pytest.raises(SettingsError, match="has to be academic or commercial; it is 'profit'"):
        examine(card)


def test_a_pattern_finds_a_file_under_a_changing_name(everything_installed):
    card = ROWS["aceff-2.0"].card
    assert examine(card).state == "needs download"
    place = everything_installed / ".cache/huggingface/hub/models--Acellera--AceFF-2.0/snapshots/0123abc/aceff_v2.0.ckpt"
    place.parent.mkdir(parents=True)
    place.touch()
    assert examine(card).state == "ready"


def test_packages_are_named_as_pip_wants_them(monkeypatch):
    monkeypatch.setattr(catalogue, "_installed", lambda package: package.startswith("openmmml"))
    entry = examine(ROWS["mace-les-off-small"].card)
    assert entry.state == "needs package"
    assert entry.advice.endswith("Run: pip install mace-torch 'les @ git+https://github.com/ChengUCB/les'")
    assert "needs mace-torch and les." in entry.advice


def test_installed_means_installed():
    assert examine(SO3LR().card).state == "ready"
    assert catalogue._installed("openmmml==1.8")
    assert not catalogue._installed("no-such-package-anywhere")


def test_menus_offer_what_works():
    ready = ready_cards()
    assert {"so3lr", "aimnet2", "aimnet2-ensemble", "gfn2-xtb"} <= set(ready)
    assert not {"mace", "ase", "nequip"} & set(ready)
    assert set(ready) == {entry.card.name for entry in entries() if not entry.advice}


def test_binding_says_what_is_missing(monkeypatch):
    structure = formaldehyde()
    monkeypatch.setattr(catalogue, "_installed", lambda package: package != "mace-torch")
    with pytest.raises(MissingPackageError, match="Run: pip install mace-torch"):
        OpenMMML(model="mace-off23-small").bind(structure)
    with pytest.raises(SettingsError, match="needs an ASE calculator"):
        OpenMMML(model="ase").bind(structure)
    with pytest.raises(UnsupportedError, match="ANI-2x does not know I"):
        OpenMMML(model="ani2x").bind(Structure.from_smiles("CI"))
    monkeypatch.setenv(USE_VARIABLE, "commercial")
    with pytest.raises(SettingsError, match="not for commercial use"):
        OpenMMML(model="mace-off23-small").bind(structure)


def test_a_model_that_cannot_be_loaded_says_what_to_do(everything_installed, monkeypatch):
    """Without a network OpenMM-ML fails in ways of its own; here its first step does."""
    openmmml = import_module("openmmml")

    def offline(*_arguments, **_settings):
        raise OSError("no network")

    monkeypatch.setattr(openmmml, "MLPotential", offline)
    with pytest.raises(WeightsError, match=r"could not load MACE-OFF23 small \(OSError: no network\). Without a network, fetch https://.* put it here as ~"):
        OpenMMML(model="mace-off23-small").bind(formaldehyde())


def test_adapter_passes_the_contract_with_a_real_calculator():
    check_potential(TBLITE)


def test_adapter_equals_the_same_method_without_openmm_ml():
    structure = formaldehyde()
    mine, theirs = GFN2xTB(accuracy=1.0).bind(structure)(structure.positions), TBLITE.bind(structure)(structure.positions)
    assert theirs.energy == pytest.approx(mine.energy, abs=1e-3)
    np.testing.assert_allclose(theirs.forces, mine.forces, atol=0.05)


def test_adapter_passes_the_charge_on_and_leaves_torch_alone(capfd):
    """so3krates-torch's calculator reads the charge from `info`, prints, and changes torch's default precision."""
    import torch

    structure = acetate()
    calculator = OpenMMML(model="ase", calculator="so3krates_torch.calculator.so3:SO3LRCalculator", elements=SO3LR().card.elements, charged=True)
    theirs, mine = calculator.bind(structure)(structure.positions), SO3LR().bind(structure)(structure.positions)
    assert theirs.energy == pytest.approx(mine.energy, abs=0.05)
    np.testing.assert_allclose(theirs.forces, mine.forces, atol=0.3)
    assert torch.get_default_dtype() == torch.float32
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("name", ["os:system", "pathlib:Path", "studio.structure:Nothing"])
def test_only_calculators_are_started(name):
    with pytest.raises(SettingsError, match="Expected an ASE calculator as 'module:Class'"):
        OpenMMML(model="ase", calculator=name).bind(formaldehyde())


def test_a_file_is_not_opened_before_it_is_trusted(tmp_path, monkeypatch):
    """A pickle that would leave a trace if it were read."""
    trace = tmp_path / "trace"

    class Trap:
        def __reduce__(self):
            return (Path.touch, (trace,))

    path = tmp_path / "model.pt"
    path.write_bytes(pickle.dumps(Trap()))
    digest = sha256(path.read_bytes()).hexdigest()
    monkeypatch.setattr(catalogue, "_installed", lambda _package: True)
    structure = formaldehyde()
    for model in ("mace", "torchmdnet", "fennix", "nequip", "aimnet", "mace-off23-small"):
        with pytest.raises(WeightsError, match=f"is not read: .* sha256='{digest}'"):
            OpenMMML(model=model, path=path).bind(structure)
    with pytest.raises(WeightsError, match="expected SHA-256 0000"):
        OpenMMML(model="mace", path=path, sha256="0" * 64).bind(structure)
    with pytest.raises(WeightsError, match="are not the expected file: expected SHA-256 ce8bc2a4"):
        OpenMMML(model="aimnet2-rxn", path=path).bind(structure)
    with pytest.raises(WeightsError, match="cannot be read: No such file"):
        OpenMMML(model="mace", path=tmp_path / "none", sha256=digest).bind(structure)
    assert not trace.exists()


def test_the_package_of_a_trusted_file_may_still_be_missing(tmp_path):
    path = tmp_path / "model.pb"
    path.write_bytes(b"model")
    with pytest.raises(MissingPackageError, match="OpenMMDeepmdPlugin"):
        OpenMMML(model="deepmd", path=path, sha256=sha256(b"model").hexdigest()).bind(formaldehyde())


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"model": "mace-off99"}, "expected one of OpenMM-ML's models"),
        ({"model": "ani2x", "path": "x.pt"}, "ANI-2x takes no local file; fetch https://"),
        ({"model": "mace", "calculator": "a:B"}, "`calculator` is for the model 'ase'"),
        ({"model": "ani2x", "elements": ("H",)}, "what ANI-2x can do is known"),
        ({"model": "mace", "sha256": "abc"}, "String should match pattern"),
    ],
)
def test_settings_that_do_not_fit_are_refused(settings, sentence):
    with pytest.raises(ValidationError, match=sentence):
        OpenMMML(**settings)


def test_own_models_can_what_their_settings_say():
    own = OpenMMML(model="mace", path="x.model", elements=("H", "O"), charged=True).card
    assert (own.elements, own.charged, own.open_shell, own.bring) == (("H", "O"), True, False, "")
    published = OpenMMML(model="mace-off23-small", path="x.model").card
    assert published.elements == ROWS["mace-off23-small"].card.elements
    assert published.file == ""


def test_the_command_lists_everything():
    done = command()
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0].split() == ["NAME", "STATE", "ELEMENTS", "CHARGE", "SPIN", "METHOD", "LICENCE"]
    known = plugins.names("studio.potentials")
    assert [line.split()[0] for line in lines[1 : 1 + len(known)]] == list(known)
    assert lines[1 + len(known)].endswith("shows a card and what makes it ready.")
    assert any(line.split()[:2] == ["alanine-dipeptide", "passed"] for line in lines[2 + len(known) :])
    assert "  ready  " in next(line for line in lines if line.startswith("so3lr"))


def test_the_command_speaks_json_and_shows_cards():
    found = {row["name"]: row for row in json.loads(command("--json", "--use", "commercial").stdout)}
    assert found["mace-off23-small"]["state"] == "not licensed for this use"
    assert found["so3lr"] | {"state": "ready", "advice": "", "charged": True} == found["so3lr"]
    card = command("ani2x").stdout
    assert "https://doi.org/10.1021/acs.jctc.0c00121" in card
    assert "neutral molecules only" in card
    unknown = command("ani3x")
    assert unknown.returncode == 1
    assert "Did you mean 'ani2x'?" in unknown.stderr
    assert "Traceback" not in unknown.stderr


def test_listing_loads_no_engine():
    code = "from studio.potentials.catalogue import entries; entries(); import sys; print(sorted({'torch', 'openmm', 'openmmml', 'ase'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
