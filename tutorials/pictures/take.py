"""`make picture`: the moving picture of the README, filmed from the real app - a drug in its pocket, the level turned, an atom pulled."""

import io
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image
from playwright.sync_api import Page, sync_playwright

sys.path.insert(0, str(Path(__file__).parents[2]))
from tests.browser import ARGUMENTS, chromium, free_port, wait_until

TARGET = Path(__file__).with_name("studio.webp")
SIZE, WIDTH = {"width": 1280, "height": 800}, 960
SHOT_MS = 120
PREPARING = 300.0
PROTEIN = (
    "VAL",
    "LEU",
    "GLY",
    "ALA",
    "LYS",
    "GLU",
    "ASP",
    "ARG",
    "ASN",
    "GLN",
    "SER",
    "THR",
    "PRO",
    "HIS",
    "TYR",
    "PHE",
    "TRP",
    "MET",
    "CYS",
    "ILE",
    "HOH",
    "ACE",
    "NME",
)
"""What is not the ligand."""


class Film:
    """Screenshots of a page, one after the other."""

    def __init__(self, page: Page) -> None:
        self.page, self.frames = page, []

    def roll(self, shots: int) -> None:
        """Film for a while."""
        for _ in range(shots):
            shot = Image.open(io.BytesIO(self.page.screenshot())).convert("RGB")
            self.frames.append(shot.resize((WIDTH, WIDTH * shot.height // shot.width), Image.Resampling.LANCZOS))
            self.page.wait_for_timeout(60)

    def save(self, path: Path) -> None:
        """As an animated WebP that begins anew."""
        first, *rest = self.frames
        first.save(path, save_all=True, append_images=rest, duration=SHOT_MS, loop=0, quality=55, method=4)


def story(page: Page, film: Film) -> None:
    """What is to be seen."""
    playing = page.locator(".chip.playing")
    wait_until(lambda: playing.count() and page.locator(".clock b").inner_text() > "0.1", page, PREPARING)
    film.roll(14)
    page.get_by_text("MM", exact=True).first.click()
    page.wait_for_timeout(1500)
    wait_until(playing.count, page, PREPARING)
    film.roll(10)
    page.get_by_role("button", name="Pull").first.click()
    atom = grip(page)
    page.mouse.down()
    for step in range(16):
        page.mouse.move(atom["x"] - 7 * step, atom["y"] - 4 * step)
        film.roll(1)
    page.mouse.up()
    film.roll(6)


def grip(page: Page) -> dict[str, float]:
    """Where an atom of the ligand is that nothing stands before; the mouse is over it."""
    box = page.locator(".studio-viewer canvas").bounding_box()
    inside = page.evaluate("() => studioViewer.cells[0].scene.ligand.map((atom) => studioViewer.place(atom))")
    places = [{"x": box["x"] + each["x"], "y": box["y"] + each["y"]} for each in inside]
    for place in places:
        page.mouse.move(place["x"], place["y"])
        page.wait_for_timeout(150)
        tip = page.locator(".tip")
        if tip.is_visible() and not any(name in tip.inner_text() for name in PROTEIN):
            return place
    return places[0]


def main() -> None:
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        command = [Path(sys.executable).with_name("potential-studio"), "app", "--no-browser", "--port", str(free_port())]
        app = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=os.environ | {"POTENTIAL_STUDIO_DATA": folder})
        try:
            page = playwright.chromium.launch(executable_path=chromium(), args=ARGUMENTS).new_page(viewport=SIZE, color_scheme="dark")
            page.add_init_script("localStorage.setItem('potential-studio.tour', 'seen')")
            page.goto(app.stdout.readline().split()[-1])
            film = Film(page)
            story(page, film)
            film.save(TARGET)
        finally:
            app.terminate()
            app.wait(60)
    print(f"{TARGET}: {TARGET.stat().st_size / 1e6:.1f} MB, {len(film.frames)} frames")


if __name__ == "__main__":
    main()
