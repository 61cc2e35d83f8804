import pytest

from thalweg.i18n import speaking
from thalweg.report.facts import check_parts


def page_of(check, *table):
    return "".join(str(part) for part in check_parts(check, *table) if part is not None)


BAD = [{"path": f"{n}.jpg", "reason": "empty"} for n in range(100)]


@pytest.mark.parametrize("language", ["en", "zh-CN"])
def test_bad_photos_beyond_those_of_a_check_are_counted_and_their_table_is_named(language):
    with speaking(language):
        page = page_of({"bad": BAD, "found": {"bad": 1234}}, "data-check.csv")
        assert all(text in page for text in ("1,234", "1,134", "data-check.csv", "99.jpg"))
        page = page_of({"bad": BAD, "found": {"bad": 1234}})
        assert "1,134" in page
        assert ".csv" not in page


@pytest.mark.parametrize("found", [{}, {"found": None}, {"found": {"bad": "many"}}, {"found": {"bad": 3}}])
def test_a_check_of_an_older_run_lists_all_its_bad_photos(found):
    page = page_of({"bad": BAD, **found}, "data-check.csv")
    assert "99.jpg" in page
    assert "data-check.csv" not in page


def test_of_many_classes_the_first_the_last_and_the_sum_of_the_others_are_shown():
    counts = {"train": {f"c{n:03}": 10 for n in range(100)}, "valid": {f"c{n:03}": 2 for n in range(100)}}
    with speaking("en"):
        page = page_of({"counts": counts})
    assert all(name in page for name in ("c000", "c019", "60 more classes", "c080", "c099", ">600<", ">120<"))
    assert "c020" not in page
    assert "c079" not in page
