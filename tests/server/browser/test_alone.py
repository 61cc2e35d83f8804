"""Tabs of the page by themselves: a film in its file, and widgets in a cell over a stub of the notebook's model."""

import base64
import time

import pytest

import thalweg
from thalweg.widgets.document import cell


pytestmark = [pytest.mark.browser, pytest.mark.slow]

STUB = """
window.mount = async (document, fields, source) => {
  const listeners = {};
  window.model = {
    get: (name) => ({ _document: document, _fields: fields, _title: "cell" })[name],
    on: (name, listener) => (listeners[name] ??= new Set()).add(listener),
    off: (name, listener) => listeners[name]?.delete(listener),
    send: async (message) => { for (const sent of await window.hear(message)) window.arrive(sent); },
  };
  window.arrive = ([message, content]) => {
    const bytes = content && Uint8Array.from(atob(content), (letter) => letter.charCodeAt(0));
    for (const listener of listeners["msg:custom"]) listener(message, bytes ? [new DataView(bytes.buffer)] : []);
  };
  const module = await import(URL.createObjectURL(new Blob([source], { type: "text/javascript" })));
  window.end = module.default.render({ model: window.model, el: document_body() });
};
const document_body = () => window.document.body;
"""


@pytest.fixture
def open_cell(browser):
    """Show a widget in a page that has nothing else; what it asks of a host, and every error, fails the test."""
    contexts, wrong = [], []

    def open_it(widget):
        sent = []
        widget.send = lambda content, buffers=None: sent.append((content, buffers))

        def taken():
            coded = [(content, base64.b64encode(bytes(some[0])).decode() if some else None) for content, some in sent]
            sent.clear()
            return coded

        def hear(message):
            widget._handle_msg({"content": {"data": {"method": "custom", "content": message}}, "buffers": []})
            return taken()

        context = browser.new_context(viewport={"width": 1200, "height": 900}, reduced_motion="reduce")
        contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: wrong.append(f"error {error}"))
        page.on("request", lambda request: wrong.append(request.url) if request.url.startswith("http") else None)
        page.expose_function("hear", hear)
        page.goto("about:blank")
        page.add_script_tag(content=STUB)
        page.evaluate("([...given]) => window.mount(...given)", [widget._document, widget._fields, cell()])
        return (
            page,
            page.frame_locator("iframe"),
            lambda: page.evaluate("(all) => all.forEach(window.arrive)", [list(one) for one in taken()]),
        )

    yield open_it
    for context in contexts:
        context.close()
    assert not wrong


def eventually(condition, page, seconds=30):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        page.wait_for_timeout(30)


def test_the_lab_in_a_cell_follows_its_visitor_and_python(open_cell):
    widget = thalweg.lab("bowl", ["adam"], steps=50)
    page, frame, push = open_cell(widget)
    frame.locator("#player[data-ready=true]").wait_for()
    assert frame.locator("#lab-steps").input_value() == "50"
    frame.locator("#lab-steps").fill("30")
    frame.locator("#lab-steps").press("Enter")
    eventually(lambda: widget.settings["steps"] == 30, page)
    assert [trace.steps for trace in widget.traces] == [30]
    widget.settings = {**widget.settings, "steps": 20, "optimizers": ["sgd", "momentum"]}
    push()
    eventually(lambda: frame.locator("#player").get_attribute("data-step") == "20", page)
    assert frame.locator("#table tbody tr").count() == 2


def test_the_network_in_a_cell_follows_a_slider_and_python(open_cell):
    widget = thalweg.network(points="blobs", widths=(3,), count=40)
    page, frame, push = open_cell(widget)
    frame.locator("#network-player[data-ready=true]").wait_for()
    assert frame.locator("#network-player").get_attribute("data-step") == "0"
    before = frame.locator("#network-numbers").inner_text()
    frame.locator("#network-form input[type=range]").first.fill("150")
    eventually(lambda: widget.settings["noise"] == 0.75, page)
    eventually(lambda: frame.locator("#network-numbers").inner_text() != before, page)
    widget.settings = {**widget.settings, "widths": (2, 2)}
    push()
    eventually(lambda: frame.locator(".net-layers tbody tr").count() == 3, page)
    frame.locator("#network-forward").click()
    assert frame.locator("#network-player").get_attribute("data-step") == "1"


def test_a_film_plays_from_its_file_by_keys_alone(browser, tmp_path):
    film = thalweg.film(points="moons", widths=(3,), count=40, steps=40)
    film.write(tmp_path / "film.html")
    context = browser.new_context(viewport={"width": 1200, "height": 900}, reduced_motion="reduce")
    page = context.new_page()
    asked, wrong = [], []
    page.on("request", lambda request: asked.append(request.url))
    page.on("pageerror", lambda error: wrong.append(str(error)))
    address = (tmp_path / "film.html").as_uri()
    page.goto(f"{address}#step=12")
    page.wait_for_selector("#network-player[data-ready=true]")
    assert page.get_attribute("#network-player", "data-step") == "12"
    shown = page.locator("#network-numbers td").first.inner_text()
    assert float(shown) == pytest.approx(film.loss[12], rel=1e-3)
    page.wait_for_timeout(300)  # a hand that has just come needs as long
    page.keyboard.press("ArrowRight")
    assert page.get_attribute("#network-player", "data-step") == "13"
    page.keyboard.press("Home")
    assert page.get_attribute("#network-player", "data-step") == "0"
    assert page.locator("#network-form").is_hidden()
    assert [url.partition("#")[0] for url in asked] == [address]
    assert not wrong
    context.close()
