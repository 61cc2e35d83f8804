import io
import os
import struct
import tarfile
import zipfile
from concurrent.futures import ThreadPoolExecutor

import pytest

from thalweg.data import build_cache, open_images
from thalweg.data.archives import TarSource, ZipSource
from thalweg.errors import BadImageError, DataError


def as_zip(path, files, method=zipfile.ZIP_DEFLATED):
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def as_tar(path, files, mode="w"):
    with tarfile.open(path, mode) as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return path


PACKERS = {
    "a.zip": as_zip,
    "stored.zip": lambda path, files: as_zip(path, files, zipfile.ZIP_STORED),
    "a.tar": as_tar,
    "a.tar.gz": lambda path, files: as_tar(path, files, "w:gz"),
    "a.tgz": lambda path, files: as_tar(path, files, "w:gz"),
    "a.tar.bz2": lambda path, files: as_tar(path, files, "w:bz2"),
    "a.tar.xz": lambda path, files: as_tar(path, files, "w:xz"),
}


@pytest.mark.parametrize("name", PACKERS)
def test_an_archive_is_the_folder_it_was_made_of(name, plant, homework, tmp_path):
    packed = PACKERS[name](tmp_path / name, {f"food/{path}": content for path, content in homework.items()})
    before = sorted(tmp_path.rglob("*"))
    folder, archive = open_images(plant(homework)), open_images(packed)
    assert [photo.path for photo in archive.photos] == [f"food/{photo.path}" for photo in folder.photos]
    assert [archive.read(photo) for photo in archive.photos] == [folder.read(photo) for photo in folder.photos]
    assert {path for path in tmp_path.rglob("*") if "photos" not in path.parts} == set(before)  # nothing unpacked here
    # the same photos are the same cache
    assert build_cache(folder, size=8).fingerprint == build_cache(archive, size=8).fingerprint


def test_a_table_in_an_archive(picture, tmp_path):
    files = {f"set/img/{n}.jpg": picture(n) for n in range(6)}
    files["set/labels.csv"] = "path,label\n" + "".join(f"img/{n}.jpg,{n % 2}\n" for n in range(6))
    images = open_images(as_zip(tmp_path / "a.zip", files))
    assert images.layout == "csv"
    assert images.read(images.photos[0]) == picture(int(images.photos[0].path[8]))


@pytest.mark.parametrize("source", [ZipSource, TarSource])
def test_many_threads_read_at_once(source, tmp_path):
    files = {f"{n}.jpg": os.urandom(20_000 + n) for n in range(50)}
    packed = source((as_zip if source is ZipSource else as_tar)(tmp_path / "a", files))
    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(lambda name: packed.read(name) == files[name], list(files) * 10))


@pytest.mark.parametrize("pack", [as_zip, as_tar])
def test_names_that_point_out_of_the_archive_are_left_out_and_reported(pack, homework, picture, tmp_path):
    outside = ["../evil.jpg", "/etc/evil.jpg", "training/../../evil.jpg", "C:/evil.jpg"]
    suffix = ".zip" if pack is as_zip else ".tar"
    images = open_images(pack(tmp_path / f"a{suffix}", homework | dict.fromkeys(outside, picture())))
    assert len(images.photos) == len(homework)
    assert any("4 members" in str(note) and "evil.jpg" in str(note) for note in images.notes)


def test_links_in_a_tar_are_not_followed_out_of_it(homework, tmp_path):
    path = as_tar(tmp_path / "a.tar", homework)
    with tarfile.open(path, "a") as archive:
        for name, kind, target in [
            ("training/0_9.jpg", tarfile.SYMTYPE, "/etc/hostname"),
            ("training/2_9.jpg", tarfile.LNKTYPE, "training/0_1.jpg"),
        ]:
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, target
            archive.addfile(info)
    source = TarSource(path)
    assert "training/0_9.jpg" not in source.names()
    assert source.read("training/2_9.jpg") == homework["training/0_1.jpg"]


def test_chinese_names_without_the_mark_of_utf_8(picture, tmp_path):
    # what Chinese Windows writes: bytes of GBK, no flag; zipfile reads such bytes as cp437
    names = [f"{name}/{n}.jpg".encode("gbk") for name in ("面条", "米饭") for n in range(3)]
    standing_in = [f"{n}".ljust(len(name), "x").encode() for n, name in enumerate(names)]
    path = as_zip(tmp_path / "a.zip", {name.decode(): picture() for name in standing_in})
    content = path.read_bytes()
    for name, stand_in in zip(names, standing_in, strict=True):
        content = content.replace(stand_in, name)
    path.write_bytes(content)
    assert set(open_images(path).classes) == {"面条", "米饭"}


def test_a_damaged_member_is_one_bad_photo(homework, tmp_path):
    path = as_zip(tmp_path / "a.zip", homework, zipfile.ZIP_STORED)
    content = path.read_bytes()
    place = content.index(homework["training/0_1.jpg"]) + 700
    path.write_bytes(content[:place] + bytes([content[place] ^ 255]) + content[place + 1 :])
    cache = build_cache(open_images(path), size=8)
    assert [image.path for image in cache.bad] == ["training/0_1.jpg"]
    assert "checksum" in str(cache.bad[0])


def test_a_member_that_claims_to_be_enormous_is_not_inflated(tmp_path):
    path = as_zip(tmp_path / "a.zip", {"0_1.jpg": b"\0" * 5_000_000, "1_1.jpg": b"x"})
    content = bytearray(path.read_bytes())
    place = content.index(b"PK\x01\x02") + 24
    content[place : place + 4] = struct.pack("<I", 3_000_000_000)
    path.write_bytes(content)
    with pytest.raises(BadImageError, match="MiB"):
        ZipSource(path).read("0_1.jpg")


def test_a_member_that_inflates_beyond_its_claim_is_cut(tmp_path):
    path = as_zip(tmp_path / "a.zip", {"0_1.jpg": b"\0" * 5_000_000})
    content = bytearray(path.read_bytes())
    place = content.index(b"PK\x01\x02") + 24
    content[place : place + 4] = struct.pack("<I", 100)
    path.write_bytes(content)
    with pytest.raises(BadImageError, match="checksum"):
        ZipSource(path).read("0_1.jpg")


@pytest.mark.parametrize("name", ["a.zip", "a.tar", "a.tar.gz", "a.tar.xz"])
def test_what_is_no_archive_is_reported(name, tmp_path):
    path = tmp_path / name
    path.write_bytes(b"<html>404 not found</html>" * 40)
    with pytest.raises(DataError, match="the archive cannot be read"):
        open_images(path)


@pytest.mark.parametrize("name", ["a.zip", "a.tar.gz", "a.tar.bz2", "a.tar.xz"])
def test_half_an_archive_is_reported(name, homework, tmp_path, own_cache):
    path = PACKERS[name](tmp_path / name, homework)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(DataError, match="the archive cannot be read"):
        open_images(path)
    assert not list(own_cache.rglob("*.*"))


def test_a_compressed_tar_is_decompressed_once(homework, tmp_path, own_cache):
    path = as_tar(tmp_path / "a.tar.gz", homework, "w:gz")
    open_images(path)
    plain = list(own_cache.rglob("*.tar"))
    written = plain[0].stat().st_mtime_ns
    open_images(path)
    assert list(own_cache.rglob("*.tar")) == plain
    assert plain[0].stat().st_mtime_ns == written


def test_a_tar_with_names_of_chinese_windows(tmp_path, picture):
    path = tmp_path / "a.tar"
    with tarfile.open(path, "w", format=tarfile.GNU_FORMAT, encoding="gb18030") as archive:
        for name in ("猫/1.jpg", "猫/2.jpg", "狗/1.jpg", "狗/2.jpg"):
            info = tarfile.TarInfo(name)
            info.size = len(picture())
            archive.addfile(info, io.BytesIO(picture()))
    assert set(open_images(path).classes) == {"猫", "狗"}
