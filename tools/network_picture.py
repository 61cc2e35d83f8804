"""The README's animated picture of a network that trains: docs/pictures/network.webp, and network.zh-CN.webp.

`python tools/network_picture.py` makes a film, plays it in Debian's Chromium, and keeps a picture of some of its steps.
"""  # noqa: INP001

from __future__ import annotations

import io
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

from PIL import Image
from playwright.sync_api import sync_playwright

from thalweg.i18n import LANGUAGES, speaking
from thalweg.widgets import film


if TYPE_CHECKING:
    from playwright.sync_api import Page

    from thalweg.widgets import Film

HOME: Final = Path(__file__).parents[1] / "docs" / "pictures"
STEPS: Final = 400
EACH, LAST = 100, 1_800  # milliseconds that a picture stays
SIZE: Final = {"width": 900, "height": 700}
QUALITY: Final = 45
LARGEST: Final = 1_200_000  # bytes
# Boundary, units, loss and gradient norm; no controls.
STYLE: Final = """
#theme, .alone > .formula, .intro, .transport, .numbers, .net-right .scroll, #network-note { display: none; }
.chart-place:nth-of-type(3) { display: none; }
.player.net { grid-template-areas: "picture" "charts"; gap: 0; }
.player.net .charts { grid-template-columns: repeat(2, minmax(0, 1fr)); }
.net-pictures { grid-template-columns: minmax(0, 9fr) minmax(0, 11fr) !important; }
body { padding: 10px 14px; }
"""


def pictures(page: Page) -> list[Image.Image]:
    """A picture of the network at some steps: often at first, when much changes."""
    page.keyboard.press("Home")
    found, frames = [], STEPS // 2  # a film of so many steps has every second
    for frame in range(frames + 1):
        if frame:
            page.keyboard.press("ArrowRight")
        if frame % (4 if frame < 60 else 6) == 0 or frame == frames:
            page.wait_for_selector(f"#network-player[data-step='{2 * frame}']")
            page.wait_for_timeout(40)
            with Image.open(io.BytesIO(page.locator("body").screenshot())) as image:
                found.append(image.convert("RGB"))
    return found


def picture(made: Film, language: str) -> Path:
    """Write the picture in a language."""
    out = HOME / ("network.webp" if language == "en" else f"network.{language}.webp")
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        with speaking(language):
            made.write(file := Path(folder) / "film.html")
        flags = ["--no-sandbox", "--disable-gpu"]
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=flags)
        options = {"viewport": SIZE, "reduced_motion": "reduce", "color_scheme": "light", "bypass_csp": True}
        page = browser.new_context(**options).new_page()  # type: ignore[arg-type]
        page.goto(f"{file.as_uri()}#step={STEPS}")
        page.add_style_tag(content=STYLE)
        page.wait_for_selector(f"#network-player[data-step='{STEPS}']")
        found = pictures(page)
        browser.close()
    times = [EACH] * (len(found) - 1) + [LAST]
    found[0].save(out, save_all=True, append_images=found[1:], duration=times, loop=0, quality=QUALITY, method=4)
    size = out.stat().st_size
    assert size <= LARGEST, size  # noqa: S101 - a reader waits for it
    print(f"{out}: {len(found)} pictures of {found[0].width} × {found[0].height}, {size:,} bytes")
    return out


def main() -> None:
    """Write the picture in every language."""
    made = film(points="spirals", noise=0.05, widths=(8, 8), optimizer="adam", lr=0.03, steps=STEPS)
    for language in LANGUAGES:
        picture(made, language)


if __name__ == "__main__":
    main()
