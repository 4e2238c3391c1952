"""The store of a document, driven by hand over runs that nobody computes: opening, refusing, carrying, keeping, driving."""

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import numpy as np
import pytest

from studio.carry import Carried
from studio.errors import SettingsError, StorageError, UnsupportedError
from studio.frame import Frame
from studio.hybrid.view import View
from studio.levels import level
from studio.library import Library
from studio.recipes.dynamics import Dynamics
from studio.region import Atoms
from studio.structure import Structure
from studio.system import FromSmiles, System, WaterBox, example
from studio.worker import Status
from tests.fake_runs import FakeRun
from widgets import store
from widgets.store import Store

ETHANOL = Dynamics(system=System(source=FromSmiles(smiles="CCO")), view=View(resolution="nnp"))
OTHER = Dynamics(system=System(source=FromSmiles(smiles="CCC")), view=View(resolution="nnp"))
WATER = Dynamics(system=example("tyk2-water").system, view=View(resolution="mm"))


def run(work):
    """Do `work` in an event loop of its own, also where the thread of the tests has one (Playwright's)."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, work).result()


class EthanolRun(FakeRun):
    """Its worker starts; the test says when it is ready."""

    def __init__(self, recipe, structure, folder):
        super().__init__(recipe, structure or Structure.from_smiles("CCO"), Status("preparing", "Starting the worker"))
        self.given, self.folder = structure, folder


class Document:
    """A store, and the runs that it asked for."""

    def __init__(self, folder, monkeypatch):
        monkeypatch.setattr(store.runs, "prewarm", lambda: None)
        self.runs, self.said = [], []
        self.library = Library(folder / "library")
        self.store = Store(self.library, launch=self.launch)
        self.store.param.watch(lambda event: event.new and self.said.append(event.new.sentence), "refusal")

    def launch(self, recipe, structure, folder):
        self.runs.append(EthanolRun(recipe, structure, folder))
        return self.runs[-1]

    def open(self, work):
        """Do `work`, and let the run that it asks for become ready."""
        run(work)
        self.runs[-1].now = Status("paused", "Ready", 1.0)
        self.store.refresh()
        self.store.refresh()
        return self.runs[-1]


@pytest.fixture
def document(tmp_path, monkeypatch):
    return Document(tmp_path, monkeypatch)


def frame(structure, time=0.0):
    positions = structure.positions.astype(np.float32) + 0.01
    return Frame(step=round(1000 * time), time=time, positions=positions, temperature=300.0, speed=50.0, energies={"potential": 0.0, "kinetic": 1.0})


def wait_for(condition, seconds=5.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)


def test_a_run_opens_plays_by_itself_and_has_a_place_in_the_library(document):
    played = document.open(document.store.open(ETHANOL, "ethanol"))
    assert played.told[-1] == "play"
    assert document.store.run is played
    assert (document.store.title, document.store.status.state, document.store.pending) == ("ethanol", "playing", None)
    (entry,) = document.library.entries()
    assert (entry.title, entry.folder, document.store.entry.id) == ("ethanol", played.folder, entry.id)
    assert document.library.held(entry.id)


def test_the_next_run_takes_over_only_when_it_is_ready(document):
    first = document.open(document.store.open(ETHANOL, "first"))
    run(document.store.open(OTHER, "second"))
    document.store.refresh()
    assert document.store.run is first
    assert first.told[-1] == "pause"
    assert document.store.pending.message == "Starting the worker"
    assert not first.closed.is_set()
    document.runs[-1].now = Status("paused", "Ready", 1.0)
    document.store.refresh()
    assert document.store.run is document.runs[-1]
    assert first.closed.wait(5)
    assert document.store.title == "second"


@pytest.mark.parametrize("state", ["failed", "lost"])
def test_a_refused_system_leaves_the_present_one_as_it_was_and_no_trace(document, state):
    first = document.open(document.store.open(ETHANOL, "first"))
    run(document.store.open(OTHER, "second"))
    document.runs[-1].now = Status(state, "Silicon is not known.")
    document.store.refresh()
    assert document.said == ["Silicon is not known."]
    assert document.store.run is first
    assert first.told[-1] == "play"
    assert document.runs[-1].closed.wait(5)
    assert not first.closed.is_set()
    wait_for(lambda: [entry.title for entry in document.library.entries()] == ["first"])


def test_the_same_refusal_twice_is_said_twice(document):
    document.store.refuse("No.")
    document.store.refuse("No.")
    assert document.said == ["No.", "No."]


def test_cancel_goes_on_with_what_was(document):
    first = document.open(document.store.open(ETHANOL, "first"))
    run(document.store.open(OTHER, "second"))
    document.store.cancel()
    assert document.store.pending is None
    assert first.told[-1] == "play"
    assert document.runs[-1].closed.wait(5)


def test_a_paused_run_stays_paused_after_a_refusal(document):
    first = document.open(document.store.open(ETHANOL, "first"))
    first.pause()
    document.store.refresh()
    run(document.store.open(OTHER, "second"))
    document.store.cancel()
    assert first.told[-1] == "pause"


def test_of_two_wishes_the_later_one_counts(document):
    async def both():
        await asyncio.gather(document.store.open(ETHANOL, "a"), document.store.open(OTHER, "b"))

    run(both())
    wanted = document.store._opening.place.run
    late = next(each for each in document.runs if each is not wanted)
    assert wanted.recipe == OTHER
    assert late.closed.wait(5)
    assert not wanted.closed.is_set()
    wait_for(lambda: len(document.library.entries()) == 1)


def test_another_level_takes_the_atoms_along_and_goes_back_to_the_same_surroundings(document):
    boxed = System(source=FromSmiles(smiles="CCO"), surroundings=WaterBox(padding_nm=0.8))
    whole = boxed.prepare()
    first = document.open(document.store.open(Dynamics(system=boxed, view=View(resolution="mm")), "box", whole))
    document.store.take(frame(first.structure))
    alone = document.open(document.store.turn(level("mm-implicit")))
    assert len(alone.given) == 9
    np.testing.assert_allclose(alone.given.positions, whole.positions[:9] + 0.01, atol=1e-5)
    assert "9 atoms keep their places" in document.store.carried
    assert document.store.recipe.system != boxed
    assert document.store.home.system == boxed
    document.store.take(frame(alone.structure))
    back = document.open(document.store.turn(level("nnp/mm")))
    assert len(back.given) == len(whole)
    moved = np.linalg.norm(back.given.positions[9:] - whole.positions[9:], axis=1)
    assert np.median(moved) == pytest.approx(0.01 * np.sqrt(3), abs=1e-4), "the waters are where they were last, not where they began"
    assert (document.store.recipe.system, document.store.recipe.view.resolution) == (boxed, "nnp/mm")


def test_another_region_keeps_the_atoms_where_they_are(document):
    first = document.open(document.store.open(WATER, "box", Structure.from_smiles("CCO")))
    document.store.take(frame(first.structure))
    revised = WATER.model_copy(update={"view": WATER.view.model_copy(update={"region": Atoms(indices=(0, 1))})})
    second = document.open(document.store.revise(revised))
    np.testing.assert_allclose(second.given.positions, first.structure.positions + 0.01, atol=1e-5)
    assert document.store.home.view.region == Atoms(indices=(0, 1))


def test_a_kept_run_is_opened_again_where_it_was_and_waits(document):
    document.open(document.store.open(ETHANOL, "first"))
    number = document.store.entry.id
    document.open(document.store.open(OTHER, "second"))
    wait_for(lambda: not document.library.held(number))
    again = document.open(document.store.reopen(number))
    assert "play" not in again.told
    assert (document.store.title, document.store.entry.id) == ("first", number)
    assert len(document.library.entries()) == 2


def test_a_run_that_another_window_plays_is_not_opened_twice(document):
    entry = document.library.new(ETHANOL, "elsewhere")
    with document.library.claim(entry.id), pytest.raises(StorageError, match="open in another window"):
        run(Store(Library(document.library.folder), launch=document.launch).reopen(entry.id))
    assert document.store.pending is None
    assert len(document.library.entries()) == 1


def test_nothing_recorded_is_a_sentence(document):
    document.open(document.store.open(ETHANOL, "first"))
    with pytest.raises((UnsupportedError, StorageError)):
        run(document.store.replay())
    assert document.store.player is None


@pytest.mark.parametrize("kelvin", [-5.0, 0.0, 10_000.0, float("nan")])
def test_a_temperature_that_cannot_be_is_refused_and_the_old_one_stays(document, kelvin):
    played = document.open(document.store.open(ETHANOL, "ethanol"))
    told = list(played.told)
    with pytest.raises(SettingsError):
        document.store.set_temperature(kelvin)
    assert (document.store.temperature, played.told) == (300.0, told)


def test_the_recovered_run_is_driven_as_before(document):
    played = document.open(document.store.open(ETHANOL, "ethanol"))
    document.store.set_temperature(350.0)
    document.store.set_friction(5.0)
    document.store.set_pace(10.0)
    document.store.recover()
    assert played.told[-5:] == ["recover", ("temperature", 350.0), ("friction", 5.0), ("pace", 10.0), "play"]


def test_picks_come_and_go_and_the_oldest_makes_room(document):
    for atom in (3, 5, 7, 5, *range(10, 21)):
        document.store.pick(atom)
    assert document.store.picks == (7, *range(10, 21))


def test_closing_a_page_ends_its_workers_and_gives_the_place_back(document):
    played = document.open(document.store.open(ETHANOL, "ethanol"))
    document.store.close()
    assert played.closed.wait(5)
    wait_for(lambda: not document.library.held(document.store.entry.id))
    wait_for(lambda: document.library.get(document.store.entry.id).status in ("new", "closed"))


def test_a_run_that_is_handed_over_goes_on(document):
    played = document.open(document.store.open(ETHANOL, "ethanol"))
    place = document.store.hand_over()
    document.store.close()
    assert place.run is played
    assert not played.closed.is_set()
    assert document.library.held(place.entry.id)


def test_opening_never_blocks_the_page(document):
    """Starting a worker takes its time in a thread; the event loop ticks on."""
    ticks, quick = [], document.launch

    def slow(recipe, structure, folder):
        time.sleep(0.5)
        return quick(recipe, structure, folder)

    document.store._opening._launch = slow

    async def scene():
        work = asyncio.create_task(document.store.open(ETHANOL, "ethanol"))
        while not work.done():
            ticks.append(time.monotonic())
            await asyncio.sleep(0.01)

    run(scene())
    assert max(np.diff(ticks)) < 0.4


def test_the_store_takes_any_place_like_a_run(document):
    """What a server's keeper gives back is adopted as it is."""
    document.open(document.store.open(ETHANOL, "first"))
    place = document.store.hand_over()
    again = Store(document.library, launch=document.launch, kept=lambda number: place if number == place.entry.id else None)
    run(again.reopen(place.entry.id))
    again.refresh()
    assert again.run is place.run
    assert len(document.runs) == 1
    assert not place.run.closed.is_set()


def test_a_slow_turn_of_the_dial_does_not_come_back_over_a_later_wish(document):
    first = document.open(document.store.open(ETHANOL, "first"))

    def carry(now, _target):
        time.sleep(0.5)
        return Carried(now, "All came along.", len(now))

    slow = SimpleNamespace(apply=lambda home: home.model_copy(update={"seed": 7}), carry=carry)

    async def both():
        turning = asyncio.create_task(document.store.turn(slow))
        await asyncio.sleep(0.1)
        await document.store.open(OTHER, "second")
        await turning

    run(both())
    assert document.store._opening.wish.title == "second"
    assert [each.recipe.seed for each in document.runs] == [0, 0]
    assert first.recipe == ETHANOL


@pytest.mark.parametrize("leave", ["cancel", "close"])
def test_what_is_called_off_while_atoms_are_taken_along_never_starts(document, leave):
    document.open(document.store.open(ETHANOL, "first"))
    slow = SimpleNamespace(apply=lambda home: home, carry=lambda now, _target: (time.sleep(0.3), Carried(now, "", 0))[1])

    async def scene():
        turning = asyncio.create_task(document.store.turn(slow))
        await asyncio.sleep(0.1)
        getattr(document.store, leave)()
        await turning

    run(scene())
    assert len(document.runs) == 1
    assert document.store._opening.wish is None


def test_a_worker_that_cannot_be_had_leaves_no_trace(document):
    def refuse(_recipe, _structure, _folder):
        raise StorageError("No room.")

    document.store._opening._launch = refuse
    with pytest.raises(StorageError, match="No room"):
        run(document.store.open(ETHANOL, "first"))
    assert document.library.entries() == ()
    assert document.store.pending is None


def test_looking_back_at_nothing_does_not_stop_the_run(document):
    played = document.open(document.store.open(ETHANOL, "first"))
    with pytest.raises((UnsupportedError, StorageError)):
        run(document.store.replay())
    assert played.told[-1] == "play"
