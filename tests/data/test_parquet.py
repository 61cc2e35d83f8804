"""Sets in Parquet files, as Hugging Face's `datasets` stores them."""

import json
import sys

import numpy as np
import pytest

from made import counts, refused
from thalweg.data import LayoutChoice, build_cache, check_images, open_images, open_photos
from thalweg.data.parquet import ParquetSource
from thalweg.errors import BadImageError, DataError, MissingExtraError


pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")

IMAGE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])


def written(path, columns, *, names=None, types=None, **options):
    """Write a Parquet file; `names` are the classes that `datasets` would note."""
    path.parent.mkdir(parents=True, exist_ok=True)
    types = {"image": IMAGE, "label": pa.int64()} | (types or {})
    schema = pa.schema([(name, types[name]) for name in columns])
    if names:
        features = {"image": {"_type": "Image"}, "label": {"names": names, "_type": "ClassLabel"}}
        schema = schema.with_metadata({"huggingface": json.dumps({"info": {"features": features}})})
    pq.write_table(pa.table(columns, schema=schema), path, **options)
    return path


@pytest.fixture
def rows(picture):
    """The columns of some photos: `rows(range(4), [0, 1, 0, 1])`."""

    def make(numbers, labels):
        images = [{"bytes": picture(n), "path": f"{n}.jpg"} for n in numbers]
        return {"image": images, "label": list(labels)}

    return make


@pytest.fixture
def folder(tmp_path, rows):
    root = tmp_path / "food"
    for shard in range(2):
        path = root / "data" / f"train-{shard:05}-of-00002.parquet"
        written(path, rows(range(4 * shard, 4 * shard + 4), [0, 1, 0, 1]), names=["soup", "bread"], row_group_size=3)
    written(root / "data" / "validation-00000-of-00001.parquet", rows([8, 9], [0, 1]), names=["soup", "bread"])
    written(root / "data" / "test-00000-of-00001.parquet", rows([10, 11], [-1, -1]), names=["soup", "bread"])
    return root


class TestWhatIsRead:
    def test_splits_come_from_names_and_classes_from_the_features_in_their_order(self, folder, picture):
        images = open_images(folder)
        assert (images.layout, images.classes, counts(images)) == ("parquet", ("soup", "bread"), [8, 2, 2])
        assert [photo.label for photo in images.split("train")] == [0, 1] * 4
        assert [photo.label for photo in images.split("test")] == [None, None]
        assert [images.read(photo) for photo in images.photos] == [picture(n) for n in range(12)]
        assert images.photos[4].path == "data/train-00001-of-00002/0.jpg"

    def test_it_gives_the_same_pixels_as_the_folder_of_its_photos(self, folder, plant, picture):
        plain = {f"train/{n % 2}/{n}.jpg": picture(n) for n in range(8)} | {f"val/{n}/{n + 8}.jpg": picture(n + 8)
                                                                           for n in range(2)}  # fmt: skip
        files = build_cache(open_images(plant(plain)), size=16)
        packed = build_cache(open_images(folder), size=16)
        order = np.argsort([photo.path.rpartition("/")[2] for photo in files.photos if photo.split == "train"])
        ours = packed.images_NHWC[packed.rows("train")]
        assert np.array_equal(files.images_NHWC[files.rows("train")[order]], ours)

    def test_a_pattern_and_a_single_file_are_sets_too(self, folder):
        assert counts(open_images(folder / "data" / "train-{00000..00001}-of-00002.parquet"))[2] == 0
        assert sum(counts(open_images(folder / "data" / "train-00000-of-00002.parquet"))) == 4

    def test_a_pattern_has_the_class_names_beside_it(self, tmp_path, rows):
        for number in range(2):
            written(tmp_path / f"train-{number}.parquet", rows(range(4), [0, 1, 0, 1]))
        (tmp_path / "classes.txt").write_text("soup\nbread\n", encoding="utf-8")
        assert open_images(tmp_path / "train-{0..1}.parquet").classes == ("soup", "bread")

    def test_prediction_takes_the_test_split(self, folder):
        assert [photo.path for photo in open_photos(folder).photos] == [
            "data/test-00000-of-00001/0.jpg",
            "data/test-00000-of-00001/1.jpg",
        ]

    def test_labels_may_be_texts_and_photos_plain_bytes_without_features(self, tmp_path, picture):
        columns = {"jpg": [picture(n) for n in range(4)], "category": ["b", "a", "b", "a"]}
        types = {"jpg": pa.large_binary(), "category": pa.dictionary(pa.int32(), pa.string())}
        images = open_images(written(tmp_path / "set.parquet", columns, types=types))
        assert (images.classes, sum(counts(images)), images.source.names()[0]) == (("a", "b"), 4, "set/0.jpg")

    def test_views_of_bytes_and_texts_are_columns_too(self, tmp_path, picture):
        columns = {"image": [picture(n) for n in range(4)], "label": ["b", "a", "b", "a"]}
        path = written(tmp_path / "set.parquet", columns, types={"image": pa.binary_view(), "label": pa.string_view()})
        images = open_images(path)
        assert (images.classes, images.read(images.photos[0]) in columns["image"]) == (("a", "b"), True)

    def test_the_user_names_columns_where_two_may_be_meant(self, tmp_path, rows):
        columns = rows(range(4), [0, 1, 0, 1])
        columns = {
            "photo": columns["image"],
            "mask": columns["image"][::-1],
            "coarse": [0, 0, 1, 1],
            "fine": [3, 1, 2, 0],
        }
        types = {"photo": IMAGE, "mask": IMAGE, "coarse": pa.int8(), "fine": pa.float64()}
        path = written(tmp_path / "set.parquet", columns, types=types)
        images = open_images(path, choice=LayoutChoice(path_column="photo", label_column="coarse"))
        assert images.classes == ("0", "1")
        assert refused(path, choice=LayoutChoice(path_column="nothing")).key == "data.table_no_column"

    def test_a_large_row_group_is_read_in_small_batches(self, tmp_path, picture, monkeypatch):
        monkeypatch.setattr("thalweg.data.parquet._BATCH_BYTES", 4000)
        monkeypatch.setattr("thalweg.data.parquet._KEPT_BYTES", 8000)
        columns = {"image": [{"bytes": picture(n), "path": None} for n in range(24)], "label": [0, 1] * 12}
        images = open_images(written(tmp_path / "set.parquet", columns))
        source = images.source
        assert isinstance(source, ParquetSource)
        names = source.names()
        for number in [*range(24), 3, 23, 0]:  # in order, and back and forth
            assert source.read(names[number]) == picture(number)
            assert source._kept <= 8000 + 4000
            assert len(source._batches) < 12


class TestWhatIsWrong:
    def test_a_file_cut_at_any_place_is_named(self, folder):
        path = folder / "data" / "train-00001-of-00002.parquet"
        whole = path.read_bytes()
        for place in range(0, len(whole), len(whole) // 20):
            path.write_bytes(whole[:place])
            assert "train-00001" in str(refused(folder))

    def test_a_damaged_page_is_a_bad_photo_or_a_refused_file_and_never_another_photo(self, tmp_path, rows, picture):
        path = written(tmp_path / "set.parquet", rows(range(6), [0, 1] * 3), row_group_size=2, write_page_checksum=True)
        whole = path.read_bytes()
        known = {picture(n) for n in range(6)}
        random = np.random.default_rng(0)
        for place in random.integers(4, len(whole) - 4, 20):
            path.write_bytes(whole[:place] + bytes([whole[place] ^ 0xFF]) + whole[place + 1 :])
            try:
                images = open_images(path, valid_fraction=0.4)
                contents = [images.read(photo) for photo in images.photos]
            except (DataError, BadImageError):
                continue
            assert set(contents) <= known

    def test_a_damaged_row_group_is_read_once_and_not_for_each_row_behind_the_damage(
        self, tmp_path, picture, monkeypatch
    ):
        import thalweg.data.parquet as module

        monkeypatch.setattr(module, "_BATCH_BYTES", 4000)
        columns = {"image": [{"bytes": picture(n), "path": None} for n in range(24)], "label": [0, 1] * 12}
        how = {
            "compression": "none",
            "use_dictionary": False,
            "data_page_size": 1,
            "write_batch_size": 1,
            "write_statistics": False,
        }
        path = written(tmp_path / "set.parquet", columns, write_page_checksum=True, **how)
        whole = path.read_bytes()
        place = whole.index(picture(12)) + 50
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 0xFF]) + whole[place + 1 :])
        kept, streams = module._stream, []
        monkeypatch.setattr(module, "_stream", lambda *how: (streams.append(how), kept(*how))[1])
        source, reasons = open_images(path).source, set()
        for row, name in enumerate(source.names()):
            try:
                assert source.read(name) == picture(row)
                assert row < 12
            except BadImageError as error:
                reasons.add(str(error.values["reason"]))
        assert len(reasons) == 1
        assert len(streams) <= 3

    def test_a_null_photo_is_bad_and_the_others_stay(self, tmp_path, rows):
        columns = rows(range(6), [0, 1] * 3)
        columns["image"][2] = {"bytes": None, "path": "2.jpg"}
        columns["image"][5] = None
        check = check_images(open_images(written(tmp_path / "set.parquet", columns)))
        assert {(one.path, one.reason.key) for one in check.bad} == {
            ("set/2.jpg", "data.bad_no_bytes"),
            ("set/5.jpg", "data.bad_no_bytes"),
        }

    @pytest.mark.parametrize("missing", [None, -1])
    def test_a_photo_without_a_label_is_named(self, tmp_path, rows, missing):
        error = refused(written(tmp_path / "set.parquet", rows(range(4), [0, 1, missing, 1])))
        assert (error.key, error.values["example"]) == ("data.samples_no_label", "set/2.jpg")

    def test_a_file_without_rows_is_named(self, tmp_path, rows):
        assert refused(written(tmp_path / "set.parquet", rows([], []))).key == "data.parquet_no_rows"

    def test_a_table_of_texts_has_no_photos(self, tmp_path):
        columns = {"text": ["a", "b"], "label": [0, 1]}
        error = refused(written(tmp_path / "set.parquet", columns, types={"text": pa.string()}))
        assert error.key == "data.parquet_no_photos"
        assert "text (string)" in str(error)

    def test_photos_deeper_down_are_not_found_and_the_columns_are_shown(self, tmp_path, picture):
        nested = pa.struct([("image", IMAGE)])
        columns = {"data": [{"image": {"bytes": picture(0), "path": None}}] * 2, "label": [0, 1]}
        assert (
            refused(written(tmp_path / "set.parquet", columns, types={"data": nested})).key == "data.parquet_no_photos"
        )

    def test_several_photos_or_labels_are_asked_about(self, tmp_path, rows):
        columns = rows(range(2), [0, 1])
        two = {"left": columns["image"], "right": columns["image"], "label": [0, 1]}
        error = refused(written(tmp_path / "a.parquet", two, types={"left": IMAGE, "right": IMAGE}))
        assert error.key == "data.parquet_two_photos"
        two = {"image": columns["image"], "class": [0, 1], "category": [1, 0]}
        error = refused(written(tmp_path / "b.parquet", two, types={"class": pa.int8(), "category": pa.int8()}))
        assert error.key == "data.parquet_two_labels"

    def test_lists_are_no_labels(self, tmp_path, rows):
        columns = rows(range(2), [[0], [1]])
        path = written(tmp_path / "set.parquet", columns, types={"label": pa.list_(pa.int64())})
        assert refused(path).key == "data.parquet_no_label"
        assert refused(path, choice=LayoutChoice(label_column="label")).key == "data.parquet_label"

    def test_shards_of_other_classes_are_refused(self, folder, rows):
        written(folder / "data" / "validation-00000-of-00001.parquet", rows([8, 9], [0, 1]), names=["bread", "soup"])
        assert refused(folder).key == "data.parquet_differ"

    def test_something_else_under_the_name_is_refused(self, tmp_path):
        for content, key in (
            (b"", "data.archive_empty"),
            (b"<html>", "data.parquet_none"),
            (b"PARE", "data.parquet_encrypted"),
        ):
            (tmp_path / "set.parquet").write_bytes(content)
            assert refused(tmp_path / "set.parquet").key == key

    def test_an_encrypted_file_is_refused(self, tmp_path):
        (tmp_path / "set.parquet").write_bytes(b"PARE" + b"\x17" * 400 + b"\x20\0\0\0PARE")
        assert refused(tmp_path / "set.parquet").key == "data.parquet_encrypted"

    def test_without_pyarrow_the_command_that_installs_it_is_told(self, folder, monkeypatch):
        monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
        with pytest.raises(MissingExtraError, match=r"thalweg\[parquet\]"):
            open_images(folder)
