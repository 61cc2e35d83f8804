"""An answer that comes late changes nothing that was moved while it was awaited."""

from itertools import pairwise

import pytest


pytestmark = [pytest.mark.browser, pytest.mark.slow]


class Held:
    """Requests that wait for leave."""

    def __init__(self, page, address):
        self.page, self.waiting = page, []
        page.route(address, self._hold)

    def _hold(self, route):
        self.waiting.append(route)

    def release(self):
        """Let the next request go, once it is there, and wait for its answer."""
        while not self.waiting:
            self.page.wait_for_timeout(20)
        route = self.waiting.pop(0)
        with self.page.expect_response(route.request.url):
            route.continue_()
        self.page.wait_for_timeout(200)  # the page takes the answer


def test_the_ring_stays_where_keys_have_moved_it(open_page):
    page = open_page("tab=lab&surface=bowl&optimizers=sgd:0.05:&steps=50&start=-2,1")
    page.wait_for_selector("#player[data-ready=true]")
    page.wait_for_selector("#lab-handle:not([hidden])")
    held = Held(page, "**/lab/traces*")
    page.focus("#lab-handle")
    reached = [-2.0]
    for late in (False, False, True):
        if late:
            held.release()  # the first of two moves is answered
        page.keyboard.press("ArrowRight")
        reached.append(float(page.input_value("#lab-x")))
    first, *others = [after - before for before, after in pairwise(reached)]
    assert first > 0
    assert others == pytest.approx([first, first], rel=1e-3)


def test_the_slider_of_epochs_stays_where_keys_have_moved_it(open_page):
    page = open_page("tab=embeddings&run=striped")
    page.wait_for_selector("#embeddings[data-state=done]")
    at = page.get_attribute("#embeddings", "data-at")
    stands = page.input_value("#embeddings-scrub")
    held = Held(page, "**/embedding?*")
    page.focus("#embeddings-scrub")
    page.keyboard.press("End" if stands == "0" else "Home")
    other = page.input_value("#embeddings-scrub")
    page.keyboard.press("Home" if stands == "0" else "End")
    held.release()
    assert page.input_value("#embeddings-scrub") == stands != other
    held.release()
    assert page.get_attribute("#embeddings", "data-at") == at
