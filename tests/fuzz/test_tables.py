"""Damaged tables: opening works, with labels within range, or says in a sentence why not; nothing else happens."""

import random

import pytest

from fuzz.mutate import mutated, rounds
from thalweg.data import open_images, open_photos
from thalweg.errors import ThalwegError


PATHS = [f"img/{n}.jpg" for n in range(12)]
KINDS = ["cat", "dog", "Café", "猫"]
TABLES = [
    "path,label,split\n" + "".join(f"{p},{KINDS[n % 4]},{('train', 'val', '')[n % 3]}\n" for n, p in enumerate(PATHS)),
    "image_id;dx;text\r\n" + "".join(f'{n};"{KINDS[n % 2]}";"a, ""b""\r\nc"\r\n' for n in range(12)),
    "filename, cat, dog\n" + "".join(f"{n}.jpg,{n % 2},{1 - n % 2}\n" for n in range(12)),
    "file_name\tlabel\tlabel_name\n" + "".join(f"img\\{n}.jpg\t{n % 4}\t{KINDS[n % 4]}\n" for n in range(12)),
]
ENCODINGS = ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "gb18030", "cp1252"]
PIECES = ['"', '""', "\n", "\r", ",", ";", "\t", "|", "\0", "sep=;\n", "x" * 140_000, "9" * 5000, "../", "/", "\ufeff"]


def damaged(seed):
    draw = random.Random(seed)
    text = draw.choice(TABLES)
    for _ in range(draw.randrange(3)):
        place = draw.randrange(len(text) + 1)
        text = text[:place] + draw.choice(PIECES) + text[place + draw.randrange(3) :]
    content = text.encode(draw.choice(ENCODINGS), errors="replace")
    return mutated(content, seed) if draw.randrange(2) else content


def opened(how, *what):
    """The photos, or the sentence why not; anything else that is raised fails the test."""
    try:
        return how(*what)
    except ThalwegError as error:
        return str(error)


@pytest.mark.parametrize("seeds", rounds(100, 10_000))
def test_a_damaged_table_is_read_or_refused_in_a_sentence(tmp_path, seeds):
    (tmp_path / "img").mkdir()
    for path in PATHS:
        (tmp_path / path).touch()
    table = tmp_path / "m.csv"
    whole = 0
    for seed in seeds:
        table.write_bytes(damaged(seed))
        for found in (opened(open_images, tmp_path), opened(open_images, table), opened(open_photos, table)):
            assert found, seed
            if isinstance(found, str):
                continue
            whole += 1
            assert all(p.label is None or 0 <= p.label < len(found.classes) for p in found.photos), seed
            assert len({photo.path for photo in found.photos}) == len(found.photos) > 0, seed
    assert whole  # the damage leaves some tables as they are
