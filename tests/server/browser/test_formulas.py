"""The formulas of the lab as a person sees them: drawn, lit while the player runs, chosen by keys, in the address."""

import pytest


pytestmark = pytest.mark.browser

READY = "#player[data-ready=true]"
LIT = "[...document.querySelectorAll('#formulas .lit')].map((one) => one.dataset.term).join()"
NUMBERS = "[...document.querySelectorAll('#formulas .symbols li')].map((one) => one.textContent).join('|')"


@pytest.mark.slow
def test_what_acts_is_lit_with_its_numbers_at_the_cursor(open_page, until):
    page = open_page("tab=lab&surface=valley&optimizers=adam:0.05:warmup(10)>cosine;sgd:0.1:&steps=100&step=5")
    page.wait_for_selector(READY)
    until(page, f"{LIT}.includes('change.rate')")  # the warm-up raises η by a quarter
    assert "part.1" in page.evaluate(LIT)
    assert page.locator("#formulas math").first.evaluate("(one) => one.getBoundingClientRect().height") > 10
    numbers = page.evaluate(NUMBERS)
    assert "= 0.9share of the past in m" in numbers
    row = page.locator("#table tbody tr").first.locator("td").all_inner_texts()
    assert f"= {row[0]}learning rate" in numbers  # the table's own η
    page.keyboard.press("End")
    until(page, f"{LIT}.includes('part.2') && !{LIT}.includes('part.1')")
    assert page.evaluate(NUMBERS) != numbers


@pytest.mark.slow
def test_another_trace_and_weight_are_chosen_by_keys_and_kept_in_the_address(open_page, until):
    page = open_page("tab=lab&surface=valley&optimizers=adam:0.05:;momentum:0.01:&steps=100", language="zh-CN")
    page.wait_for_selector(READY)
    page.focus("#formulas select >> nth=0")
    page.keyboard.press("ArrowDown")
    until(page, "document.querySelector('#formulas .formula-name').textContent === 'momentum'")
    page.focus("#formulas select >> nth=1")
    page.keyboard.press("ArrowDown")
    until(page, "location.hash.includes('formula=2') && location.hash.includes('weight=y')")
    until(page, f"{LIT}.includes('mean.')")  # the numbers of this trace have come
    again = open_page(page.evaluate("location.hash.slice(1)"), language="zh-CN")
    again.wait_for_selector(READY)
    until(again, f"{LIT}.includes('mean.')")
    assert again.evaluate(NUMBERS) == page.evaluate(NUMBERS)
    assert "动量" in again.evaluate(NUMBERS)


@pytest.mark.slow
def test_lessons_and_losses_have_their_formulas(open_page):
    page = open_page("tab=losses&lesson=mse-or-cross-entropy")
    page.wait_for_selector("#lesson math")
    page.wait_for_selector("#losses-own-formulas math")
    assert page.locator("#losses-own-formulas .formula-name").all_inner_texts() == [
        "mean squared error",
        "cross-entropy",
    ]
    assert page.locator("#lesson math[alttext^='L = ']").count() == 2
