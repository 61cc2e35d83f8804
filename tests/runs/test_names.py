"""A run has the names of its classes: it no longer needs the file that they came from."""

from dataclasses import replace

import pytest
from PIL import Image

from made import SMALL
from thalweg.errors import UsageError
from thalweg.runs import Run
from thalweg.runs.photos import decode_photos, find_photos


@pytest.mark.parametrize("order", [("dog", "ant", "cat"), ("cat", "dog")])
def test_a_run_opens_its_photos_without_its_file_of_names(tmp_path, order):
    for n in range(6):
        for shade, name in enumerate(("cat", "dog")):
            path = tmp_path / "photos" / name / f"{n}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (16, 16), (40 * n, 99 * shade, 7)).save(path)
    names = tmp_path / "names.txt"
    names.write_text("\n".join(order))
    config = replace(SMALL, classes=str(names)).settle(16)
    images = find_photos(tmp_path / "photos", config)
    cache = decode_photos(images, config, 16)
    facts = {
        "path": str(tmp_path / "photos"),
        "classes": list(images.classes),
        "stored": 16,
        "fingerprint": cache.fingerprint,
    }
    names.unlink()
    with pytest.raises(UsageError):
        find_photos(tmp_path / "photos", config)
    opened = Run(tmp_path / "run", config, facts, {}).open_photos()
    assert opened.fingerprint == cache.fingerprint
