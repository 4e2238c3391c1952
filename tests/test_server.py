"""The server without a browser: who is let in, what each may take, what goes on without a page, and what a lecture costs."""

import asyncio
import re
import threading
import time
from types import SimpleNamespace
from urllib.error import HTTPError
from urllib.parse import urlencode
from urllib.request import HTTPRedirectHandler, Request, build_opener

import numpy as np
import pytest
from bokeh.document import Document
from click.testing import CliRunner

from studio.errors import SettingsError, StorageError, WorkerError
from studio.frame import Frame, LocalFrames
from studio.hybrid.view import View
from studio.messages import Status
from studio.recipes.dynamics import Dynamics
from studio.structure import Structure
from studio.system import EXAMPLES
from tests.browser import free_port
from widgets import app, doors, server, visitors
from widgets.address import Address
from widgets.broadcast import Broadcast
from widgets.limits import Limits
from widgets.opening import Place
from widgets.pump import Pump
from widgets.relay import Relay
from widgets.visitors import GuestRun, Visitors

ASPIRIN = Dynamics(system=EXAMPLES["aspirin-vacuum"].system, view=View(resolution="mm"))
PASSWORD = "open sesame"


class FakeRun(GuestRun):
    """A run whose worker is the test; its memory is what `gigabytes` says, none once it is closed."""

    pids = iter(range(1000, 100_000))

    def __init__(self, recipe, structure, folder):
        self.recipe, self.structure, self.folder = recipe, structure or Structure.from_smiles("CCO"), folder
        self.frames, self.told, self.now, self.gigabytes = LocalFrames(), [], Status("paused", "Ready", 1.0), 1.0
        self.number = next(self.pids)

    status = property(lambda self: self.now)
    pid = property(lambda self: self.number)

    def play(self):
        self.now = Status("playing")

    def pause(self):
        self.now = Status("paused")

    def set_temperature(self, kelvin):
        self.told.append(kelvin)

    def end(self, reason):
        self.now = Status("lost", reason)

    def close(self):
        self.now, self.gigabytes, self.ended = Status("closed"), None, True


class Books:
    """A library that remembers what was written."""

    def __init__(self):
        self.written, self.released = [], 0

    def update(self, run, *, status=None, time_ps=None):
        self.written.append((run, status))

    def check_room(self, owner, megabytes):
        raise StorageError(f"Your runs take more than {megabytes:.0f} MB.")

    def release(self):
        self.released += 1


class Desk:
    """As much of a store as the server needs: a run in its place."""

    def __init__(self, run, number):
        self.run, self.library, self.keep, self.player = run, Books(), False, None
        self.structure, self.recipe, self.title = run.structure, ASPIRIN, "Aspirin"
        self.place = Place(run, SimpleNamespace(id=number, folder=run.folder), self.library)

    status = property(lambda self: self.run.status)

    def hand_over(self):
        place, self.place = self.place, None
        return place

    def close(self):
        if self.place is not None:
            self.place.run.close()


class Room:
    """Visitors whose runs are fakes."""

    def __init__(self, monkeypatch, **limits):
        self.runs = []
        self.visitors = Visitors(Limits(**limits), self.launch)
        monkeypatch.setattr(visitors, "PATIENCE", 0.0)
        monkeypatch.setattr(visitors, "resident_gigabytes", lambda pid: next(run.gigabytes for run in self.runs if run.pid == pid))

    def launch(self, recipe, structure, folder):
        self.runs.append(FakeRun(recipe, structure, folder))
        return self.runs[-1]

    def sit(self, owner="ann", number=1, tmp="run"):
        """A page with a run that plays."""
        seat = self.visitors.admit(owner)
        run = seat.launch(ASPIRIN, None, tmp)
        run.play()
        store = Desk(run, number)
        seat.sit(store, Pump(lambda _error: None))
        return seat, store, run


@pytest.fixture
def room(monkeypatch):
    rooms = []

    def build(**limits):
        rooms.append(Room(monkeypatch, **limits))
        return rooms[-1]

    yield build
    for each in rooms:
        each.visitors.close()


def frame(time_ps=0.0, potential=-1.0, atoms=9):
    return Frame(step=round(1000 * time_ps), time=time_ps, positions=np.zeros((atoms, 3), np.float32), temperature=300.0, energies={"potential": potential})


def soon(condition):
    end = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.01)


# -- addresses ---------------------------------------------------------------------------------------------------------


def test_the_page_is_not_shown_to_strangers():
    result = CliRunner().invoke(app.command, ["--host", "0.0.0.0", "--no-browser"])
    assert isinstance(result.exception, SettingsError)
    assert "password" in str(result.exception)


def test_a_taken_port_is_passed_over():
    import socket

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert Address(port=port).free().port > port
    assert Address("0.0.0.0", 1).origins == ["*"]
    assert Address("192.0.2.1").url == "http://192.0.2.1:5006"
    assert Address("::1").url == "http://[::1]:5006"
    assert not Address("example.org").local
    with pytest.raises(SettingsError, match="this machine"):
        Address("192.0.2.1").free()


def test_the_password_is_not_in_what_is_printed():
    assert PASSWORD not in repr(Address(password=PASSWORD))


# -- limits ------------------------------------------------------------------------------------------------------------


def test_a_full_room_takes_no_other_visitor_but_another_page_of_one_who_is_here(room):
    here = room(users=2)
    first = here.visitors.admit("ann")
    assert here.visitors.admit("bob")
    assert here.visitors.admit("eve") is None
    assert here.visitors.admit("ann")
    first.leave()
    assert here.visitors.admit("eve") is None, "ann's other page is open"
    next(seat for seat in here.visitors.seats if seat.owner == "bob").leave()
    assert here.visitors.admit("eve")


def test_a_visitor_has_so_many_workers_and_no_more(room):
    here = room(runs=2)
    seat, _, run = here.sit(tmp="1")
    other = here.visitors.admit("bob")
    seat.launch(ASPIRIN, None, "2")
    with pytest.raises(WorkerError, match="2 runs and studies at work"):
        seat.launch(ASPIRIN, None, "3")
    assert other.launch(ASPIRIN, None, "4"), "others are not concerned"
    run.close()
    assert seat.launch(ASPIRIN, None, "3")


def test_one_folder_is_written_by_one_worker(room):
    here = room()
    here.sit(tmp="1")
    with pytest.raises(WorkerError, match="another window"):
        here.visitors.admit("ann").launch(ASPIRIN, None, "1")


def test_a_new_run_waits_for_one_that_is_just_ending(room, monkeypatch):
    here = room(runs=1)
    seat, _, run = here.sit(tmp="1")
    monkeypatch.setattr(visitors, "PATIENCE", 10.0)
    threading.Timer(0.3, run.close).start()
    assert seat.launch(ASPIRIN, None, "1").pid != run.pid


def test_too_much_memory_ends_a_run_with_a_sentence(room):
    here = room(gigabytes=2.0)
    _, _, run = here.sit(tmp="1")
    _, _, modest = here.sit(tmp="2")
    run.gigabytes = 3.21
    here.visitors.look()
    assert run.status.state == "lost"
    assert re.search(r"3\.2 GB.*2 GB.*smaller system", run.status.message)
    assert modest.status.state == "playing"


def test_a_recovered_run_is_still_watched(room):
    here = room(gigabytes=2.0)
    _, _, run = here.sit()
    run.gigabytes = None  # the worker died by itself
    here.visitors.look()
    run.gigabytes = 5.0
    here.visitors.look()
    assert "5.0 GB" in run.status.message


def test_uploads_and_recorded_runs_have_their_limit(room):
    seat, _, _ = room(upload_megabytes=10.0).sit()
    seat.take_upload(6.0)
    with pytest.raises(StorageError, match=r"6 MB; another 5\.0 MB"):
        seat.take_upload(5.0)
    seat.take_upload(4.0)
    greedy, _, _ = room(library_megabytes=None).sit("eve")
    assert greedy.launch(ASPIRIN, None, "9")
    poor = room(library_megabytes=5.0).visitors.admit("eve")
    poor.sit(Desk(FakeRun(ASPIRIN, None, "8"), 8), None)
    with pytest.raises(StorageError, match="5 MB"):
        poor.launch(ASPIRIN, None, "9")


# -- kept runs ---------------------------------------------------------------------------------------------------------


def test_a_kept_run_goes_on_and_is_found_again(room):
    here = room(keep=True)
    seat, store, run = here.sit(number=12, tmp="12")
    assert store.keep
    seat.leave()
    seat.leave()
    here.visitors.look()
    assert (run.status.state, store.library.written) == ("playing", [(12, "playing")])
    assert here.visitors.admit("bob").kept == ()
    back = here.visitors.admit("ann")
    assert back.kept == (12,)
    assert here.visitors.admit("bob").take(12) is None
    place = back.take(12)
    assert (place.run, store.library.released) == (run, 0), "the same worker, and nobody else may have it"
    assert back.kept == ()
    assert back.take(12) is None
    assert len(here.runs) == 1


def test_what_does_not_play_is_not_kept(room):
    here = room(keep=True)
    seat, store, run = here.sit()
    run.pause()
    seat.leave()
    assert here.visitors.kept == []
    assert store.place is not None, "left for the store to close"


def test_a_kept_run_that_fails_is_written_down_and_closed(room):
    here = room(keep=True)
    seat, store, run = here.sit(number=3)
    seat.leave()
    run.now = Status("failed", "A bond broke.")
    here.visitors.look()
    soon(lambda: run.ended)
    soon(lambda: store.library.released == 1)
    assert store.library.written == [(3, "failed")]
    assert here.visitors.kept == []


def test_no_more_runs_are_kept_than_the_room_has_places(room):
    here = room(keep=True, users=2)
    runs = []
    for owner in ("ann", "bob", "eve"):
        seat, _, run = here.sit(owner, tmp=owner)
        seat.leave()
        runs.append(run)
    soon(lambda: runs[0].ended)
    assert [kept.owner for kept in here.visitors.kept] == ["bob", "eve"]


def test_the_end_of_the_server_ends_all_runs(room):
    here = room(keep=True)
    seat, _, kept = here.sit(tmp="1")
    seat.leave()
    _, _, open_run = here.sit(tmp="2")
    here.visitors.close()
    assert kept.ended
    assert open_run.ended
    here.visitors = Visitors(Limits())


# -- lectures ----------------------------------------------------------------------------------------------------------


def test_a_lecture_has_one_address_until_it_ends(room):
    here = room()
    seat, _, _ = here.sit()
    address = seat.share()
    assert re.fullmatch(r"lecture\?run=[\w-]{22}", address)
    assert seat.share() == address
    broadcast = here.visitors.watched(address.split("=")[1])
    assert broadcast is seat.broadcast
    assert here.visitors.watched("") is None
    seat.unshare()
    assert broadcast.over
    assert here.visitors.watched(address.split("=")[1]) is None
    assert seat.share() != address


def test_a_lecturer_who_comes_back_finds_the_audience(room):
    here = room()
    seat, _, _ = here.sit("ann", tmp="1")
    address, broadcast = seat.share(), seat.broadcast
    broadcast.enter()
    seat.leave()
    assert not broadcast.present
    stranger, _, _ = here.sit("bob", tmp="2")
    assert stranger.share() != address
    again, _, _ = here.sit("ann", tmp="3")
    assert again.share() == address
    assert again.watching == 1


def test_all_viewers_get_the_very_same_frame_and_late_ones_what_was_before(room):
    seat, store, _ = room().sit()
    seat.share()
    showing = seat.broadcast.showing
    cursors = [showing.frames.subscribe() for _ in range(30)]
    for picture in (frame(0.0, 1.0), frame(0.1, 1.0), frame(0.2, 2.0), frame(0.3, 3.0, atoms=5)):
        seat.broadcast._take(picture)
    assert len({id(cursor.latest()) for cursor in cursors}) == 1
    assert list(showing.samples.time) == [0.0, 0.2], "the same energies carried on are no sample; frames of other atoms are late"
    store.structure = Structure.from_smiles("CC")
    assert seat.broadcast.showing is not showing
    assert len(seat.broadcast.showing.samples) == 0


def test_the_more_watch_the_fewer_frames_each_gets():
    broadcast = Broadcast(seats=40)
    assert broadcast.rate == 25.0
    leaves = [broadcast.enter() for _ in range(30)]
    assert broadcast.rate == pytest.approx(10.0)
    leaves += [broadcast.enter() for _ in range(10)]
    assert broadcast.rate == 8.0
    assert broadcast.enter() is None
    leaves[0]()
    leaves[0]()
    assert broadcast.watching == 39


def test_viewers_are_served_in_turn_and_one_that_breaks_stops_nobody():
    served, problems = [], []

    def break_down():
        raise OSError("gone")

    async def lecture():
        relay = Relay(lambda: 1e-4)
        leaves = [relay.join(Document(), lambda number=number: served.append(number), problems.append) for number in range(3)]
        relay.join(Document(), break_down, problems.append)
        while len(problems) < 5:
            await asyncio.sleep(1e-3)
        leaves[1]()
        leaves[1]()
        rest = len(served)
        while len(problems) < 10:
            await asyncio.sleep(1e-3)
        return served[:rest], served[rest + 1 :]

    before, after = asyncio.run(lecture())
    assert before[:6] == [0, 1, 2, 0, 1, 2]
    assert set(after) == {0, 2}
    assert {str(problem) for problem in problems} == {"gone"}


# -- doors -------------------------------------------------------------------------------------------------------------


class Silent(HTTPRedirectHandler):
    """Redirects are looked at, not followed."""

    def redirect_request(self, *_args):
        return None


class House:
    """A server with a password, and a page of one word."""

    def __init__(self, room):
        import panel as pn

        self.owners = []

        def document(seat):
            self.owners.append(seat.owner)
            return pn.pane.Str("welcome")

        self.address = Address(port=free_port(), password=PASSWORD)
        self.loop, self.ready = asyncio.new_event_loop(), threading.Event()

        def serve():
            asyncio.set_event_loop(self.loop)
            self.server = server.listen(self.address, room.visitors, document)
            self.server.start()
            self.loop.call_soon(self.ready.set)
            self.server.io_loop.start()

        self.thread = threading.Thread(target=serve)
        self.thread.start()
        assert self.ready.wait(20)

    def ask(self, path, data=None, **headers):
        """Status, body and headers of an answer."""
        request = Request(f"http://127.0.0.1:{self.address.port}{path}", urlencode(data).encode() if data else None, headers)
        try:
            answer = build_opener(Silent).open(request, timeout=20)
        except HTTPError as problem:
            answer = problem
        with answer:
            return answer.status, answer.read().decode(errors="replace"), answer.headers

    def enter(self):
        """The cookie of a visitor who knows the password."""
        _, _, headers = self.ask("/login", {"password": PASSWORD})
        return headers["Set-Cookie"]

    def close(self):
        def end():
            self.server.stop(wait=False)
            self.server.io_loop.stop()

        self.loop.call_soon_threadsafe(end)
        self.thread.join(10)
        self.loop.close()


@pytest.fixture
def house(room, monkeypatch, tmp_path):
    monkeypatch.setenv("POTENTIAL_STUDIO_DATA", str(tmp_path))
    monkeypatch.setattr(doors, "WRONG_SECONDS", 0.0)
    house = House(room(users=1))
    yield house
    house.close()


def test_the_door_opens_with_the_password_and_the_cookie_is_ones_own(house):
    status, _, headers = house.ask("/")
    assert (status, headers["Location"].split("?")[0]) == (302, "./login")
    status, body, _ = house.ask("/login", {"password": "guess"})
    assert status == 403
    assert "not the password" in body
    assert "guess" not in body
    cookie = house.enter()
    assert "HttpOnly" in cookie
    assert "SameSite=Lax" in cookie
    status, body, _ = house.ask("/", Cookie=cookie.split(";")[0])
    assert status == 200
    assert len(house.owners[0]) == 16
    again = house.ask("/login", {"password": PASSWORD}, Cookie=cookie.split(";")[0])[2]["Set-Cookie"]
    house.ask("/", Cookie=again.split(";")[0])
    assert len(set(house.owners)) == 1, "who comes again is known"
    status, body, _ = house.ask("/", Cookie=house.enter().split(";")[0])
    assert "The room is full" in body
    assert "<script" not in body, "who waits costs nothing"
    assert len(set(house.owners)) == 1


def test_a_login_leads_nowhere_else(house):
    for path in ("/login?next=https://evil.example/", "/login?next=//evil.example/"):
        status, body, _ = house.ask(path)
        assert status == 200
        assert "evil" not in body
        assert house.ask(path, {"password": PASSWORD})[2]["Location"] == "./"


def test_without_the_cookie_nothing_is_open_but_a_lecture(house):
    for path in ("/ws", "/metadata", "/autoload.js?bokeh-autoload-element=1", "/nglview-js/"):
        assert house.ask(path)[0] in (302, 403, 404), path
    assert house.ask("/", Cookie="user=ann")[0] == 302, "an unsigned cookie"
    assert "No lecture here" in house.ask("/lecture?run=guess")[1]
    assert house.ask("/components/antigravity/Thing/_css/x.css")[0] == 404
    assert house.ask("/nglview-js/../../../etc/passwd")[0] in (302, 403, 404)


def test_many_wrong_passwords_have_to_wait(house, monkeypatch):
    monkeypatch.setattr(doors, "TRIES", 30)
    for _ in range(30):
        assert house.ask("/login", {"password": "x"})[0] == 403
    status, body, _ = house.ask("/login", {"password": PASSWORD})
    assert status == 429
    assert "Wait a minute" in body


def test_requests_are_small(house):
    status = 0
    try:
        status = house.ask("/login", {"password": "x" * 2 * doors.MAX_BODY})[0]
    except OSError:
        status = 413  # the line was cut while we still talked
    assert status in (400, 413)


def test_cookies_outlive_a_restart_but_not_a_new_password(tmp_path, monkeypatch):
    monkeypatch.setenv("POTENTIAL_STUDIO_DATA", str(tmp_path / "new"))
    assert server.cookie_secret("a") == server.cookie_secret("a") != server.cookie_secret("b")
    assert (tmp_path / "new" / "server.key").stat().st_mode & 0o077 == 0
