"""Plug-ins: listed without importing, loaded by name, and failures told in a sentence."""

import subprocess
import sys
from importlib.metadata import EntryPoint

import pytest

from studio import plugins
from studio.errors import MissingPackageError, PluginError
from studio.potentials.base import Card, Potential
from studio.potentials.catalogue import ready_cards

GROUP = "studio.potentials"


@pytest.fixture
def registered(monkeypatch):
    """Register further entry points for one test."""

    def register(**values):
        points = tuple(EntryPoint(name, value, GROUP) for name, value in values.items())
        real = plugins.entry_points
        monkeypatch.setattr(plugins, "entry_points", lambda group: (*real(group=group), *points) if group == GROUP else real(group=group))

    return register


def test_builtins_come_by_the_same_door():
    assert {"aimnet2", "so3lr"} <= set(plugins.names(GROUP))
    assert list(plugins.names(GROUP)) == sorted(plugins.names(GROUP))


def test_load_gives_settings_that_work_without_arguments():
    potential = plugins.load(GROUP, "so3lr")()
    assert isinstance(potential, Potential)
    assert potential.card.name == "so3lr"


def test_listing_imports_nothing():
    code = "import sys; from studio import plugins; plugins.names('studio.potentials'); print('studio.potentials.so3lr' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


@pytest.mark.parametrize(("wrong", "hint"), [("so3rl", "Did you mean 'so3lr'?"), ("SO3LR", "Did you mean 'so3lr'?"), ("zzz", "Known: aceff-1.0")])
def test_unknown_name_lists_the_known_ones(wrong, hint):
    with pytest.raises(PluginError) as caught:
        plugins.load(GROUP, wrong)
    assert hint in str(caught.value)
    assert "so3lr" in str(caught.value)


def test_missing_dependency(registered):
    registered(ghost="package_that_is_not_there.models:Ghost")
    assert "ghost" in plugins.names(GROUP)
    with pytest.raises(MissingPackageError, match=r"The potential 'ghost' needs package_that_is_not_there"):
        plugins.load(GROUP, "ghost")


def test_entry_point_that_leads_nowhere(registered):
    registered(hollow="studio.potentials.so3lr:Nothing")
    with pytest.raises(PluginError, match="which does not exist"):
        plugins.load(GROUP, "hollow")


def test_cards_leave_out_what_cannot_be_imported(registered):
    registered(ghost="package_that_is_not_there.models:Ghost")
    cards = ready_cards()
    assert {"aimnet2", "so3lr"} <= set(cards)
    assert "ghost" not in cards
    assert all(isinstance(card, Card) for card in cards.values())
