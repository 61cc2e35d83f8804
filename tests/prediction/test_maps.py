"""Maps from the command line: where the network looked, for its answer or for a class that is asked for."""

import json

import numpy as np
import pytest
from PIL import Image

from thalweg.cli import maps as command
from thalweg.data import build_cache, open_photos
from thalweg.errors import DataError, UnknownNameError, UsageError
from thalweg.prediction.attention import attention
from thalweg.runs import Run


@pytest.fixture
def photos(striped):
    return [str(striped / "validation" / f"{label}_0.png") for label in range(2)]


def test_each_photo_is_drawn_with_its_answer(kept_run, photos, tmp_path, command_runner):
    done = command_runner(command, "maps")(str(kept_run.path), *photos, "-o", str(tmp_path / "maps.png"), "--json")
    told = json.loads(done.stdout)
    assert len(told["photos"]) == 2
    assert all(one["class"] == one["maps_of"] for one in told["photos"])
    with Image.open(tmp_path / "maps.png") as drawn:
        width, height = drawn.size
        assert np.asarray(drawn.convert("L")).std() > 10
    assert width > height > 300


def test_the_maps_of_another_class_are_others(kept_run, photos, tmp_path, command_runner):
    run = Run.open(kept_run)
    network = run.load_network()
    image = np.asarray(Image.open(photos[0]).convert("RGB"))
    own, other = attention(network, run, image), attention(network, run, image, label=1)
    assert other.label == 1
    np.testing.assert_array_equal(own.probability_C, other.probability_C)
    if own.label != 1:
        assert any(np.abs(own.maps[name] - other.maps[name]).max() > 0.1 for name in own.maps)
    with pytest.raises(UnknownNameError, match="Unknown class 'cat'"):
        command_runner(command, "maps")(str(run.path), *photos, "--class", "cat")


def test_photos_that_can_be_used_are_spread_over_the_set(tmp_path, capsys):
    folder = tmp_path / "photos"
    folder.mkdir()
    for number in range(60):
        path = folder / f"{number:02}.png"
        if number % 3:
            Image.new("RGB", (8, 8), (number, 0, 0)).save(path)
        else:
            path.write_bytes(b"not a picture")

    def decode(images):
        return build_cache(images, size=8, on_bad_image="skip")

    images = open_photos([str(folder)])
    found = command.usable(images, decode)
    numbers = [int(image[0, 0, 0]) for _, image in found]
    assert len(numbers) == command.MOST
    assert numbers == sorted(set(numbers))
    assert min(numbers) < 6
    assert max(numbers) > 53
    assert "00.png" in capsys.readouterr().err
    for path in folder.iterdir():
        path.write_bytes(b"not a picture")
    with pytest.raises(DataError, match="None of the 60 photos"):
        command.usable(open_photos([str(folder)]), decode)


def test_a_picture_of_another_ending_is_refused(tmp_path, command_runner):
    with pytest.raises(UsageError, match=r"\.png"):
        command_runner(command, "maps")(str(tmp_path), str(tmp_path), "-o", str(tmp_path / "maps.jpg"))
