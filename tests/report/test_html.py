from html.parser import HTMLParser

from hypothesis import given, settings
from hypothesis import strategies as st

from thalweg.report.html import Html, join, table, tag


class Reader(HTMLParser):
    def __init__(self, page):
        super().__init__()
        self.tags, self.texts = [], []
        self.feed(page)
        self.close()

    def handle_starttag(self, name, attributes):
        self.tags.append((name, dict(attributes)))

    def handle_data(self, text):
        self.texts.append(text)


@settings(deadline=None)
@given(st.text(st.characters(exclude_categories=["Cc", "Cs", "Cf"])))
def test_any_text_comes_out_as_it_went_in(text):
    read = Reader(tag("p", text, title=text))
    assert read.tags == [("p", {"title": text})]
    assert "".join(read.texts) == text


def test_html_is_taken_as_it_is_and_nothing_else():
    assert tag("p", Html("<b>"), "<b>", None, 3) == "<p><b>&lt;b&gt;3</p>"
    assert join(["&", Html("&amp;")]) == "&amp;&amp;"


def test_names_of_attributes():
    assert tag("img", class_="a", aria_label="b", alt=None) == '<img class="a" aria-label="b">'


def test_what_a_page_cannot_hold_shows_as_a_mark():
    assert tag("p", "a\x00b\ud800c\u202ed\ne") == "<p>a\ufffdb\ufffdc\ufffdd\ne</p>"


def test_a_table_names_its_rows_and_columns():
    read = Reader(table(["class", "photos"], [["a<", 3]], numeric=(1,), name="what"))
    heads = [attributes["scope"] for name, attributes in read.tags if name == "th"]
    assert heads == ["col", "col", "row"]
    assert ("td", {"class": "number", "data-label": "photos"}) in read.tags
    assert "a<" in read.texts
