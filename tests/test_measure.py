"""Measured speeds: real runs in a worker, remembered, and refusals as sentences."""

from pathlib import Path

import numpy as np
import pytest

from studio import cache
from studio.hybrid.view import View
from studio.measure import Speed, known_speed, measure_speed
from studio.measure import _key as key_of
from studio.measure import _put_together as put_together
from studio.recipes.dynamics import Dynamics
from studio.region import KindIs, SideChain
from studio.system import FromExample, FromFile, FromSmiles, System, WaterBox

ETHANOL = System(source=FromSmiles(smiles="CCO"))


def test_speed_of_mm_is_measured_and_remembered() -> None:
    recipe = Dynamics(system=ETHANOL)
    assert known_speed(recipe) is None
    speed = measure_speed(recipe, seconds=0.2)
    assert speed.ok, speed.refusal
    assert speed.steps_per_second > 10
    assert (speed.timestep, speed.atoms, speed.network_share) == (2.0, 9, 0.0)
    assert speed.ns_per_day == pytest.approx(speed.steps_per_second * 2e-6 * 86400)
    assert speed.ms_per_step * speed.steps_per_second == pytest.approx(1000.0)
    assert known_speed(recipe) == speed
    assert measure_speed(recipe, cancelled=lambda: True) == speed, "a remembered speed needs no run"


def test_what_does_not_change_the_speed_does_not_matter() -> None:
    recipe = Dynamics(system=ETHANOL, view=View(resolution="mm"), temperature=310.0)
    cache.store_arrays(key_of(recipe), {"speed": np.array([100.0, 2.0, 9.0, 0.0])})
    same = recipe.model_copy(update={"temperature": 350.0, "seed": 5, "steps": 3, "interval": 7})
    assert known_speed(same) is not None
    assert known_speed(recipe.model_copy(update={"timestep": 1.0})) is None
    assert known_speed(recipe.model_copy(update={"view": View(resolution="nnp")})) is None
    cache.store_arrays(key_of(recipe), {"speed": np.array([1.0])})
    assert known_speed(recipe) is None, "a damaged entry is measured again"


def test_the_schedule_is_put_together_from_its_parts() -> None:
    """10 ms a step at one MM step each, of which MM takes 2: the default schedule has two MM steps in 4 fs."""
    recipe = Dynamics(system=ETHANOL, view=View(resolution="nnp/mm"))
    speed = put_together(recipe, 100, 0.010, 0.002)
    assert speed.timestep == 4.0
    assert speed.ms_per_step == pytest.approx(12.0)
    assert speed.network_share == pytest.approx(8 / 12)
    single = put_together(recipe.model_copy(update={"timestep": 1.0}), 100, 0.010, 0.002)
    assert single.ms_per_step == pytest.approx(10.0)
    assert "measured parts" in speed.note
    assert "Measured" in single.note


def test_speed_of_a_hybrid_tells_the_network_s_share() -> None:
    system = System(source=FromExample(name="alanine-dipeptide"), surroundings=WaterBox(padding_nm=0.65))
    recipe = Dynamics(system=system, view=View(resolution="nnp/mm", region=SideChain(), potential="aimnet2"))
    speed = measure_speed(recipe, seconds=0.5)
    assert speed.ok, speed.refusal
    assert speed.timestep == 4.0
    assert 0.0 < speed.network_share < 1.0
    assert speed.atoms > 900


@pytest.mark.parametrize(
    ("recipe", "says"),
    [
        (Dynamics(system=ETHANOL, view=View(resolution="nnp", region=KindIs(of="water"))), "selects no atom"),
        (Dynamics(system=ETHANOL, view=View(resolution="nnp", potential="nothing")), "No potential is called"),
        (Dynamics(system=System(source=FromFile(path="nowhere.sdf"))), "nowhere.sdf"),
    ],
)
def test_refusals_are_sentences(recipe: Dynamics, says: str) -> None:
    speed = measure_speed(recipe, seconds=0.1)
    assert not speed.ok
    assert says in speed.refusal
    assert (speed.ns_per_day, speed.ms_per_step) == (0.0, 0.0)
    assert known_speed(recipe) is None


def test_a_measurement_can_be_stopped(tmp_path: Path) -> None:
    speed = measure_speed(Dynamics(system=System(source=FromSmiles(smiles="CCCO"))), cancelled=lambda: True)
    assert speed == Speed(refusal="The measurement was stopped.")
