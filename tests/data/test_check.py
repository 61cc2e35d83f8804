import json
import struct
import zlib
from io import BytesIO

import numpy as np
import pytest
from PIL import Image, ImageEnhance, ImageOps

from thalweg.data import check_images, open_images
from thalweg.data.check import inspect
from thalweg.data.decoding import decode
from thalweg.data.duplicates import MAX_DISTANCE, difference_hash, near_duplicates
from thalweg.data.findings import read_findings
from thalweg.errors import DataError
from thalweg.i18n import set_language


def scene(seed, width=160, height=120):
    """A picture with detail at every scale, as photos have."""
    rng = np.random.default_rng(seed)
    layers = [
        np.asarray(
            Image.fromarray(rng.integers(0, 256, (n, n, 3), dtype=np.uint8)).resize((width, height)), dtype=float
        )
        for n in (3, 6, 12, 24)
    ]
    return Image.fromarray((sum(layers) / 4).astype(np.uint8))


def encoded(image, kind="JPEG", **options):
    file = BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


@pytest.fixture
def scenes():
    names = [f"training/{label}_{n}.jpg" for label in (0, 1) for n in range(8)]
    names += [f"validation/{label}_{n}.jpg" for label in (0, 1) for n in range(3)]
    names += [f"testing/{n}.jpg" for n in range(4)]
    return {name: encoded(scene(seed), quality=90) for seed, name in enumerate(names)}


def check(root):
    return check_images(open_images(root))


def test_a_sound_set_has_no_warnings(plant, scenes):
    found = check(plant(scenes))
    assert found.warnings() == ()
    assert found.counts == {"train": {"0": 8, "1": 8}, "valid": {"0": 3, "1": 3}, "test": {"": 4}}
    assert (found.width.smallest, found.width.median, found.height.largest) == (160, 160, 120)
    assert found.near_checked == 26


def test_the_same_file_in_two_splits_is_a_leak(plant, scenes):
    twin = scenes["training/0_3.jpg"]
    found = check(plant(scenes | {"validation/0_9.jpg": twin, "testing/9.jpg": twin, "training/0_9.jpg": twin}))
    assert [leak.paths for leak in found.leaks] == [
        ("training/0_3.jpg", "training/0_9.jpg", "validation/0_9.jpg", "testing/9.jpg")
    ]
    assert found.leaks[0].splits == ("train", "train", "valid", "test")
    assert found.repeated == 3
    assert found.near_leaks == ()  # told once, not twice
    assert "validation/0_9.jpg" in str(found.warnings()[0])


def test_the_same_file_within_a_split_is_no_leak(plant, scenes):
    found = check(plant(scenes | {"training/0_9.jpg": scenes["training/0_3.jpg"]}))
    assert (found.repeated, found.leaks, found.warnings()) == (1, (), ())


def test_the_same_file_under_two_classes_is_a_conflict(plant, scenes):
    found = check(plant(scenes | {"training/1_9.jpg": scenes["training/0_3.jpg"]}))
    assert [conflict.classes for conflict in found.conflicts] == [("0", "1")]
    assert "training/1_9.jpg" in str(found.warnings()[0])


CHANGES = {
    "saved again": lambda image: encoded(image, quality=50),
    "saved as PNG": lambda image: encoded(image, "PNG"),
    "half the size": lambda image: encoded(image.resize((80, 64)), quality=85),
    "brighter": lambda image: encoded(ImageEnhance.Brightness(image).enhance(1.2), quality=85),
    "less contrast": lambda image: encoded(ImageEnhance.Contrast(image).enhance(0.8), quality=85),
    "mirrored": lambda image: encoded(ImageOps.mirror(image), quality=85),
}


@pytest.mark.parametrize("change", CHANGES)
def test_nearly_the_same_picture_in_two_splits_is_a_leak(plant, scenes, change):
    image = Image.open(BytesIO(scenes["training/1_2.jpg"]))
    found = check(plant(scenes | {"validation/1_9.jpg": CHANGES[change](image)}))
    assert [leak.paths for leak in found.near_leaks] == [("training/1_2.jpg", "validation/1_9.jpg")]
    assert found.near_leaks[0].mirrored == (change == "mirrored")
    assert found.near_leaks[0].correlation > 0.95
    assert "validation/1_9.jpg" in str(found.warnings()[0])


def test_different_pictures_are_not_alike():
    thumbnails = np.stack([np.asarray(scene(seed, 32, 32)) for seed in range(600)])
    assert len(near_duplicates(thumbnails[:300], thumbnails[300:]).left_P) == 0


def test_pictures_without_detail_are_not_alike():
    skies = np.stack([np.asarray(Image.linear_gradient("L").resize((32, 32)).convert("RGB"))] * 2)
    flat = np.full((3, 32, 32, 3), 200, dtype=np.uint8)
    assert len(near_duplicates(flat, flat).left_P) == 0
    assert len(near_duplicates(flat, skies).left_P) == 0


def test_hashes_agree_with_a_comparison_pixel_by_pixel():
    image = scene(7, 32, 32)
    hashed = int(difference_hash(np.asarray(image)[None])[0])
    small = np.asarray(image.convert("L").resize((9, 8), Image.Resampling.BOX), dtype=int)
    expected = [small[y, x + 1] > small[y, x] for y in range(8) for x in range(8)]
    bits = np.unpackbits(np.array([hashed], dtype=np.uint64).view(np.uint8)).astype(bool).tolist()
    assert sum(a != b for a, b in zip(bits, expected, strict=True)) <= 3  # gray is rounded differently
    assert MAX_DISTANCE < 16


def test_blocks_do_not_lose_pairs(monkeypatch):
    thumbnails = np.stack([np.asarray(scene(seed, 32, 32)) for seed in range(40)])
    whole = near_duplicates(thumbnails, thumbnails[::-1])
    monkeypatch.setattr("thalweg.data.duplicates._PAIRS", 7)
    monkeypatch.setattr("thalweg.data.duplicates._PHOTOS", 9)
    blocks = near_duplicates(thumbnails, thumbnails[::-1])
    assert all(np.array_equal(one, other) for one, other in zip(blocks, whole, strict=True))
    assert len(whole.left_P) == 40


def sixteen_bits(seed):
    return Image.fromarray(np.asarray(scene(seed).convert("L")).astype(np.uint16) * 257)


def turned(seed):
    exif = Image.Exif()
    exif[0x0112] = 6
    return encoded(scene(seed), exif=exif)


ODD = {
    "wrong_extension": ("training/0_20.jpg", lambda: encoded(scene(50), "PNG")),
    "sixteen_bit": ("training/0_21.png", lambda: encoded(sixteen_bits(51), "PNG")),
    "cmyk": ("training/0_22.jpg", lambda: encoded(scene(52).convert("CMYK"))),
    "palette": ("training/0_23.png", lambda: encoded(scene(53).convert("P"), "PNG")),
    "alpha": ("training/0_24.png", lambda: encoded(scene(54).convert("RGBA"), "PNG")),
    "rotated": ("training/0_25.jpg", lambda: turned(55)),
    "animated": (
        "training/0_26.gif",
        lambda: encoded(scene(56).convert("L"), "GIF", save_all=True, append_images=[scene(57).convert("L")]),
    ),
    "large": ("training/0_27.jpg", lambda: encoded(Image.new("L", (8000, 6300), 9))),
}


def test_what_is_unusual_is_counted_by_kind(plant, scenes):
    found = check(plant(scenes | {path: make() for path, make in ODD.values()}))
    assert found.bad == ()
    for kind, (path, _) in ODD.items():
        assert path in found.oddities[kind], kind
    assert found.oddities["large"] == (ODD["large"][0],)
    assert len(found.oddities["wrong_extension"]) == 1


def color_png_of_sixteen_bits(side=64):
    def chunk(name, content):
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    pixels = np.zeros((side, side, 3), dtype=">u2")
    pixels[...] = (65535, 32768, 0)
    rows = b"".join(b"\0" + row.tobytes() for row in pixels)
    header = struct.pack(">IIBBBBB", side, side, 16, 2, 0, 0, 0)
    chunks = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunks


@pytest.mark.parametrize(
    ("content", "path"), [(color_png_of_sixteen_bits(), "a.png"), (encoded(sixteen_bits(3), "TIFF"), "a.tif")]
)
def test_sixteen_bits_are_seen_also_where_pillow_hides_them(content, path):
    assert "sixteen_bit" in inspect(content, path).oddities


def test_sixteen_bits_of_color_are_scaled():
    assert decode(color_png_of_sixteen_bits(), 4)[0, 0].tolist() == [255, 128, 0]


def test_bad_photos_are_named(plant, scenes):
    bad = {"training/0_30.jpg": b"", "training/1_30.jpg": b"no", "testing/30.jpg": scenes["testing/1.jpg"][:900]}
    found = check(plant(scenes | bad))
    assert {image.path for image in found.bad} == set(bad)
    warning = str(found.warnings()[0])
    assert all(path in warning for path in bad)


def test_imbalance(plant, scenes):
    few = {name: content for name, content in scenes.items() if not name.startswith("training/1_") or "_0" in name}
    found = check(plant(few))
    assert found.imbalance == 8
    assert "(0) has 8.0 times as many photos as the smallest (1)" in str(found.warnings()[0])


def test_a_class_without_photos_is_not_the_smallest(plant, scenes):
    few = {name: content for name, content in scenes.items() if not name.startswith("training/1_") or "_0" in name}
    found = check_images(open_images(plant(few), classes="food11"))
    assert found.imbalance == 8
    assert "smallest (Dairy product)" in str(found.warnings()[0])


def test_tiny_pictures_are_not_compared_but_for_equality(plant, picture):
    tiny = {f"{split}/{label}_{n}.png": picture(n, "PNG", width=28, height=28)
            for split in ("train", "valid") for label, n in ((0, 1), (1, 2), (0, 3))}  # fmt: skip
    found = check(plant(tiny))
    assert found.near_checked == 0
    assert len(found.leaks) == 3


def test_when_no_photo_can_be_used_it_is_an_error(plant):
    with pytest.raises(DataError):
        check(plant({"train/0_1.jpg": b"", "train/1_1.jpg": b"", "train/0_2.jpg": b"", "train/1_2.jpg": b""}))


@pytest.mark.parametrize("language", ["en", "zh-CN"])
def test_the_whole_report_is_json(plant, scenes, language):
    set_language(language)
    try:
        files = scenes | {"training/0_30.jpg": b"", "validation/0_9.jpg": scenes["training/0_3.jpg"]}
        report = json.loads(json.dumps(check(plant(files)).to_json()))
    finally:
        set_language(None)
    assert report["counts"]["train"] == {"0": 9, "1": 8}
    assert report["bad"][0]["path"] == "training/0_30.jpg"
    assert report["leaks"][0]["paths"] == ["training/0_3.jpg", "validation/0_9.jpg"]
    assert len(report["warnings"]) == 2


def test_every_copy_of_a_near_leak_is_named_and_equal_files_are_none(plant, scenes):
    again = CHANGES["saved again"](Image.open(BytesIO(scenes["training/1_2.jpg"])))
    copies = {"training/0_20.jpg": scenes["training/1_2.jpg"], "training/0_21.jpg": again}
    found = check(plant(scenes | copies | dict.fromkeys(["validation/1_9.jpg", "validation/1_10.jpg"], again)))
    assert sorted(leak.paths for leak in found.near_leaks) == [
        (one, other)
        for one in ("training/0_20.jpg", "training/1_2.jpg")
        for other in ("validation/1_10.jpg", "validation/1_9.jpg")
    ]
    assert [leak.paths[0] for leak in found.leaks] == ["training/0_21.jpg"]
    assert found.near_leaks[1:3] == (found.near_leaks[1], found.near_leaks[-2])


@pytest.fixture
def many(plant, picture):
    """150 equal photos in two splits, and 120 empty files."""
    same = picture(1, "PNG", width=16, height=16)
    photos = {f"{split}/{n % 2}_{n}.png": same for split in ("train", "valid") for n in range(75)}
    return plant(photos | {f"train/{n % 2}_{n}.png": b"" for n in range(100, 220)})


def test_json_lists_the_first_hundred_and_counts_all(many):
    found = check(many)
    report = json.loads(json.dumps(found.to_json()))
    assert found.has_more_than(100)
    assert not found.has_more_than(150)
    assert report["found"] == {
        "bad": 120, "conflicts": 1, "leaks": 1, "near_leaks": 0, "oddities": dict.fromkeys(found.oddities, 0)
    }  # fmt: skip
    assert len(report["bad"]) == 100
    assert len(report["leaks"][0]["paths"]) == len(report["leaks"][0]["splits"]) == 100
    assert report["leaks"][0]["photos"] == 150
    assert len("".join(report["warnings"])) < 2000


def test_the_table_has_every_finding(many, tmp_path):
    check(many).write_csv(tmp_path / "all.csv")
    rows = list(read_findings(tmp_path / "all.csv"))
    kinds = [row.kind for row in rows]
    assert {kind: kinds.count(kind) for kind in kinds} == {"bad": 120, "conflicts": 149, "leaks": 149}
    leaks = [row for row in rows if row.kind == "leaks"]
    assert {row.path for row in leaks} == {"train/0_0.png"}
    assert len({row.twin for row in leaks}) == 149
    assert {(row.split, row.twin_split) for row in leaks} == {("train", "train"), ("train", "valid")}
    assert "train/0_100.png" in rows[0].reason


def test_the_table_of_findings_among_the_photos_is_no_list_of_them(plant, picture):
    photos = {f"{split}/{kind}/{n}.jpg": picture(2 * n + (kind == "dog"))
              for split in ("train", "test") for kind in ("cat", "dog") for n in range(3)}  # fmt: skip
    root = plant(photos)
    found = check_images(open_images(root))
    assert len(found.leaks) == 6
    found.write_csv(root / "found.csv")
    images = open_images(root)
    assert (images.layout, len(images.photos)) == ("class_folders", 12)


@pytest.mark.parametrize("content", [b"path,label\na.png,cat\n", b"", b"\xff\xfe\x00", b'kind,"'])
def test_another_table_is_no_table_of_findings(tmp_path, content):
    (tmp_path / "all.csv").write_bytes(content)
    with pytest.raises(ValueError):
        list(read_findings(tmp_path / "all.csv"))
