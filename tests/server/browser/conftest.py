"""A real server in a process of its own, and Debian's Chromium on it."""

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest


CHROMIUM = shutil.which("chromium")
FLAGS = [
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
]


class Server:
    """`thalweg serve` as a person starts it."""

    def __init__(self, root, *options, port=0):
        command = [sys.executable, "-m", "thalweg", "serve", root, "--port", str(port), "--json", *options]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        lines = []
        while not lines or lines[-1] != "}\n":
            lines.append(self.process.stdout.readline())
            assert lines[-1], "the server ended"
        self.address = json.loads("".join(lines))
        self.url = self.address["url"].rstrip("/")

    def end(self):
        self.process.terminate()
        self.process.wait(60)
        self.process.stdout.close()

    def kill(self):
        self.process.kill()
        self.process.wait(60)
        self.process.stdout.close()


@pytest.fixture(scope="session")
def server(runs, striped):
    found = Server(runs, "--photos", str(striped))
    yield found
    found.end()


@pytest.fixture
def server_at():
    """Start servers of the test's own; give a folder and a port."""
    started = []

    def start(root, port):
        started.append(Server(root, port=port))
        return started[-1]

    yield start
    for one in started:
        if one.process.poll() is None:
            one.end()


@pytest.fixture(scope="session")
def browser():
    if CHROMIUM is None:
        if os.environ.get("CI") == "true":
            pytest.fail("chromium is not installed, and in CI these tests are not skipped")
        pytest.skip("the browser tests need Debian's chromium: apt-get install chromium")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield found
        found.close()


@pytest.fixture
def open_page(browser, server):
    """Open the page; what it asks of another host, and every error of its script, fails the test."""
    contexts, wrong = [], []

    def check(request):
        if not request.url.startswith(("http://127.0.0.1:", "data:", "blob:")):
            wrong.append(f"asked {request.url}")

    def open_at(fields="tab=lab", *, language="en", url=None, clock=False, **options):
        context = browser.new_context(viewport={"width": 1280, "height": 900}, **options)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(120_000)  # a diagnosis beside other work takes its time
        page.on("request", check)
        page.on("pageerror", lambda error: wrong.append(f"error {error}"))
        if clock:
            page.clock.install(time=0)
        page.goto(f"{url or server.url}/?lang={language}#{fields}")
        if clock:
            page.clock.pause_at(100_000)
        return page

    yield open_at
    for context in contexts:
        context.close()
    assert not wrong


@pytest.fixture
def until():
    """Wait for a condition of the page; its own policy forbids the page to wait for a text of script."""

    def wait(page, condition, seconds=60.0):
        end = time.monotonic() + seconds
        while not page.evaluate(condition):
            assert time.monotonic() < end, condition
            page.wait_for_timeout(50)

    return wait


@pytest.fixture(scope="session")
def axe():
    return (Path(__file__).parents[2] / "vendor" / "axe-core" / "axe.min.js").read_text(encoding="utf-8")
