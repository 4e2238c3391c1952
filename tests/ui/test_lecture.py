"""The server as visitors meet it: the room, the password, one run for a whole lecture, a run that goes on without a page."""

import asyncio
import re
import threading
import time
from pathlib import Path

import panel as pn
import psutil
import pytest
from conftest import free_port, wait_until
from panel.io.state import set_curdoc

from studio.hybrid.view import View
from studio.library import Library
from studio.recipes.dynamics import Dynamics
from studio.run import close_all
from studio.system import EXAMPLES, FromSmiles, System, Vacuum
from tests.audience import Audience
from widgets import lecture, server
from widgets.address import Address
from widgets.limits import Limits
from widgets.pump import Pump
from widgets.store import Store
from widgets.viewer import Viewer
from widgets.visitors import LOOK_MS, Visitors

pytestmark = [pytest.mark.ui, pytest.mark.slow]

SCREENSHOTS = Path(__file__).parent / "screenshots"
ASPIRIN = Dynamics(system=EXAMPLES["aspirin-vacuum"].system, view=View(resolution="mm"))
ETHANOL = Dynamics(system=System(source=FromSmiles(smiles="CCO"), surroundings=Vacuum()), view=View(resolution="mm"))
PREPARING = 120.0


class Screen:
    """The document of one visitor, with what a lecture needs of a desk: a store, a pump and a view."""

    def __init__(self, seat, folder):
        self.seat, self.errors, self.doc = seat, [], pn.state.curdoc
        self.store = Store(Library(folder), seat.owner, seat.launch, seat.take)
        self.pump, self.viewer = Pump(self.errors.append), Viewer(dark=True)
        for listener in (self.store.take, self.viewer.send):
            self.pump.connect(listener)
        self.store.param.watch(lambda _event: self.pump.watch(self.store.source), ["run", "player"])
        self.store.param.watch(lambda event: self.viewer.show(event.new), "structure")
        seat.sit(self.store, self.pump)
        pn.state.on_session_destroyed(lambda _session: (seat.leave(), self.store.close()))
        pn.state.onload(self.begin)
        self.layout = pn.Column(self.viewer.pane, sizing_mode="stretch_both", min_height=500)

    def begin(self):
        self.pump.start()
        pn.state.add_periodic_callback(self.store.refresh, period=100).log = False

    @property
    def moving(self):
        return self.store.status.state == "playing" and self.store.frame is not None


class House:
    """A server in a thread of its own, and everybody's screens."""

    def __init__(self, folder, limits, password=None):
        self.folder, self.screens, self.room = folder, [], Visitors(limits)
        self.address = Address(port=free_port(), password=password)
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.serve, daemon=True)
        self.ready = threading.Event()
        self.thread.start()
        assert self.ready.wait(20)

    @property
    def url(self):
        return f"http://127.0.0.1:{self.address.port}/"

    def serve(self):
        asyncio.set_event_loop(self.loop)
        self.server = server.listen(self.address, self.room, self.document)
        self.server.start()
        self.loop.call_soon(self.ready.set)
        self.loop.create_task(self.look())
        self.server.io_loop.start()

    async def look(self):
        while True:
            await asyncio.sleep(LOOK_MS / 1000)
            self.room.look()

    def document(self, seat):
        self.screens.append(Screen(seat, self.folder))
        return self.screens[-1].layout

    def do(self, work, *args):
        """Call `work` on the server's thread, in the document of the newest screen; gives what it gives."""

        async def call():
            with set_curdoc(self.screens[-1].doc):
                result = work(*args)
                return await result if asyncio.iscoroutine(result) else result

        return asyncio.run_coroutine_threadsafe(call(), self.loop).result(30)

    def workers(self):
        """Worker processes that belong to a run."""
        return [held.run.pid for held in self.room._held if held.alive]

    def close(self):
        self.room.close()

        async def end():
            for task in asyncio.all_tasks() - {asyncio.current_task()}:
                task.cancel()
            self.server.stop(wait=False)
            self.server.io_loop.stop()

        asyncio.run_coroutine_threadsafe(end(), self.loop)
        self.thread.join(10)
        close_all(())


@pytest.fixture
def house(tmp_path):
    houses = []

    def build(password=None, **limits):
        houses.append(House(tmp_path / "library", Limits(**limits), password))
        return houses[-1]

    yield build
    for each in houses:
        each.close()


def enter(house, page, recipe=ASPIRIN, title="Aspirin in vacuum"):
    """A visitor opens the app and a run that plays."""
    known = len(house.screens)
    page.goto(house.url)
    wait_until(lambda: len(house.screens) > known, page)
    house.do(house.screens[-1].store.open, recipe, title)
    wait_until(lambda: house.screens[-1].moving, page, PREPARING)
    return house.screens[-1]


@pytest.fixture
def lectures(monkeypatch):
    """The pages of all viewers, as they come."""
    pages = []

    class Seen(lecture.Lecture):
        def __init__(self, *args):
            super().__init__(*args)
            pages.append(self)

    monkeypatch.setattr(lecture, "Lecture", Seen)
    return pages


def speed(screen, page, seconds=4.0):
    """Steps per second of wall time, from the clock of the simulation."""
    before, start = screen.store.frame.step, time.monotonic()
    page.wait_for_timeout(1000 * seconds)
    return (screen.store.frame.step - before) / (time.monotonic() - start)


@pytest.mark.timeout(600)
def test_thirty_watch_one_run(house, open_page, browser, lectures):
    house, lecturer = house(users=1, audience=30), open_page(browser)
    screen = enter(house, lecturer)
    alone = speed(screen, lecturer)
    url = house.url + house.do(screen.seat.share)
    pages = [open_page(browser) for _ in range(3)]
    for page in pages:
        page.set_viewport_size({"width": 640, "height": 400})
        page.goto(url)
        wait_until(lambda: lectures[-1].viewer.delivered > 3, page, 60)
    memory = psutil.Process().memory_info().rss
    audience = Audience(url, 27)
    wait_until(lambda: screen.seat.watching == 30 and all(listener.frames > 5 for listener in audience.listeners), lecturer, 120)
    before = [listener.frames for listener in audience.listeners]
    watched = speed(screen, lecturer, 5.0)
    rates = [(listener.frames - then) / 5.0 for listener, then in zip(audience.listeners, before, strict=True)]
    grown = (psutil.Process().memory_info().rss - memory) / 27e6
    print(f"{alone:.0f} steps/s alone, {watched:.0f} with thirty; {min(rates):.1f} to {max(rates):.1f} frames/s each; {grown:.1f} MB for each")
    assert len(house.workers()) == 1
    assert min(rates) > 1.0
    assert grown < 10.0
    turned_away = open_page(browser)
    turned_away.goto(url)
    assert "All seats are taken" in turned_away.inner_text("h1")
    turned_away.screenshot(path=SCREENSHOTS / "lecture_full.png")
    assert len(house.workers()) == 1
    audience.leave()
    wait_until(lambda: screen.seat.watching == 3, lecturer, 30)


@pytest.mark.timeout(300)
def test_viewers_follow_the_lecturer_to_another_molecule_and_to_the_end(house, open_page, browser, lectures):
    house, lecturer, viewer = house(), open_page(browser), open_page(browser)
    screen = enter(house, lecturer)
    viewer.set_viewport_size({"width": 1280, "height": 800})
    viewer.goto(house.url + house.do(screen.seat.share))
    title, chip = viewer.locator(".title"), viewer.locator(".chip")
    wait_until(lambda: title.count() and title.inner_text() == "Aspirin in vacuum" and lectures[0].viewer.delivered > 5, viewer, 60)
    assert chip.inner_text() == "playing"
    viewer.screenshot(path=SCREENSHOTS / "lecture_dark.png")
    viewer.get_by_role("button", name="Light page").click()
    house.do(screen.store.open, ETHANOL, "Ethanol")
    wait_until(lambda: title.inner_text() == "Ethanol", viewer, PREPARING)
    delivered = lectures[0].viewer.delivered
    wait_until(lambda: lectures[0].viewer.delivered > delivered + 5, viewer)
    assert viewer.evaluate("() => liveContexts()") == 1
    viewer.screenshot(path=SCREENSHOTS / "lecture_light.png")
    house.do(screen.store.pause)
    wait_until(lambda: chip.inner_text() == "paused", viewer)
    lecturer.close()
    viewer.get_by_text("goes on by itself").wait_for()
    other = enter(house, open_page(browser), ETHANOL, "Ethanol again")
    house.do(other.seat.share)
    wait_until(lambda: title.inner_text() == "Ethanol again" and chip.inner_text() == "playing", viewer)
    house.do(other.seat.unshare)
    viewer.get_by_text("The lecture is over").wait_for()
    viewer.reload()
    assert "No lecture here" in viewer.inner_text("h1")


@pytest.mark.timeout(300)
def test_a_viewer_who_falls_asleep_costs_little(house, open_page, browser, lectures):
    house, lecturer = house(), open_page(browser)
    screen = enter(house, lecturer)
    audience = Audience(house.url + house.do(screen.seat.share), 2)
    asleep, awake = audience.listeners
    wait_until(lambda: asleep.frames > 5 and awake.frames > 5, lecturer, 60)
    asleep.asleep = 12.0
    lecturer.wait_for_timeout(1500)
    memory, frames, sent = psutil.Process().memory_info().rss, awake.frames, lectures[0].viewer._flows[0].number
    lecturer.wait_for_timeout(10_000)
    print(f"{(psutil.Process().memory_info().rss - memory) / 1e6:.1f} MB more; {lectures[0].viewer._flows[0].number - sent} frames sent to the sleeper")
    assert lectures[0].viewer._flows[0].number - sent <= 8
    assert awake.frames - frames > 20
    assert psutil.Process().memory_info().rss - memory < 20e6
    audience.leave()


@pytest.mark.timeout(300)
def test_a_kept_run_goes_on_without_a_page_in_the_same_worker(house, open_page, browser):
    house, page = house(keep=True), open_page(browser)
    screen = enter(house, page)
    pid, number, time_ps = screen.store.run.pid, screen.store.entry.id, screen.store.frame.time
    page.close()
    watcher = open_page(browser)
    watcher.goto("about:blank")
    wait_until(lambda: house.room.kept, watcher)
    watcher.wait_for_timeout(1000)
    watcher.goto(house.url)
    wait_until(lambda: len(house.screens) == 2, watcher)
    back = house.screens[1]
    assert back.seat.kept == (number,)
    house.do(back.store.reopen, number)
    wait_until(lambda: back.moving, watcher, 30)
    assert back.store.run.pid == pid
    assert back.store.frame.time > time_ps + 1.0
    assert back.seat.kept == ()
    assert house.workers() == [pid]
    back.store.keep = False
    watcher.close()
    last = open_page(browser)
    last.goto("about:blank")
    wait_until(lambda: not psutil.pid_exists(pid), last)
    wait_until(lambda: Library(house.folder).get(number).status == "closed", last)


@pytest.mark.timeout(300)
def test_a_worker_that_takes_too_much_memory_is_ended_in_words(house, open_page, browser):
    house, page = house(gigabytes=0.1), open_page(browser)
    known = len(house.screens)
    page.goto(house.url)
    wait_until(lambda: len(house.screens) > known, page)
    screen = house.screens[-1]
    house.do(screen.store.open, ASPIRIN, "Aspirin")
    wait_until(lambda: screen.store.refusal is not None or screen.store.status.state == "lost", page, PREPARING)
    said = screen.store.refusal.sentence if screen.store.refusal else screen.store.status.message
    assert re.search(r"The run took \d\.\d GB of memory and was ended: this server allows 0\.1 GB", said)
    wait_until(lambda: house.workers() == [], page)


@pytest.mark.timeout(120)
def test_the_password_is_asked_in_the_browser_and_a_lecture_needs_none(house, open_page, browser, lectures, tmp_path, monkeypatch):
    monkeypatch.setenv("POTENTIAL_STUDIO_DATA", str(tmp_path))
    house, page, viewer = house(password="open sesame"), open_page(browser), open_page(browser)
    page.goto(house.url)
    page.get_by_label("Password").fill("guess")
    page.keyboard.press("Enter")
    page.get_by_role("alert").filter(has_text="not the password").wait_for()
    page.screenshot(path=SCREENSHOTS / "server_login.png")
    page.get_by_label("Password").fill("open sesame")
    page.keyboard.press("Enter")
    page.wait_for_url(house.url)
    wait_until(lambda: house.screens, page)
    assert len(house.screens[0].seat.owner) == 16
    viewer.context.clear_cookies()
    viewer.goto(house.url + house.do(house.screens[0].seat.share))
    viewer.get_by_text("Nothing is open yet").wait_for()
    viewer.goto(house.url)
    assert viewer.get_by_label("Password").count() == 1
