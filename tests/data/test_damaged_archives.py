"""Archives that lie about their sizes, that are cut off, or that are no archives at all: a sentence each time."""

import io
import struct
import tarfile
import zipfile

import pytest

from thalweg.data import open_images, open_photos
from thalweg.data.archives import TarSource, ZipSource, open_archive
from thalweg.errors import BadImageError, DataError, UsageError


CENTRAL = b"PK\x01\x02"


def zip_of(path, files, method=zipfile.ZIP_STORED):
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def tar_of(path, infos, mode="w", **options):
    """A tar of (name, content) or (name, kind, target)."""
    with tarfile.open(path, mode, **options) as archive:
        for name, *rest in infos:
            info = tarfile.TarInfo(name)
            if len(rest) == 1:
                info.size = len(rest[0])
                archive.addfile(info, io.BytesIO(rest[0]))
            else:
                info.type, info.linkname = rest
                archive.addfile(info)
    return path


def changed(path, signature, offset, value):
    """Overwrite bytes at an offset behind the first occurrence of a signature."""
    content = bytearray(path.read_bytes())
    place = content.index(signature) + offset
    content[place : place + len(value)] = value
    path.write_bytes(content)
    return path


METHODS = {"bzip2": zipfile.ZIP_BZIP2, "lzma": zipfile.ZIP_LZMA, "deflate": zipfile.ZIP_DEFLATED, "none": 0}


@pytest.mark.parametrize("method", METHODS)
def test_members_of_every_usual_method_are_read(method, tmp_path):
    files = {"a.jpg": bytes(range(256)) * 999, "b.jpg": b"", "c.jpg": b"x"}
    source = ZipSource(zip_of(tmp_path / "a.zip", files, METHODS[method]))
    assert {name: source.read(name) for name in source.names()} == files


@pytest.mark.parametrize(("number", "method"), [(9, "Deflate64"), (93, "Zstandard"), (77, "77")])
def test_an_unusual_method_is_named(number, method, tmp_path):
    path = changed(zip_of(tmp_path / "a.zip", {"a.jpg": b"x" * 99}), CENTRAL, 10, struct.pack("<H", number))
    with pytest.raises(BadImageError, match=rf"a\.jpg: compressed with {method},"):
        ZipSource(path).read("a.jpg")


@pytest.mark.parametrize(
    ("offset", "value", "said"),
    [
        (8, struct.pack("<H", 1), "encrypted"),
        (24, struct.pack("<I", 2000), "contradict"),  # size
        (20, struct.pack("<II", 1 << 20, 1 << 20), "beyond the end"),  # both sizes
        (42, struct.pack("<I", 1 << 30), "beyond the end"),  # offset
        (42, struct.pack("<I", 1), "header"),
        (10, struct.pack("<H", 8), "compressed data"),  # no deflate at all
        (16, struct.pack("<I", 7), "checksum"),
    ],
)
def test_a_damaged_entry_is_the_fault_of_its_photo_alone(offset, value, said, tmp_path):
    path = zip_of(tmp_path / "a.zip", {"a.jpg": b"\xff" * 1000, "b.jpg": b"b"})
    source = ZipSource(changed(path, CENTRAL, offset, value))
    with pytest.raises(BadImageError, match=rf"^a\.jpg: .*{said}"):
        source.read("a.jpg")
    assert source.read("b.jpg") == b"b"


def test_sizes_of_eight_bytes_beyond_the_file(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive, archive.open("a.jpg", "w", force_zip64=True) as member:
        member.write(b"x")
    path = changed(tmp_path / "a.zip", CENTRAL, 20, struct.pack("<II", *[0xFFFFFFFF] * 2))
    content = path.read_bytes()
    place = content.index(CENTRAL)
    field = struct.pack("<HHQQ", 1, 16, 1 << 60, 1 << 60)
    end = content.index(b"PK\x05\x06")
    central = content[place:end][:30] + struct.pack("<H", len(field)) + content[place:end][32:51] + field
    ending = content[end : end + 12] + struct.pack("<I", len(central)) + content[end + 16 :]
    path.write_bytes(content[:place] + central + ending)
    with pytest.raises(BadImageError, match="MiB"):
        ZipSource(path).read("a.jpg")


def test_members_that_share_bytes_are_not_read_twice(tmp_path):
    path = zip_of(tmp_path / "a.zip", {"a.jpg": b"a" * 99, "b.jpg": b"b" * 99})
    source = ZipSource(changed(path, CENTRAL, 20, struct.pack("<II", 150, 150)))
    with pytest.raises(BadImageError, match="next member"):
        source.read("a.jpg")
    assert source.read("b.jpg") == b"b" * 99


def test_bytes_before_and_behind_a_zip_and_a_signature_in_its_comment(tmp_path):
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.jpg", b"a")
        archive.comment = b"PK\x05\x06" * 9
    path.write_bytes(b"#!/bin/sh\n" * 9 + path.read_bytes())
    assert ZipSource(path).read("a.jpg") == b"a"
    zip_of(path, {"a.jpg": b"a"})
    path.write_bytes(path.read_bytes() + b"\r\n")
    assert ZipSource(path).read("a.jpg") == b"a"


@pytest.mark.parametrize(
    ("signature", "offset", "value", "said"),
    [
        (CENTRAL, 0, b"PKxx", "directory is damaged at byte"),
        (CENTRAL, 28, b"\xff\xff", "directory is damaged at byte"),
        (b"PK\x05\x06", 16, b"\xff\xff\xff\x7f", "does not lie where it says"),
        (b"PK\x05\x06", 12, b"\xff\xff\xff\x7f", "does not lie where it says"),
        (b"PK\x05\x06", 4, b"\x02\x00", "several parts"),
        (CENTRAL, 8, b"\x01\x00", "all 1 members are encrypted"),
        (b"PK\x05\x06", 0, b"PKxx", "too early"),
    ],
)
def test_a_damaged_directory_is_the_fault_of_the_archive(signature, offset, value, said, tmp_path):
    path = changed(zip_of(tmp_path / "a.zip", {"a.jpg": b"a"}), signature, offset, value)
    with pytest.raises(DataError, match=f"the archive cannot be read.*{said}"):
        ZipSource(path)


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.zip", b"", "empty"),
        ("a.zip", b"Rar!\x1a\x07\x01\x00", "kind RAR"),
        ("a.zip", b"7z\xbc\xaf\x27\x1c", "kind 7-Zip"),
        ("a.zip", b"\n <!DOCTYPE html><title>Log in", "web page"),
        ("a.tar", b'{"error": "no such file"}', "web page or a message"),
        ("a.zip", b"version https://git-lfs.github.com/spec/v1", "git lfs pull"),
        ("a.tar.zst", b"\x28\xb5\x2f\xfd" * 9, "kind Zstandard"),
        ("a.rar", b"Rar!\x1a\x07\x01\x00", "kind RAR"),
        ("a.z01", b"PK\x07\x08PK\x03\x04", "several parts"),
        ("a.zip.001", b"PK\x03\x04", "several parts"),
        ("a.tar.gz", b"\x1f\x8b" + b"\0" * 99, "compressed data"),
        ("a.tar", b"\0" * 20_000, "not a tar"),
    ],
)
def test_what_is_no_archive_is_called_by_its_name(name, content, said, tmp_path):
    (tmp_path / name).write_bytes(content)
    for opened in (open_images, open_photos):
        with pytest.raises(DataError, match=f"the archive cannot be read.*{said}"):
            opened(tmp_path / name)


def test_an_archive_under_the_name_of_the_other_kind_is_opened(tmp_path):
    assert open_archive(tar_of(tmp_path / "a.zip", [("a.jpg", b"a")])).read("a.jpg") == b"a"
    assert open_archive(tar_of(tmp_path / "b.zip", [("a.jpg", b"a")], "w:gz")).read("a.jpg") == b"a"
    assert open_archive(zip_of(tmp_path / "b.tar", {"a.jpg": b"a"})).read("a.jpg") == b"a"
    assert open_archive(tmp_path / "photos") is None


@pytest.mark.parametrize("size", [b"-5", b"99999999999999999999", b"", b"5x"])
def test_a_size_that_is_none(size, tmp_path):
    record = b"size=" + size + b"\n"
    record = str(len(record) + 3).encode() + b" " + record
    path = tar_of(tmp_path / "a.tar", [("pax", record), ("a.jpg", b"a"), ("b.jpg", b"b")])
    content = bytearray(path.read_bytes())
    content[156:157] = b"x"
    content[148:156] = b"%06o\0 " % (256 + sum(content[:148]) + sum(content[156:512]))
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"a\.jpg"):
        TarSource(path)


def test_a_size_below_zero_in_base_256_ends(tmp_path):
    path = tar_of(tmp_path / "a.tar", [("a.jpg", b"a"), ("b.jpg", b"b")])
    content = bytearray(path.read_bytes())
    content[124:136] = b"\xff" * 10 + b"\xfc\x00"  # -1024: back to the header itself
    content[148:156] = b"%06o\0 " % (256 + sum(content[:148]) + sum(content[156:512]))
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"size of a\.jpg"):
        TarSource(path)


def test_a_tar_that_is_cut_off_or_damaged_within_is_never_a_smaller_set(tmp_path):
    whole = tar_of(tmp_path / "a.tar", [(f"{n}.jpg", bytes([n]) * 700) for n in range(4)]).read_bytes()
    cut = tmp_path / "cut.tar"
    cut.write_bytes(whole[:2500])
    with pytest.raises(DataError, match=r"ends within 1\.jpg"):
        TarSource(cut)
    cut.write_bytes(whole[: 2 * 1536])  # between two members
    assert any("no end mark" in str(note) for note in TarSource(cut).notes)
    cut.write_bytes(whole[: 2 * 1536 + 100])
    with pytest.raises(DataError, match="header at byte 3,072"):
        TarSource(cut)
    cut.write_bytes(whole[:1536] + b"?" + whole[1537:])
    with pytest.raises(DataError, match="header at byte 1,536"):
        TarSource(cut)


def test_two_tars_one_behind_the_other_are_both_read(tmp_path):
    one, two = (tar_of(tmp_path / f"{n}.tar", [(f"{n}.jpg", b"x")]).read_bytes() for n in (1, 2))
    (tmp_path / "both.tar").write_bytes(one + two)
    source = TarSource(tmp_path / "both.tar")
    assert source.names() == ("1.jpg", "2.jpg")
    assert not source.notes


@pytest.mark.parametrize("form", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT, tarfile.USTAR_FORMAT])
def test_long_names_and_accents_in_every_format(form, tmp_path):
    names = ["d" * 90 + "/" + "n" * 90 + ".jpg", "Käse/1.jpg", "米饭/1.jpg"]
    names += ["x" * 300 + ".jpg"] * (form != tarfile.USTAR_FORMAT)
    path = tar_of(tmp_path / "a.tar", [(name, name.encode()) for name in names], format=form)
    source = TarSource(path)
    assert {name: source.read(name) for name in source.names()} == {name: name.encode() for name in names}


def test_a_copy_in_the_cache_that_is_damaged_is_made_again(tmp_path, own_cache):
    path = tar_of(tmp_path / "a.tar.gz", [("a.jpg", b"a" * 5000)], "w:gz")
    TarSource(path)
    (plain,) = own_cache.rglob("*.tar")
    plain.write_bytes(plain.read_bytes()[:1000])
    assert TarSource(path).read("a.jpg") == b"a" * 5000


def test_a_compressed_file_without_a_tar_is_not_unpacked(tmp_path, own_cache):
    import gzip

    (tmp_path / "a.tar.gz").write_bytes(gzip.compress(b"\0" * 5_000_000))
    with pytest.raises(DataError, match="not a tar"):
        TarSource(tmp_path / "a.tar.gz")
    assert not list(own_cache.rglob("*.tar*"))


@pytest.mark.parametrize("encoding", ["klingon", "utf-16", "base64", "unicode_escape", ""])
def test_an_encoding_that_is_none(encoding, tmp_path):
    for source, path in ((ZipSource, zip_of(tmp_path / "a.zip", {})), (TarSource, tar_of(tmp_path / "a.tar", []))):
        with pytest.raises(UsageError, match="encoding"):
            source(path, encoding)


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:xz"])
def test_a_tar_without_members_has_no_pictures(tmp_path, mode):
    path = tmp_path / f"a.tar{mode[1:].replace(':', '.')}"
    tarfile.open(path, mode).close()
    with pytest.raises(DataError, match="no pictures"):
        open_images(path)
