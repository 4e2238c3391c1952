"""Take the pictures of README and tutorials from the real app: `python tutorials/pictures/take.py [SECONDS]`."""

import subprocess
import sys
from pathlib import Path

from playwright.sync_api import sync_playwright

sys.path.insert(0, str(Path(__file__).parents[2]))
from tests.browser import ARGUMENTS, chromium, free_port

PLAYING = float(sys.argv[1]) if len(sys.argv) > 1 else 25.0
"""Seconds for which the example has played when the picture is taken."""


def main() -> None:
    """Start the app, let it play, look."""
    command = [str(Path(sys.executable).with_name("potential-studio")), "app", "--no-browser", "--port", str(free_port())]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        address = process.stdout.readline().split()[-1] if process.stdout else ""
        with sync_playwright() as playwright:
            page = playwright.chromium.launch(executable_path=chromium(), args=ARGUMENTS).new_page(viewport={"width": 1440, "height": 860})
            page.goto(address)
            page.locator(".chip.playing").wait_for(timeout=240_000)
            page.wait_for_timeout(1000 * PLAYING)
            page.get_by_role("button", name="Pause", exact=True).first.click()
            page.wait_for_timeout(2000)
            page.get_by_role("button", name="Play", exact=True).first.click()
            page.wait_for_timeout(200)
            page.screenshot(path=str(Path(__file__).parent / "app.png"))
    finally:
        process.terminate()
        process.wait(30)


if __name__ == "__main__":
    main()
