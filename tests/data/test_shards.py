"""Sets in tar shards, as WebDataset writes them: what they hold, and what damaged ones are told."""

import gzip
import io
import json
import tarfile

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

import thalweg
from made import counts, refused
from thalweg.data import build_cache, open_images, open_photos
from thalweg.data.sources import Note


def tar_of(files):
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        for name, content in files:
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return packed.getvalue()


@pytest.fixture
def samples(picture):
    """The members of a shard: `samples(range(3), ["cat", "dog", "cat"])`."""

    def make(numbers, labels, field="cls"):
        members = []
        for number, label in zip(numbers, labels, strict=True):
            members.append((f"{number:04}.jpg", picture(number)))
            if label is not None:
                members.append((f"{number:04}.{field}", label if isinstance(label, bytes) else str(label).encode()))
        return members

    return make


@pytest.fixture
def shards(samples, plant):
    """A folder with two shards for training, one for validation and one of unlabeled photos to test."""

    def write(labels=("0", "1"), **files):
        first, second = labels
        content = {
            "train-000000.tar": tar_of(samples(range(4), [first, second] * 2)),
            "train-000001.tar": tar_of(samples(range(4, 8), [first, second] * 2)),
            "val-000000.tar": tar_of(samples(range(8, 10), [first, second])),
            "test-000000.tar": tar_of(samples(range(10, 12), [None, None])),
        }
        return plant(content | files)

    return write


class TestWhatIsRead:
    def test_a_folder_of_shards_is_one_set_with_the_splits_of_its_names(self, shards, picture):
        images = open_images(shards())
        assert (images.layout, images.classes, counts(images)) == ("webdataset", ("0", "1"), [8, 2, 2])
        assert images.photos[5].path == "train-000001/0005.jpg"
        assert (images.photos[5].label, images.read(images.photos[5])) == (1, picture(5))

    def test_a_pattern_means_its_shards_and_no_others(self, shards):
        images = open_images(shards() / "train-{000000..000001}.tar")
        assert sum(counts(images)) == 8

    def test_a_pattern_may_name_folders_and_count_down(self, samples, plant):
        root = plant({f"test/{kind}/{n}.tar": tar_of(samples([2 * n, 2 * n + 1], "01")) for kind in ("train", "val")
                      for n in range(2)} | {"test/classes.txt": b"cat\ndog\n"})  # fmt: skip
        for pattern in ("{train/0,val/0}.tar", "{train,val}/{0..0}.tar", "../test/{train,val/../train,val}/0.tar"):
            images = open_images(root / "test" / pattern)
            assert (counts(images), images.classes) == ([2, 2, 0], ("cat", "dog"))
            assert [photo.path for photo in images.photos][:2] == ["train/0/0000.jpg", "train/0/0001.jpg"]
        assert sum(counts(open_images(root / "test/train/{1..0}.tar"))) == 4

    def test_shards_with_one_name_before_their_ending_stay_apart(self, samples, plant, picture):
        first, second = tar_of(samples(range(4), "0101")), tar_of(samples(range(4, 8), "0101"))
        images = open_images(plant({"a.tar": first, "a.tar.gz": gzip.compress(second)}))
        assert {photo.path: images.read(photo) for photo in images.photos} == {
            f"a.tar{'.gz' * (n > 3)}/{n:04}.jpg": picture(n) for n in range(8)
        }

    def test_a_member_in_a_folder_is_not_that_of_a_shard_there(self, samples, plant, picture):
        inside = tar_of([(f"1/{name}", content) for name, content in samples(range(4), "0101")])
        images = open_images(plant({"0.tar": inside, "0/1.tar": tar_of(samples(range(4, 8), "0101"))}) / "{0,0/1}.tar")
        assert {images.read(photo) for photo in images.photos} == {picture(n) for n in range(8)}

    def test_shards_give_the_same_pixels_as_the_folder_of_their_photos(self, shards, plant, picture):
        plain = {f"train/{n % 2}/{n}.jpg": picture(n) for n in range(8)}
        plain |= {f"val/{n % 2}/{n}.jpg": picture(n) for n in range(8, 10)}
        plain |= {f"test/{n}.jpg": picture(n) for n in range(10, 12)}
        folder = build_cache(open_images(plant(plain, "plain")), size=16)
        packed = build_cache(open_images(shards()), size=16)
        for split in ("train", "valid", "test"):
            order = np.argsort([photo.path.rpartition("/")[2] for photo in folder.photos if photo.split == split])
            assert np.array_equal(folder.images_NHWC[folder.rows(split)[order]], packed.images_NHWC[packed.rows(split)])
            assert np.array_equal(folder.labels(split)[order], packed.labels(split))

    def test_classes_are_named_by_position_in_classes_txt(self, shards):
        assert open_images(shards(**{"classes.txt": b"cat\ndog\n"})).classes == ("cat", "dog")

    @pytest.mark.parametrize("content", ['["cat", "dog"]', '{"1": "dog", "0": "cat"}', '{"dog": 1, "cat": 0}'])
    def test_classes_are_named_by_classes_json(self, shards, content):
        assert open_images(shards(**{"classes.json": content.encode()})).classes == ("cat", "dog")

    def test_labels_may_be_names(self, shards):
        images = open_images(shards(("dog", "cat")))
        assert images.classes == ("cat", "dog")
        assert [photo.label for photo in images.split("train")[:3]] == [1, 0, 1]

    @pytest.mark.parametrize("field", ["cls", "json", "txt"])
    def test_a_label_lies_in_any_of_three_files(self, samples, plant, field):
        labels = [json.dumps({"caption": "a pet", "label": name}) if field == "json" else name for name in "abab"]
        images = open_images(plant({"set.tar": tar_of(samples(range(4), labels, field))}) / "set.tar")
        assert (images.layout, images.classes, sum(counts(images))) == ("webdataset", ("a", "b"), 4)

    def test_keys_with_dots_end_at_the_last_one(self, plant, picture):
        members = [(f"cat.{n}.{end}", picture(n) if end == "jpg" else b"%d" % (n % 2)) for n in range(4)
                   for end in ("jpg", "cls")]  # fmt: skip
        assert sum(counts(open_images(plant({"set.tar": tar_of(members)}) / "set.tar"))) == 4

    def test_the_mask_of_a_sample_is_no_photo(self, samples, plant, picture):
        members = [*samples(range(4), "abab"), *((f"{n:04}.seg.png", picture(n, "PNG")) for n in range(4))]
        assert sum(counts(open_images(plant({"set.tar": tar_of(members)}) / "set.tar"))) == 4

    def test_shards_with_class_folders_are_read_as_folders(self, plant, picture):
        inside = {name: tar_of([(f"{kind}/{n}.jpg", picture(n)) for n in range(3) for kind in ("cat", "dog")])
                  for name in ("train.tar", "val.tar")}  # fmt: skip
        images = open_images(plant(inside))
        assert (images.layout, images.classes, counts(images)) == ("class_folders", ("cat", "dog"), [6, 6, 0])

    def test_prediction_takes_the_photos_of_the_test_shards(self, shards):
        assert [photo.path for photo in open_photos(shards()).photos] == [
            "test-000000/0010.jpg",
            "test-000000/0011.jpg",
        ]

    def test_shards_whose_names_state_no_split_beside_others_are_named(self, shards, samples):
        images = open_images(shards(**{"more.tar": tar_of(samples(range(2), "01"))}))
        assert counts(images) == [8, 2, 2]
        assert [note.values["example"] for note in images.notes if note.key == "data.note_shards_silent"] == [
            "more.tar"
        ]

    def test_a_name_that_points_outside_is_left_out_and_told(self, shards, samples):
        bad = tar_of([("../0020.jpg", b"x"), ("../0020.cls", b"0"), *samples(range(20, 22), "01")])
        images = open_images(shards(**{"train-000002.tar": bad}))
        assert counts(images) == [10, 2, 2]
        assert "data.note_names_outside" in {note.key for note in images.notes}


class TestWhatIsRefused:
    def test_a_shard_cut_at_any_place_is_named(self, plant, samples):
        whole = tar_of(samples(range(4, 8), "0101"))
        folder = plant({"train-000000.tar": tar_of(samples(range(4), "0101"))})
        used = len(whole.rstrip(b"\0"))
        for place in range(1, used, max(1, used // 20)):
            (folder / "train-000001.tar").write_bytes(whole[:place])
            assert "train-000001" in str(refused(folder))

    def test_a_photo_without_a_label_is_counted_and_named(self, shards, samples):
        error = refused(shards(**{"train-000002.tar": tar_of(samples(range(3), ["0", None, ""]))}))
        assert (error.key, error.values["count"]) == ("data.samples_no_label", 2)
        assert "train-000002/0001.jpg" in str(error)

    def test_a_label_without_a_photo_is_noted(self, shards, samples):
        images = open_images(shards(**{"train-000002.tar": tar_of([*samples([20], "0"), ("0021.cls", b"1")])}))
        values = {"count": 1, "example": "train-000002/0021.cls"}
        assert Note("data.note_samples_no_photo", values) in images.notes

    def test_two_labels_that_contradict_each_other_are_named(self, samples, plant):
        said = [("0", "cat"), ("1", "dog"), ("0", "dog")]
        members = samples(range(3), [one for one, _ in said])
        members += [(f"{n:04}.json", json.dumps({"label": name}).encode()) for n, (_, name) in enumerate(said)]
        assert refused(plant({"set.tar": tar_of(members)}) / "set.tar").key == "data.samples_two_labels"

    def test_a_key_that_occurs_twice_is_named(self, samples, plant):
        members = [*samples(range(3), "010"), *samples([1], "0")]
        error = refused(plant({"set.tar": tar_of(members)}) / "set.tar")
        assert error.key == "data.samples_twice"
        assert "0001" in str(error)

    def test_two_photos_of_one_key_are_named(self, samples, plant, picture):
        members = [*samples(range(3), "010"), ("0001.png", picture(9, "PNG"))]
        assert refused(plant({"set.tar": tar_of(members)}) / "set.tar").key == "data.samples_two_photos"

    @pytest.mark.parametrize("label", [b"\xff\xfe\x00", b"word " * 40])
    def test_a_label_that_is_no_short_text_is_named(self, samples, plant, label):
        error = refused(plant({"set.tar": tar_of(samples(range(3), ["0", "1", label]))}) / "set.tar")
        assert error.key == "data.sample_label"
        assert "0002" in str(error)

    def test_a_pattern_with_a_missing_shard_names_it(self, shards):
        error = refused(shards() / "train-{000000..000003}.tar")
        assert (error.key, error.values["count"], error.values["total"]) == ("data.shards_missing", 2, 4)
        assert "train-000002.tar" in str(error)

    def test_a_pattern_without_end_is_refused(self, tmp_path):
        assert refused(tmp_path / "{0..999999999}.tar").key == "data.pattern_too_large"
        assert refused(tmp_path / "{0..9999}{0..9999}.tar").key == "data.pattern_too_large"

    def test_names_that_count_their_shards_must_be_complete(self, samples, plant):
        folder = plant({f"train-{n:05}-of-00003.tar": tar_of(samples(range(2), "01")) for n in (0, 2)})
        assert "train-00001-of-00003.tar" in str(refused(folder))

    def test_two_kinds_of_shards_are_refused(self, shards):
        assert refused(shards(**{"train.parquet": b"PAR1"})).key == "data.shards_mixed"

    def test_two_sets_in_two_folders_are_refused(self, samples, plant):
        tar = tar_of(samples(range(2), "01"))
        assert refused(plant({"pets/train-0.tar": tar, "food/train-0.tar": tar})).key == "data.several_sets"

    def test_shards_without_labels_say_what_is_missing(self, samples, plant):
        assert refused(plant({"train-0.tar": tar_of(samples(range(3), [None] * 3))})).key.startswith("data.")

    @pytest.mark.parametrize(
        "content", ["{", '{"0": "cat", "2": "dog"}', "[1, 2]", "7", '"ab"', '["a", " "]', '{"a": false, "b": true}']
    )
    def test_a_broken_classes_json_is_refused(self, shards, content):
        assert refused(shards(**{"classes.json": content.encode()})).key == "data.classes_json"


@pytest.mark.slow
def test_a_training_on_shards_or_at_an_address_is_the_one_on_their_folder(plant, picture, monkeypatch, tmp_path):
    system = pytest.importorskip("fsspec").filesystem("memory")
    monkeypatch.chdir(tmp_path)
    names = [f"{label}_{n}.jpg" for label in range(2) for n in range(4)]
    photos = {f"{split}/{name}": picture(seed) for split in ("train", "valid") for seed, name in enumerate(names)}
    packed = {}
    for split in ("train", "valid"):  # the keys keep the order of the names, from which the batches are drawn
        members = []
        for n, name in enumerate(names):
            members += [(f"{n}.jpg", photos[f"{split}/{name}"]), (f"{n}.cls", name[:1].encode())]
        packed[f"{split}-0.tar"] = tar_of(members)
    for name, content in packed.items():
        system.pipe(f"/shards-of-a-training/{name}", content)
    address = "memory://shards-of-a-training"
    sets = [str(plant(photos, "folder")), str(plant(packed, "tars")), address]
    few = {
        "epochs": 1,
        "size": 32,
        "batch_size": 4,
        "seed": 3,
        "precision": "fp32",
        "layout": "channels-first",
        "threads": 1,
    }
    runs = [thalweg.train(one, recipe="homework", out=f"runs/{n}", **few) for n, one in enumerate(sets)]
    expected, *others = [load_file(run.best) for run in runs]
    for weights in others:
        assert weights.keys() == expected.keys()
        assert all(torch.equal(weights[name], expected[name]) for name in expected)
    assert runs[2].data["path"] == address
    assert len(thalweg.Run.open(runs[2].path).find_photos().photos) == 16
