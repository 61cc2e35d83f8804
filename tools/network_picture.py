"""The animated picture of a network that trains, as the page shows it: docs/pictures/network.webp.

`python tools/network_picture.py` starts the page on an empty folder, goes through the steps, and keeps a picture of
each. It needs Debian's Chromium and playwright, as the page's tests do.
"""  # noqa: INP001

from __future__ import annotations

import io
import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

from PIL import Image
from playwright.sync_api import sync_playwright


if TYPE_CHECKING:
    from playwright.sync_api import Page

OUT: Final = Path(__file__).parents[1] / "docs" / "pictures" / "network.webp"
SETTINGS: Final = "points=spirals&noise=0.05&widths=8-8&optimizer=adam&lr=0.02"
STEPS: Final = (*range(0, 60, 4), *range(60, 200, 8), *range(200, 640, 16))
WIDTH: Final = 880  # pixels of the picture
EACH, LAST = 80, 1_600  # milliseconds that a picture stays
QUALITY: Final = 72


def pictures(page: Page) -> list[Image.Image]:
    """A picture of the network at each of the steps."""
    found = []
    for step in STEPS:
        page.fill("#network-step", str(step))
        page.press("#network-step", "Enter")
        page.wait_for_selector(f"#network-player[data-step='{step}']")
        page.wait_for_timeout(250)
        with Image.open(io.BytesIO(page.locator(".net-one").screenshot())) as image:
            height = round(image.height * WIDTH / image.width)
            found.append(image.convert("RGB").resize((WIDTH, height), Image.Resampling.LANCZOS))
    return found


def main() -> None:
    """Write the picture."""
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        command = [sys.executable, "-m", "thalweg", "serve", folder, "--port", "0", "--json"]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)  # noqa: S603 - our own command
        try:
            lines = ""
            while process.stdout and not lines.endswith("}\n"):
                lines += process.stdout.readline()
            browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
            page = browser.new_page(viewport={"width": 1440, "height": 1000}, reduced_motion="reduce")
            page.goto(f"{json.loads(lines)['url']}?lang=en#tab=network&theme=light&{SETTINGS}")
            page.wait_for_selector("#network-player[data-ready=true]")
            page.evaluate("document.querySelectorAll('.transport, #network-draw').forEach((one) => one.remove())")
            found = pictures(page)
            browser.close()
        finally:
            process.terminate()
            process.wait()
    times = [EACH] * (len(found) - 1) + [LAST]
    found[0].save(OUT, save_all=True, append_images=found[1:], duration=times, loop=0, quality=QUALITY, method=6)
    print(f"{OUT}: {len(found)} pictures, {OUT.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
