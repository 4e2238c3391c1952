"""Foreign: checkpoints from elsewhere (`.pt`, `.ckpt`), opened without running anything that is in them.

A checkpoint is a pickle, and a pickle is a program. Torch reads tensors and plain data of it only; the first class that it meets is
named, and the file is closed. Everything that a network has to know besides its weights - sizes, cutoffs, beads - is read from the
checkpoint itself, never from a file beside it. Knows this program's own networks; others are refused in a sentence.
"""

import pickle
import re
import tempfile
import warnings
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import ValidationError

from studio.coarse import shelf
from studio.coarse.card import CARD, BeadCard
from studio.coarse.learned import LARGEST, LearnedModel
from studio.errors import StorageError, UnsupportedError, WeightsError
from studio.settings import explain

SUPPORTED = (
    "A bead model of this program is a folder with model.json and weights.npz, or a checkpoint with `card` (or `hyper_parameters` that hold it) and "
    "`state_dict` with its plain tensors."
)
ADVICE = "Ask whoever made it for its tensors alone, as torch.save(model.state_dict()) writes them."


def open_checkpoint(path: Path) -> LearnedModel:
    """A learned model from a checkpoint.

    Args:
        path: The file.

    Raises:
        WeightsError: It cannot be read, holds something other than tensors and plain data, or does not fit its card.
        UnsupportedError: It is of another program, or of a network that is not known here.
    """
    content = _plain(path)
    tensors, card = _tensors(content), _card(content)
    if card is None or not tensors:
        raise UnsupportedError(f"{path.name} is {_seen(content, tensors)}, which is no bead model of this program. {SUPPORTED}")
    try:
        known = BeadCard.model_validate_json(card) if isinstance(card, str) else BeadCard.model_validate(card)
    except ValidationError as problem:
        raise UnsupportedError(f"The card in {path.name} is none of a bead model that is known here: {explain(problem)} {SUPPORTED}") from problem
    return LearnedModel.of(known, tensors, path.name)


def take_in(path: Path, name: str | None = None) -> str:
    """Put a model from elsewhere onto the user's shelf; its labels, if it has any, stay where they are.

    Args:
        path: A checkpoint, or a folder with a card and weights.
        name: That it is to have there; what its card says, or else its file, when left out.

    Returns:
        The name.

    Raises:
        WeightsError: It cannot be read safely, or does not fit its card.
        UnsupportedError: It is of another program, or of a network that is not known here.
        SettingsError: The name is none that a model can have.
        StorageError: There is a model of that name already; no space or no permission.
    """
    model = LearnedModel.load(path) if path.is_dir() else open_checkpoint(path)
    card = model.card
    fresh = BeadCard.model_fields["name"].default
    name = name or (card.name if card.name != fresh else re.sub(r"[^a-z0-9]+", "-", path.stem.lower()).strip("-"))
    if (shelf.own_folder() / name / CARD).exists():
        raise StorageError(
            f"You have a bead model called '{name}' already. Give this one another name, or remove that one first (`potential-studio beads remove {name}`)."
        )
    gates = card.gates if card.weights_sha256 == model.key else ()  # they were measured on the weights that the card names
    told = {"name": name, "gates": gates, "made_with": {**card.made_with, "imported from": path.name}}
    with tempfile.TemporaryDirectory(prefix="potential-studio-") as scratch:
        LearnedModel(card.model_copy(update=told), model.prior, model.weights).save(Path(scratch))
        return shelf.put(Path(scratch), name)


def _plain(path: Path) -> object:
    """Tensors and plain data of a file."""
    try:
        if path.stat().st_size > LARGEST:
            raise WeightsError(f"{path.name} is larger than any bead model, {LARGEST // 2**20} MB. {SUPPORTED}")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of how the file was pickled: what cannot be read is told below
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as problem:
        raise WeightsError(_foreign(path.name, str(problem))) from problem
    except (RuntimeError, EOFError, ValueError, KeyError, AttributeError, TypeError) as problem:
        raise WeightsError(f"{path.name} is no checkpoint that can be opened safely: it is damaged, or a compiled program. {SUPPORTED}") from problem
    except OSError as problem:
        raise WeightsError(f"{path} cannot be read: {problem.strerror or problem}. Check the path.") from problem


def _foreign(name: str, said: str) -> str:
    """Torch's complaint as a sentence that names the class."""
    found = re.search(r"(?:GLOBAL|global|function|class)\s+`?([A-Za-z_][\w.]*\.[\w.]+)", said)
    what = f"the class {found[1].rstrip('.')}" if found else "something other than tensors and plain data"
    return f"{name} holds {what}: opening it would run code that came with the file, and that is not done. {ADVICE} {SUPPORTED}"


def _mapping(content: object) -> Mapping[str, object]:
    return content if isinstance(content, Mapping) else {}


def _tensors(content: object) -> dict[str, NDArray[np.float64]]:
    """Plain arrays by name, without the prefix that a wrapper gave them."""
    state = _mapping(_mapping(content).get("state_dict"))
    found = {str(name).rpartition(".")[2]: tensor for name, tensor in state.items() if isinstance(tensor, torch.Tensor)}
    return {name: tensor.detach().to(torch.float64).numpy() for name, tensor in found.items() if name.startswith(("prior_", "network_"))}


def _card(content: object) -> object | None:
    """What says which network this is."""
    top = _mapping(content)
    return top.get("card") or _mapping(top.get("hyper_parameters")).get("card")


def _seen(content: object, tensors: Mapping[str, object]) -> str:
    """What a file looks like, in the middle of a sentence."""
    top = _mapping(content)
    state = _mapping(top.get("state_dict")) or top
    names = [str(name) for name, value in state.items() if isinstance(value, torch.Tensor)]
    if tensors:
        return f"{len(tensors)} tensors of a bead model without the card that says which"
    if not names:
        return "a file without tensors"
    settings = _mapping(top.get("hyper_parameters"))
    said = ", ".join(f"{name} {settings[name]}" for name in ("model", "cutoff_upper", "cutoff") if name in settings)
    return f"a network of {len(names)} tensors ({names[0]}, ...{'; ' + said if said else ''})"
