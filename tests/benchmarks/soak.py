"""A long evening in a lecture hall: one page on which systems are switched again and again. What must stay flat, stays flat."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path
from time import monotonic

import psutil
from playwright.sync_api import Page

from tests.benchmarks.base import Measure, gives
from tests.benchmarks.page import browser
from tests.browser import free_port, wait_until

MINUTES = float(os.environ.get("POTENTIAL_STUDIO_SOAK_MINUTES", "20"))
WARM_UP = 4
"""Switches before the first look."""
MOLECULES = ("ethanol", "aspirin", "caffeine", "paracetamol", "ibuprofen", "benzene")
CONTEXTS = """
globalThis.contexts = new Set();
const original = HTMLCanvasElement.prototype.getContext;
HTMLCanvasElement.prototype.getContext = function (kind, ...rest) {
  const context = original.call(this, kind, ...rest);
  if (context && kind.startsWith("webgl")) contexts.add(context);
  return context;
};
localStorage.setItem("potential-studio.tour", "seen");
"""
LIVE = "[...contexts].filter((context) => !context.isContextLost()).length"


@dataclass(frozen=True)
class State:
    """What a server holds."""

    megabytes: float
    threads: int
    processes: int
    contexts: int

    @classmethod
    def of(cls, server: psutil.Process, page: Page) -> "State":
        workers = [child for child in server.children() if child.status() != psutil.STATUS_ZOMBIE]
        return cls(server.memory_info().rss / 1e6, server.num_threads(), len(workers), page.evaluate(LIVE))


@gives("soak_memory_percent", "soak_threads", "soak_processes", "soak_contexts", "soak_switches")
def soak() -> Iterator[Measure]:
    """Growth of the server between the first minutes and the end of the soak; `POTENTIAL_STUDIO_SOAK_MINUTES` says how long."""
    states = list(_states())
    first, last = states[0], states[-1]
    yield Measure("soak_memory_percent", 100 * (last.megabytes / first.megabytes - 1), "%", 5.0, "value <= 5")
    yield Measure("soak_threads", last.threads - first.threads, "more", 1.0, "value <= 2")
    yield Measure("soak_processes", last.processes - first.processes, "more", 1.0, "value <= 1")
    yield Measure("soak_contexts", last.contexts, "WebGL contexts", 1.0, "value <= 1")
    yield Measure("soak_switches", len(states), "switches", 1.0, "value >= 10")


def _states() -> Iterator[State]:
    """What the server holds after each switch."""
    with tempfile.TemporaryDirectory() as folder, browser() as chrome:
        command = [Path(sys.executable).with_name("potential-studio"), "app", "--no-browser", "--port", str(free_port()), "--example", "aspirin-vacuum"]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=os.environ | {"POTENTIAL_STUDIO_DATA": folder})
        try:
            page = chrome.new_page(viewport={"width": 1280, "height": 800})
            page.add_init_script(CONTEXTS)
            assert process.stdout is not None
            page.goto(process.stdout.readline().split()[-1])
            page.get_by_text("SMILES", exact=True).first.click(timeout=120_000)
            yield from _switches(psutil.Process(process.pid), page)
        finally:
            process.terminate()
            process.wait(60)


def _switches(server: psutil.Process, page: Page) -> Iterator[State]:
    end = monotonic() + 60 * MINUTES
    for count, name in enumerate(cycle(MOLECULES)):
        field = page.get_by_label("Name or SMILES", exact=True)
        field.fill(name)
        field.press("Enter")
        wait_until(lambda name=name: name in page.locator(".title").first.inner_text().lower() and page.locator(".chip.playing").count(), page, 120)
        page.wait_for_timeout(4000)
        if count >= WARM_UP:
            yield State.of(server, page)
        if monotonic() > end and count > WARM_UP + 1:
            return
