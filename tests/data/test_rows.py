"""CSV files as people and programs write and damage them, and the line that is blamed."""

import pytest

from thalweg.data.rows import Row, read_header, read_sheet
from thalweg.errors import DataError


LINES = ["path,label", *(f"img/{n}.jpg,cat" for n in range(6))]
WELL = "\n".join(LINES) + "\n"


@pytest.mark.parametrize(
    "content",
    [
        WELL.encode(),
        WELL.replace("\n", "\r\n").encode(),
        WELL.replace("\n", "\r").encode(),
        WELL.encode("utf-8-sig"),
        WELL.encode("utf-16"),
        b"\xfe\xff" + WELL.encode("utf-16-be"),
        WELL.replace(",", ";").encode(),
        WELL.replace(",", "\t").encode(),
        WELL.replace(",", "|").encode(),
        ("sep=;\n" + WELL.replace(",", ";")).encode(),
        WELL.replace(",", ", ").encode(),
        WELL.replace("cat", '"cat" ').encode(),
        WELL.replace("cat", "cat,,").encode(),
    ],
)
def test_the_same_table_however_it_is_written(content):
    sheet = read_sheet(content, "t.csv")
    assert read_header(content) == sheet.header == ["path", "label"]
    assert [[field.strip() for field in row.fields[:2]] for row in sheet.rows] == [
        [f"img/{n}.jpg", "cat"] for n in range(6)
    ]


def test_a_row_is_named_by_the_line_on_which_it_begins():
    sheet = read_sheet(b'path,label,text\n\na.jpg,cat,"one\ntwo"\n\nb.jpg,dog,\n', "t.csv")
    assert sheet.rows == [Row(3, ["a.jpg", "cat", "one\ntwo"]), Row(6, ["b.jpg", "dog", ""])]


@pytest.mark.parametrize(
    ("content", "key", "place"),
    [
        (WELL.replace("img/2", '"img/2'), "data.table_quotes", "t.csv:4"),
        (WELL.replace("img/2", '"img/2').replace("img/4.jpg", '"img/4.jpg"'), "data.table_quotes", "t.csv:4"),
        (WELL + '"img/9.jpg,cat', "data.table_quotes", "t.csv:8"),
        (WELL.replace("img/3", '"img/3') + "img/a.jpg,dog\n" * 20_000, "data.table_quotes", "t.csv:5"),
        (WELL.replace("img/3", "i" * 140_000), "data.table_quotes", "t.csv:5"),
        (WELL.replace("img/4.jpg,cat", "img/4.jpg,cat, black"), "data.table_ragged", "t.csv:6"),
        (WELL.replace("img/1", "img\0/1"), "data.table_zero_byte", "t.csv:3"),
        (WELL.replace("cat", "面").encode("gbk"), "data.table_not_utf8", "t.csv"),
        (WELL.encode("utf-16-le"), "data.table_zero_byte", "t.csv:1"),
        (WELL.encode("utf-16")[:-1], "data.table_not_utf8", "t.csv"),
    ],
)
def test_damage_is_told_with_the_line_on_which_it_begins(content, key, place):
    with pytest.raises(DataError) as caught:
        read_sheet(content if isinstance(content, bytes) else content.encode(), "t.csv")
    assert caught.value.key == key
    assert place in str(caught.value)
    assert str(caught.value).split(place)[1][0] in ":,"
