"""The page's goals, measured in Debian's Chromium on loopback: paint, bytes, frames, a slider, a run beside it.

`python benchmarks/page.py` measures all; `python benchmarks/page.py paint frames` some.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from playwright.sync_api import Page, sync_playwright

from thalweg.history import HistoryLog
from thalweg.runs import Run, TrainingConfig
from thalweg.runs.files import STEP_UNITS


if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from playwright.sync_api import Browser

FLAGS = [
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
]
POINTS = 100_000
EIGHT = ";".join(f"{name}::" for name in ("sgd", "momentum", "nesterov", "adagrad", "rmsprop", "adam", "lion", "nadam"))

# The duration of each frame within some milliseconds, by the browser's own clock.
FRAMES = """(wanted) => new Promise((done) => {
  const began = performance.now();
  const times = [];
  let last = began;
  requestAnimationFrame(function frame(now) {
    times.push(now - last);
    last = now;
    if (now - began < wanted) requestAnimationFrame(frame);
    else done(times.slice(1));
  });
})"""

# The time from a slider's event to the frame that draws its traces.
SLIDE = """([share, range, home]) => new Promise((done) => {
  const slider = document.querySelector(range);
  const player = document.getElementById(home);
  const began = performance.now();
  const seen = new MutationObserver(() => {
    seen.disconnect();
    requestAnimationFrame(() => setTimeout(() => done(performance.now() - began)));
  });
  seen.observe(player, { attributeFilter: ["data-drawn"] });
  delete player.dataset.drawn;
  seen.takeRecords();
  slider.value = String(Number(slider.max) * share);
  slider.dispatchEvent(new Event("input", { bubbles: true }));
})"""

BYTES = """() => performance.getEntriesByType("resource").map((one) => [one.name, one.decodedBodySize])"""


@contextmanager
def serving(root: Path) -> Iterator[str]:
    command = [sys.executable, "-m", "thalweg", "serve", str(root), "--port", "0", "--json"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    lines = ""
    while not lines.endswith("}\n"):
        lines += process.stdout.readline() if process.stdout else ""
    try:
        yield json.loads(lines)["url"]
    finally:
        process.terminate()
        process.wait()


@contextmanager
def opened(browser: Browser, address: str, ready: str) -> Iterator[Page]:
    page = browser.new_page(viewport={"width": 1440, "height": 900})
    page.goto(address)
    page.wait_for_selector(ready, state="attached", timeout=120_000)
    try:
        yield page
    finally:
        page.close()


def paint(browser: Browser, url: str, rounds: int) -> dict[str, Any]:
    found = []
    for _ in range(rounds):
        with opened(browser, url, "#player[data-ready=true]") as page:
            entries = page.evaluate(
                "performance.getEntriesByName('first-contentful-paint').map((one) => one.startTime)"
            )
            found.append(entries[0])
    return {"first contentful paint (ms)": spread(found)}


def weight(browser: Browser, url: str, _rounds: int) -> dict[str, Any]:
    """Everything that the page is made of, all tabs opened; answers in numbers and photos are not counted."""
    with opened(browser, url, "#player[data-ready=true]") as page:
        for place in range(2, 8):
            page.keyboard.press(f"Alt+{place}")
            page.wait_for_timeout(700)
        files = {name: size for name, size in page.evaluate(BYTES) if "/static/" in name or "/player/" in name}
        html = len(page.request.get(url).body())
    return {"page, all tabs (bytes)": html + sum(files.values()), "files": len(files) + 1}


def frames(browser: Browser, url: str, rounds: int) -> dict[str, Any]:
    lab = f"{url}#tab=lab&surface=valley&optimizers={EIGHT}&steps=1999"
    found: dict[str, Any] = {}
    for view in ("contour", "3d"):
        with opened(browser, f"{lab}&view={view}", "#player[data-ready=true]") as page:
            times = []
            for _ in range(rounds):
                page.click("#first")
                page.click("#play")
                times += page.evaluate(FRAMES, 2000)
                page.click("#play")
            found[f"eight paths of 2,000 points, {view}: frame (ms)"] = frame_times(times)
    return found


def charts(browser: Browser, url: str, root: Path, rounds: int) -> dict[str, Any]:
    """Measure six charts, four of them with at least 100,000 points, while rows arrive ten times per second."""
    with opened(browser, f"{url}#tab=runs&run=long", f"#runs-charts[data-rows='{POINTS}']") as page:
        still = page.evaluate(FRAMES, 2000 * rounds)
        ended = threading.Event()
        writer = threading.Thread(target=write_rows, args=(root / "long", ended))
        writer.start()
        live = page.evaluate(FRAMES, 2000 * rounds)
        ended.set()
        writer.join()
        rows = int(page.get_attribute("#runs-charts", "data-rows") or 0)
    return {
        "charts of 100,000 points, at rest: frame (ms)": frame_times(still),
        f"the same, growing to {rows:,} at 10 Hz: frame (ms)": frame_times(live),
    }


def slider(browser: Browser, url: str, rounds: int) -> dict[str, Any]:
    with opened(
        browser, f"{url}#tab=lab&surface=valley&optimizers={EIGHT}&steps=1000", "#player[data-ready=true]"
    ) as page:
        page.wait_for_timeout(500)
        times = slide(page, ".optimizer-row input[type=range]", "player", rounds)
    return {"slider to screen, eight paths of 1,000 steps (ms)": spread(times[3:])}


def slide(page: Page, slider: str, player: str, rounds: int) -> list[float]:
    return [page.evaluate(SLIDE, [0.4 + 0.01 * place, slider, player]) for place in range(10 * rounds)]


def network(browser: Browser, url: str, rounds: int) -> dict[str, Any]:
    """Measure the network that trains: frames, steps shown in a second, and a slider at rest and while it plays."""
    ready, step = "#network-player[data-ready=true]", "Number(document.getElementById('network-player').dataset.step)"
    found: dict[str, Any] = {}
    for name, fields in (("2-8-8-2", ""), ("two of 2-16-16-16-2", "&widths=16-16-16&compare=1&lr2=0.1")):
        with opened(browser, f"{url}#tab=network{fields}", ready) as page:
            page.wait_for_timeout(1_000)
            before = page.evaluate(step)
            times = page.evaluate(FRAMES, 2_000 * rounds)
            shown = (page.evaluate(step) - before) / sum(times) * 1_000
            found[f"network {name}: frame (ms)"] = f"{frame_times(times)}, {shown:.0f} steps shown per second"
            rate = ".field:has(#network-lr) input[type=range]"
            found[f"network {name}, playing: slider to screen (ms)"] = spread(
                slide(page, rate, "network-player", rounds)[3:]
            )
            page.click("#network-play")
            page.fill("#network-step", "50")
            page.press("#network-step", "Enter")
            page.wait_for_timeout(1_000)
            found[f"network {name}, at step 50: slider to screen (ms)"] = spread(
                slide(page, rate, "network-player", rounds)[3:]
            )
    return found


def beside(browser: Browser, url: str, root: Path, rounds: int) -> dict[str, Any]:
    """Time a run's epochs with and without the page open on it, in turns.

    The first two epochs, in which the page is loaded, are left out.
    """
    seconds: dict[bool, list[float]] = {False: [], True: []}
    for number in range(rounds):
        for watched in (False, True):
            out = root / f"beside-{number}-{watched}"
            command = [
                sys.executable,
                "-m",
                "thalweg",
                "train",
                "builtin",
                "--recipe=quick",
                "--epochs=8",
                "--evaluate-every=1",
                f"--out={out}",
            ]
            process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            if watched:
                with opened(browser, f"{url}#tab=runs&run={out.name}", "#runs-table tbody tr"):
                    process.wait()
            else:
                process.wait()
            ends = Run.open(out).epochs()["seconds"]
            seconds[watched].append(float(ends[-1] - ends[1]))
            shutil.rmtree(out)
    best = {watched: min(found) for watched, found in seconds.items()}
    middle = {watched: statistics.median(found) for watched, found in seconds.items()}
    return {
        "six epochs alone (s)": seconds[False],
        "with the page open (s)": seconds[True],
        "slower, best of each (%)": round(100 * (best[True] / best[False] - 1), 1),
        "slower, medians (%)": round(100 * (middle[True] / middle[False] - 1), 1),
    }


def alone(browser: Browser, rounds: int) -> dict[str, Any]:
    """Measure the same in a separate folder."""
    with tempfile.TemporaryDirectory() as folder, serving(Path(folder)) as url:
        return beside(browser, url, Path(folder), rounds)


def importing(_browser: Browser, _url: str, rounds: int) -> dict[str, Any]:
    code = "import time; began = time.perf_counter(); import thalweg.server.app; print(time.perf_counter() - began)"
    command = [sys.executable, "-c", code]
    times = [1000 * float(subprocess.check_output(command, text=True)) for _ in range(2 * rounds)]
    return {"import thalweg.server.app (ms)": spread(times)}


def write_rows(run: Path, ended: threading.Event) -> None:
    with HistoryLog(run / "history" / "steps", STEP_UNITS) as log:
        first = len(log)
        while not ended.wait(0.1):
            log.extend(rows_of(200, first))
            first += 200


def rows_of(count: int, first: int = 0) -> np.ndarray:
    steps = np.arange(first + 1, first + count + 1, dtype=float)
    noise = np.random.default_rng(first).random((2, count))
    size, mixed = np.full((2, count), [[28.0], [0.0]])
    return np.stack([steps, steps / 94, 0.2 + noise[0], 0.5 + noise[1], 1 / (1 + steps), size, mixed], axis=1)


def make_long_run(root: Path) -> None:
    data = {"path": "/photos", "layout": "folders", "classes": ["a", "b"], "class_shares": [0.5, 0.5], "train": 6000,
            "valid": 1000, "test": 0, "stored": 28, "fingerprint": "", "mean": [0.0] * 3, "std": [1.0] * 3}  # fmt: skip
    environment = {"device": "cpu", "threads": 1, "precision": "fp32", "layout": "channels-last"}
    (root / "long").mkdir()
    Run(root / "long", TrainingConfig().settle(28), data, environment).save()
    with HistoryLog(root / "long" / "history" / "steps", STEP_UNITS) as log:
        log.extend(rows_of(POINTS))


def spread(times: list[float]) -> str:
    return f"best {min(times):.0f}, median {statistics.median(times):.0f}, worst {max(times):.0f} (n = {len(times)})"


def frame_times(times: list[float]) -> str:
    ordered = sorted(times)
    late = ordered[int(0.95 * len(ordered))]
    return (
        f"median {statistics.median(times):.1f}, 95 % below {late:.1f}, {1000 * len(times) / sum(times):.0f} per second"
    )


def main() -> None:
    parts = ("importing", "paint", "weight", "frames", "charts", "slider", "network", "beside")
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", choices=[*parts, []], help="what to measure; all by default")
    parser.add_argument("--rounds", type=int, default=3)
    asked = parser.parse_args()
    print(f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()},", end=" ")
    print(", ".join(f"{name} {version(name)}" for name in ("starlette", "uvicorn", "websockets", "playwright")))
    simple: dict[str, Callable[..., dict[str, Any]]] = {
        "importing": importing, "paint": paint, "weight": weight, "frames": frames, "slider": slider,
        "network": network,
    }  # fmt: skip
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        root = Path(folder)
        make_long_run(root)
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=FLAGS)
        print(f"Chromium {browser.version}")
        with serving(root) as url:
            for part in asked.parts or parts:
                if part in simple:
                    found = simple[part](browser, url, asked.rounds)
                elif part == "charts":
                    found = charts(browser, url, root, asked.rounds)
                else:
                    found = alone(browser, asked.rounds)
                for name, value in found.items():
                    print(f"{name}: {value}", flush=True)


if __name__ == "__main__":
    main()
