"""The plots without a browser: what is kept, what is sent, what is compared and what is saved."""

import csv
import io

import numpy as np
import pytest
from PIL import Image

from studio.errors import SettingsError
from studio.frame import Frame
from studio.observables import Dihedral, Distance
from studio.timeseries import Samples, block_mean, difference, stride
from studio.units import KJ_PER_KCAL
from widgets import plots as module
from widgets.figures import DARK, LIGHT
from widgets.plots import Plots, summary_table
from widgets.series import DRAWN, MAX_OBSERVED, Series, panels


def frame(time, potential=0.0, temperature=300.0, positions=None, work=0.0, **energies):
    places = np.zeros((9, 3), np.float32) if positions is None else np.asarray(positions, np.float32)
    known = {name: value * KJ_PER_KCAL for name, value in {"potential": potential, "kinetic": 1.0, **energies}.items()}
    return Frame(step=round(1000 * time), time=time, positions=places, temperature=temperature, energies=known, pull_work=work * KJ_PER_KCAL)


class Browser:
    """What `plots.js` does with the messages, and nothing more."""

    def __init__(self, plots, monkeypatch):
        self.plots, self.lines, self.files, self.messages, self.answers = plots, [], [], [], True
        monkeypatch.setattr(plots.panel, "_send_msg", self.take)
        plots._hear({"type": "ready"})

    def take(self, message):
        if "file" in message:
            self.files.append(message)
            return
        self.messages.append(message)
        self.lines = [
            {curve["label"]: self.joined(place, index, curve) for index, curve in enumerate(slot["curves"])} for place, slot in enumerate(message["slots"])
        ]
        if self.answers:
            self.plots._hear({"type": "ack", "number": message["number"]})

    def joined(self, place, index, curve):
        points = np.array([np.frombuffer(curve["time"]), np.frombuffer(curve["values"])])
        return points if curve["fresh"] else np.hstack([list(self.lines[place].values())[index], points])


@pytest.fixture
def plots():
    return Plots()


@pytest.fixture
def browser(plots, monkeypatch):
    return Browser(plots, monkeypatch)


class TestSamples:
    def test_memory_is_bounded_and_the_whole_run_stays(self):
        samples = Samples(capacity=64)
        for step in range(10_000):
            samples.append(float(step), {"a": 2.0 * step})
        assert 32 <= len(samples) <= 64
        assert samples.time[0] == 0
        assert samples.time[-1] > 10_000 - samples.every - 1
        assert set(np.diff(samples.time)) == {samples.every}
        assert (samples["a"] == 2 * samples.time).all()
        assert (samples.now, samples.newest("a")) == (9999.0, 19998.0)

    def test_a_step_back_removes_what_came_after_and_rows_stay_equally_far_apart(self):
        samples = Samples(capacity=16)
        for step in range(100):
            samples.append(float(step), {"a": step})
        samples.append(41.0, {"a": -1.0})
        assert samples.now == 41.0
        assert (samples.time < 41).sum() == len(samples.time) - (41.0 in samples.time)
        for step in range(42, 200):
            samples.append(float(step), {"a": step})
        assert (np.diff(samples.time) > 0).all()
        assert len(set(np.diff(samples.time))) <= 2

    def test_columns_come_and_go_with_gaps(self):
        samples = Samples()
        samples.append(0.0, {"a": 1.0})
        samples.append(1.0, {"a": 2.0, "b": 5.0})
        samples.append(2.0, {"b": 6.0})
        assert np.array_equal(samples["a"], [1.0, 2.0, np.nan], equal_nan=True)
        assert np.array_equal(samples["b"], [np.nan, 5.0, 6.0], equal_nan=True)
        samples.close("a")
        assert samples.columns == ("b",)
        assert samples.newest("b") == 6.0
        samples.close("never there")

    def test_stride(self):
        assert [stride(count, 10) for count in (0, 10, 11, 20, 21, 1000)] == [1, 1, 2, 2, 4, 128]


class TestStatistics:
    def test_the_error_of_correlated_values_is_not_underestimated(self):
        """Against the scatter of the means of many independent series with a known memory."""
        rng, memory, count = np.random.default_rng(1), 0.95, 4096
        series = np.zeros((200, count))
        for step in range(1, count):
            series[:, step] = memory * series[:, step - 1] + rng.normal(size=200)
        true = series.mean(axis=1).std()
        errors = np.array([block_mean(each).error for each in series])
        assert 0.8 * true < errors.mean() < 1.6 * true
        assert (series[0].std() / np.sqrt(count)) < 0.3 * true  # what one would say without blocks

    def test_of_angles_that_go_round(self):
        around_half_turn = (180 + np.random.default_rng(2).normal(0, 5, 1000) + 180) % 360 - 180
        mean = block_mean(around_half_turn, 360.0)
        assert abs(abs(mean.value) - 180) < 1
        assert mean.error < 1
        assert abs(block_mean(np.full(20, -179.0), 360.0).above(block_mean(np.full(20, 179.0), 360.0), 360.0).value - 2) < 1e-9

    def test_too_few_values_have_no_error(self):
        assert np.isnan(block_mean(np.arange(15.0)).error)
        assert np.isnan(block_mean(np.array([np.nan])).value)

    def test_difference_is_taken_at_common_times(self):
        time, apart = difference(np.array([0.0, 2.0, 4.0]), np.array([0.0, 20.0, 40.0]), np.array([-1.0, 1.0, 3.0, 5.0]), np.array([9.0, 11.0, 33.0, 9.0]))
        assert time.tolist() == [1.0, 3.0]
        assert apart.tolist() == [1.0, 3.0]
        _, turned = difference(np.array([0.0, 1.0]), np.array([179.0, -179.0]), np.array([0.5]), np.array([-170.0]), 360.0)
        assert turned.tolist() == [10.0]
        assert len(difference(np.empty(0), np.empty(0), time, apart)[0]) == 0


class TestSeries:
    def test_energies_are_relative_to_the_first_sample_in_kcal(self):
        series = Series()
        series.add(frame(0.0, 10.0, network=4.0, mm=6.0))
        series.add(frame(0.1, 10.0, network=4.0, mm=6.0))  # the same sample carried on
        series.add(frame(0.2, 12.0, network=5.0, mm=7.0))
        (energy, temperature) = panels([series])
        assert series.samples.time.tolist() == [0.0, 0.2]
        assert (energy.name, temperature.name) == ("Energy change, kcal/mol", "Temperature, K")
        assert {curve.label: curve.points()[1].tolist() for curve in energy.curves} == {
            "potential": pytest.approx([0.0, 2.0]), "network": pytest.approx([0.0, 1.0]), "MM": pytest.approx([0.0, 1.0]),
        }  # fmt: skip

    @pytest.mark.parametrize(
        ("energies", "expected"),
        [
            ({}, ["potential"]),
            ({"network": 5.0, "mm": 0.0}, ["potential"]),  # the network is all there is
            ({"network": 5.0, "mm": 1.0, "pull": 0.0, "restraint": 0.0}, ["potential", "network", "MM"]),
            ({"network": 5.0, "mm": 1.0, "embedding": 1.0, "polarisation": -1.0}, ["potential", "network", "MM", "embedding", "polarisation"]),
            ({"pull": 3.0}, ["potential", "pull"]),
        ],
    )
    def test_a_component_has_a_line_where_the_run_has_it(self, energies, expected):
        series = Series()
        series.add(frame(0.0, 1.0, **energies))
        assert [curve.label for curve in panels([series])[0].curves] == expected

    def test_a_spring_starts_from_nothing_not_from_its_first_value(self):
        series = Series()
        series.add(frame(0.0, 1.0, pull=3.0, work=5.0))
        assert {curve.label: curve.newest() for curve in panels([series])[0].curves} == pytest.approx({"potential": 0.0, "pull": 3.0, "work by hand": 5.0})

    def test_what_is_measured_stands_by_kind(self):
        series = Series()
        series.observe(Distance(atoms=(0, 1), names=("C1", "C2")))
        series.observe(Dihedral(atoms=(0, 1, 2, 3), names=("C1", "C2", "C3", "C4")))
        series.add(frame(0.0, 1.0, positions=[[0, 0.1, 0], [0, 0, 0], [0.1, 0, 0], [0.1, -0.1, 0]]))
        distance, torsion = panels([series])[2:]
        assert (distance.name, torsion.name, torsion.period) == ("Distances, \u00c5", "Torsions, \u00b0", 360.0)
        assert distance.curves[0].points()[1].tolist() == pytest.approx([1.0])
        assert abs(torsion.curves[0].newest()) == pytest.approx(180.0)
        series.forget("C1-C2 distance")
        assert [panel.title for panel in panels([series])] == ["Energy change", "Temperature", "Torsions"]

    def test_too_many_values_are_refused_in_words(self):
        series = Series()
        for atom in range(1, MAX_OBSERVED + 1):
            series.observe(Distance(atoms=(0, atom), names=("C0", f"C{atom}")))
        series.observe(Distance(atoms=(0, 1), names=("C0", "C1")))  # again: no other
        assert len({quantity.colour for quantity, _ in series.observed.values()}) == MAX_OBSERVED
        with pytest.raises(SettingsError, match="Remove one first"):
            series.observe(Distance(atoms=(0, 8), names=("C0", "C8")))


class TestSending:
    def test_only_new_points_travel(self, plots, browser):
        for step in range(5):
            plots.add(frame(step, step))
            plots.flush()
        assert browser.lines[0]["potential"].tolist() == [[0, 1, 2, 3, 4], [0, 1, 2, 3, 4]]
        assert len(browser.messages[-1]["slots"][0]["curves"][0]["time"]) == 8
        count = len(browser.messages)
        plots.flush()
        assert len(browser.messages) == count

    def test_a_step_back_removes_points_from_the_lines(self, plots, browser):
        for time in (0.0, 1.0, 2.0, 0.5):
            plots.add(frame(time, time))
            plots.flush()
        assert browser.lines[0]["potential"][0].tolist() == [0.0, 0.5]

    def test_a_long_run_is_seen_whole_in_few_points(self, plots, browser):
        for step in range(40_000):
            plots.add(frame(step * 0.01, float(step)))
            if step % 999 == 0:
                plots.flush()
        plots.flush()
        time, values = browser.lines[0]["potential"]
        assert len(time) <= DRAWN
        assert time[0] == 0
        assert time[-1] > 399
        assert values == pytest.approx(time * 100)
        plots.panel.last = 10.0
        time = browser.lines[0]["potential"][0]
        assert 389.9 <= time[0] <= 390.1
        assert len(time) > 200

    def test_the_next_message_waits_for_the_answer_and_a_lost_one_is_made_good(self, plots, browser, monkeypatch):
        now = [100.0]
        monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
        browser.answers = False
        for step in range(10):
            plots.add(frame(step, step))
            plots.flush()
        waiting = len(browser.messages)
        assert waiting <= 2
        now[0] += 11
        plots.flush()
        assert len(browser.messages) == waiting + 1
        assert browser.messages[-1]["slots"][0]["curves"][0]["fresh"]
        assert browser.lines[0]["potential"][0].tolist() == list(range(10))

    def test_the_user_chooses_what_is_seen(self, plots, browser):
        plots.add(frame(0.0, 1.0, temperature=310.0))
        plots.flush()
        assert plots.panel.panels == plots.panel.shown == ["Energy change, kcal/mol", "Temperature, K"]
        plots.panel.shown = ["Temperature, K", "Temperature, K"]
        assert [list(lines) for lines in browser.lines] == [["temperature"], ["temperature"]]
        plots.restart()
        plots.flush()
        plots.add(frame(0.0, 1.0))
        plots.flush()
        assert plots.panel.shown == ["Temperature, K", "Temperature, K"]  # remembered for the next run

    def test_a_choice_that_is_gone_falls_back(self, plots, browser):
        plots.observe(Distance(atoms=(0, 1), names=("C1", "C2")))
        plots.add(frame(0.0, 1.0))
        plots.panel.shown = ["Distances, \u00c5", "Temperature, K"]
        plots.flush()
        plots.forget("C1-C2 distance")
        plots.flush()
        assert plots.observed == ()
        assert plots.panel.shown == ["Energy change, kcal/mol", "Temperature, K"]

    def test_a_click_tells_the_time(self, plots):
        heard = []
        undo = plots.on_time(heard.append)
        plots._hear({"type": "time", "time": 1.25})
        undo()
        undo()
        plots._hear({"type": "time", "time": 2.5})
        plots._hear({"type": "time", "time": "now"})
        assert heard == [1.25]

    def test_a_recorded_run_can_be_loaded(self, plots, browser):
        time = np.linspace(0, 50, 30_001)
        plots.load(time, np.full(len(time), 300.0), {"potential": time * KJ_PER_KCAL, "kinetic": time})
        plots.mark(20.0)
        plots.flush()
        assert browser.lines[0]["potential"][1][-1] > 49.9
        assert plots.panel.marker == 20.0


class TestTakingItHome:
    def test_csv_has_all_numbers_with_units(self, plots):
        plots.observe(Distance(atoms=(0, 1), names=("C1", "C2")))
        plots.add(frame(0.0, 1 / 3, network=2.0, mm=1.0))
        plots.add(frame(0.5, 2 / 3, network=2.0, mm=1.0))
        head, first, second = csv.reader(io.StringIO(plots.to_csv()))
        assert head == ["time (ps)", "potential (kcal/mol)", "network (kcal/mol)", "MM (kcal/mol)", "temperature (K)", "C1-C2 distance (\u00c5)"]
        assert float(second[1]) == pytest.approx(2 / 3, rel=1e-14)
        assert [float(cell) for cell in first] == pytest.approx([0.0, 1 / 3, 2.0, 1.0, 300.0, 0.0])

    def test_saving_sends_a_file(self, plots, browser):
        plots.add(frame(0.0, 1.0))
        for kind in ("csv", "png", "svg", "exe"):
            plots._hear({"type": "save", "format": kind})
        assert [message["name"] for message in browser.files] == ["potential-studio.csv", "potential-studio.png", "potential-studio.svg"]
        assert browser.files[0]["file"].decode() == plots.to_csv()

    def test_figures_show_the_lines(self, plots, browser):
        for step in range(50):
            plots.add(frame(step, np.sin(step)))
        blank = Plots().figure()
        picture = np.asarray(Image.open(io.BytesIO(plots.figure())).convert("RGB"), dtype=float)
        orange = np.array([int(LIGHT.colours[0][place : place + 2], 16) for place in (1, 3, 5)])
        assert (np.abs(picture - orange).max(axis=-1) < 25).sum() > 500
        assert len(blank) < len(plots.figure())
        svg = plots.figure("svg").decode()
        assert LIGHT.colours[0] in svg
        assert "http://" not in svg.split("<defs>")[1].replace("http://www.w3.org", "")
        assert plots.figure("svg", dark=True).decode().count(DARK.ground)

    @pytest.mark.parametrize("ink", [DARK, LIGHT])
    def test_every_line_stands_out_from_the_ground(self, ink):
        def light(colour):
            parts = np.array([int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)])
            return np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4) @ (0.2126, 0.7152, 0.0722)

        for colour in (*ink.colours, ink.text, ink.accent):
            pair = sorted((light(colour), light(ink.ground)))
            assert (pair[1] + 0.05) / (pair[0] + 0.05) >= 3, colour


class TestComparing:
    @pytest.fixture
    def both(self, plots, browser):
        plots.compare({"a": "MM", "b": "NNP/MM"})
        rng = np.random.default_rng(3)
        for step in range(200):
            plots.add(frame(step, 100.0 + step + rng.normal(), 300 + rng.normal()), "a")
            plots.add(frame(step + 0.5, -500.0 + 3 * (step + 0.5) + rng.normal(), 310 + rng.normal()), "b")
            plots.add(frame(step, 1.0), "long gone")
        plots.flush()
        return plots

    def test_runs_share_a_panel_and_their_difference_has_one(self, both, browser):
        assert both.panel.panels == ["Potential, kcal/mol", "Difference: potential, kcal/mol", "Temperature, K", "Difference: temperature, K"]
        assert list(browser.lines[0]) == ["MM", "NNP/MM"]
        time, apart = browser.lines[1]["NNP/MM \u2212 MM"]
        assert np.polyfit(time, apart, 1)[0] == pytest.approx(2.0, abs=0.05)
        looks = {(curve["colour"], curve["dash"]) for curve in browser.messages[-1]["slots"][0]["curves"]}
        assert len({colour for colour, _ in looks}) == len({dash for _, dash in looks}) == 2

    def test_the_table_says_how_far_the_means_are_apart(self, both):
        rows = {(row.run, row.quantity): row for row in both.summary()}
        warm = rows["NNP/MM", "temperature"]
        assert rows["MM", "temperature"].above is None
        assert warm.above.value == pytest.approx(10, abs=0.5)
        assert 0.05 < warm.above.error < 0.3
        table = summary_table(both.summary())
        assert "NNP/MM" in table
        assert "\u00b1" in table

    def test_csv_names_the_run(self, both):
        rows = list(csv.DictReader(io.StringIO(both.to_csv())))
        assert {row["run"] for row in rows} == {"MM", "NNP/MM"}
        assert len(rows) == 400

    def test_a_quantity_of_one_run_only_has_no_difference(self, plots, browser):
        plots.compare({"a": "MM", "b": "NNP/MM"})
        plots.add(frame(0.0, 1.0), "a")
        plots.add(frame(0.0, 1.0, network=1.0, mm=2.0), "b")
        plots.flush()
        assert [name for name in plots.panel.panels if "etwork" in name] == ["Network, kcal/mol"]
        assert len(plots.to_csv().splitlines()) == 3

    def test_five_runs_are_too_many(self, plots):
        with pytest.raises(SettingsError, match="Expected 1 to 4 runs"):
            plots.compare({str(run): str(run) for run in range(5)})
