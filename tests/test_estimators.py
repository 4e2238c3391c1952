"""Estimators against harmonic states, whose free energies are known: u_k = c_k (x - m_k)^2 / 2 has f_k = ln(c_k / c_0) / 2."""

import subprocess
import sys

import numpy as np
import pytest

from studio.estimators import bar, convergence, exponential, free_energies, inefficiency, subsample

STIFF, CENTRES = np.array([1.0, 2.0, 4.0, 8.0]), np.array([0.0, 0.4, 0.8, 1.2])
EXACT = 0.5 * np.log(STIFF / STIFF[0])


def harmonic(count: int, seed: int = 0, states: slice = slice(None)) -> tuple[np.ndarray, np.ndarray]:
    """Reduced potentials (k, n) of samples of every state, and their numbers."""
    stiff, centres = STIFF[states], CENTRES[states]
    random = np.random.default_rng(seed)
    x = np.concatenate([random.normal(m, c**-0.5, count) for c, m in zip(stiff, centres, strict=True)])
    return 0.5 * stiff[:, None] * (x - centres[:, None]) ** 2, np.full(len(stiff), count)


def test_mbar_finds_the_free_energies_of_harmonic_states() -> None:
    found = free_energies(*harmonic(2000))
    assert np.abs(found.values - EXACT).max() < 0.06
    assert np.all(np.abs(found.values - EXACT)[1:] < 4 * found.errors[0, 1:])
    np.testing.assert_allclose(found.overlap.sum(axis=1), 1.0, atol=1e-6)
    assert np.all(found.neighbours > 0.1)
    assert np.all((found.ess > 2000) & (found.ess <= 8000))


def test_its_error_is_the_scatter_between_repetitions() -> None:
    repeated = [free_energies(*harmonic(200, seed)).between(0, 3) for seed in range(30)]
    scatter = np.std([difference.value for difference in repeated], ddof=1)
    assert 0.6 < scatter / np.mean([difference.error for difference in repeated]) < 1.6


def test_bar_agrees_with_mbar_of_two_states() -> None:
    u, n = harmonic(1000, states=slice(1, 3))
    work = u[1] - u[0]
    found, both = bar(work[: n[0]], -work[n[0] :]), free_energies(u, n).between(0, 1)
    assert found.value == pytest.approx(both.value, abs=1e-4)
    assert found.error == pytest.approx(both.error, rel=0.05)


def test_one_sided_averages_agree_where_states_overlap_and_say_when_they_do_not() -> None:
    u, n = harmonic(4000, states=slice(0, 2))
    found = exponential((u[1] - u[0])[: n[0]])
    assert abs(found.value - 0.5 * np.log(2)) < 5 * found.error
    assert found.ess > 0.3 * n[0]
    x = np.random.default_rng(0).normal(size=4000)
    assert exponential(0.5 * 100 * (x - 6) ** 2 - 0.5 * x**2).ess < 3


def test_a_state_that_was_not_sampled_is_reweighted() -> None:
    u, n = harmonic(4000, states=slice(0, 2))
    found = free_energies(u[:, : n[0]], [n[0], 0]).between(0, 1)
    assert found.value == pytest.approx(exponential((u[1] - u[0])[: n[0]]).value, abs=1e-6)
    assert found.ess < n[0]


def test_states_far_apart_do_not_overlap() -> None:
    random = np.random.default_rng(0)
    x = np.concatenate([random.normal(0, 1, 300), random.normal(12, 1, 300)])
    found = free_energies(0.5 * np.array([x**2, (x - 12) ** 2]), [300, 300])
    assert found.neighbours[0] < 1e-4
    assert not found.between(0, 1).error < 0.5, "pymbar's own error of states without overlap is zero"


def test_correlated_samples_are_thinned_by_their_inefficiency() -> None:
    random, memory = np.random.default_rng(0), 0.9
    x = np.zeros(20000)
    for i in range(1, len(x)):
        x[i] = memory * x[i - 1] + random.normal()
    exact = (1 + memory) / (1 - memory)
    assert inefficiency(x) == pytest.approx(exact, rel=0.25)
    kept = subsample(x, drop=0.5)
    assert kept[0] == 10000
    assert len(kept) == pytest.approx(10000 / exact, rel=0.3)
    assert inefficiency(np.ones(50)) == 1.0
    assert subsample(np.zeros(0)).size == 0


def test_forward_and_reverse_end_in_the_same_number() -> None:
    u, n = harmonic(400)
    curve = convergence(u, n, parts=4)
    assert curve.fractions.tolist() == [0.25, 0.5, 0.75, 1.0]
    assert curve.forward[-1] == curve.reverse[-1]
    assert np.abs(curve.forward - EXACT[-1]).max() < 0.4
    assert np.all(np.diff(curve.forward_errors) < 0)


def test_drift_shows_as_a_gap_between_forward_and_reverse() -> None:
    u, n = harmonic(400)
    u[-1] += np.linspace(-1, 1, 400).repeat(4).reshape(400, 4).T.ravel()
    curve = convergence(u, n, parts=4)
    assert curve.forward[0] < curve.reverse[0] - 0.5


def test_pymbar_is_loaded_late_and_without_a_word() -> None:
    code = "import sys, studio.estimators as e; assert 'pymbar' not in sys.modules; e.bar([1.0, 2.0], [-1.0, 0.0])"
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stderr, done.stdout) == (0, "", "")
