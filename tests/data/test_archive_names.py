"""Names in archives: their encodings, their accents, links, names that occur twice, and dots."""

import io
import stat
import tarfile
import warnings
import zipfile
from unicodedata import normalize

import pytest

from thalweg.data import open_images
from thalweg.data.archives import TarSource, ZipSource
from thalweg.data.member_names import read_names
from thalweg.errors import BadImageError


def zip_of(path, names, *, flag=False):
    """A zip of empty files with these names as bytes, with or without the flag of UTF-8."""
    stand_ins = [f"<{n}>".ljust(len(name), "x") for n, name in enumerate(names)]
    with zipfile.ZipFile(path, "w") as archive:
        for stand_in in stand_ins:
            archive.writestr(stand_in, b"")
    content = bytearray(path.read_bytes())
    for name, stand_in in zip(names, stand_ins, strict=True):
        for signature, flags, at in ((b"PK\x03\x04", 6, 30), (b"PK\x01\x02", 8, 46)):
            place = content.index(stand_in.encode())
            assert content[place - at :].startswith(signature)
            content[place : place + len(name)] = name
            content[place - at + flags + 1] |= 0x08 * flag
    path.write_bytes(content)
    return path


# What the zip tools of these countries' Windows write without a flag, and some write in its other code page.
WORDS = {
    ("cp437", "cp850", "cp1252"): "Käse Brötchen Müsli Weißbrot Gemüse Äpfel Nüsse",
    ("cp850", "cp1252", "cp437"): "entrée crème pâté gâteau forêt éléphant",
    ("cp850", "cp1252"): "pão feijão limão maçã coração avião",
    ("cp852", "cp1250"): "żółw łoś wąż gęś ślimak źrebię jabłko",
    ("cp866", "cp1251"): "кот собака птица лошадь яблоко",
    ("gb18030",): "米饭 面条 面包 水果 蔬菜 鸡蛋 海鲜",
    ("cp950",): "米飯 麵條 麵包 水果 蔬菜 雞蛋 海鮮",
    ("cp932",): "りんご みかん パン ラーメン 寿司 電車",
    ("cp949",): "고양이 강아지 사과 바나나 김치 자동차",
    ("cp857", "cp1254"): "kuş köpek balık şeker çiçek ağaç yılan",
    ("cp737", "cp1253"): "γάτα σκύλος πουλί ψάρι μήλο",
    ("utf-8",): "Käse 米饭 γάτα кот 寿司",
}


@pytest.mark.parametrize(("codec", "words"), [(codec, words) for codecs, words in WORDS.items() for codec in codecs])
def test_an_encoding_that_nothing_states_is_found_by_all_names_together(codec, words, tmp_path):
    names = [f"train/{word}/{n}.jpg" for word in words.split() for n in range(2)]
    for source, path in (
        (ZipSource, zip_of(tmp_path / "a.zip", [name.encode(codec) for name in names])),
        (ZipSource, zip_of(tmp_path / "b.zip", [name.encode(codec) for name in names], flag=True)),
        (TarSource, tmp_path / "a.tar"),
    ):
        if source is TarSource:
            with tarfile.open(path, "w", format=tarfile.GNU_FORMAT, encoding=codec) as archive:
                for name in names:
                    archive.addfile(tarfile.TarInfo(name), io.BytesIO())
        found = source(path)
        assert set(found.names()) == set(names)
        assert any("no encoding" in str(note) and "--encoding" in str(note) for note in found.notes) == (
            codec != "utf-8"
        )


def test_the_encoding_that_is_given_is_taken_where_nothing_is_stated(tmp_path):
    path = zip_of(tmp_path / "a.zip", ["Kõse/1.jpg".encode("cp850")])
    assert ZipSource(path).names() == ("Käse/1.jpg",)  # one name looks more like German
    given = ZipSource(path, "cp850")
    assert given.names() == ("Kõse/1.jpg",)
    assert not given.notes
    assert ZipSource(zip_of(path, ["Käse/1.jpg".encode()], flag=True), "cp437").names() == ("Käse/1.jpg",)


def test_names_that_an_encoding_cannot_read_stay_different(tmp_path):
    path = zip_of(tmp_path / "a.zip", [b"a\xff.jpg", b"a\xfe.jpg"])
    assert ZipSource(path, "utf-8").names() == ("a%FE.jpg", "a%FF.jpg")


def test_a_name_is_stored_a_second_time_in_utf_8(tmp_path):
    import zlib

    raw = "Käse.jpg".encode("cp437")
    field = b"\1" + zlib.crc32(raw).to_bytes(4, "little") + "Käse.jpg".encode()
    info = zipfile.ZipInfo("x" * len(raw))
    info.extra = (0x7075).to_bytes(2, "little") + len(field).to_bytes(2, "little") + field
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr(info, b"")
    (tmp_path / "a.zip").write_bytes((tmp_path / "a.zip").read_bytes().replace(b"x" * len(raw), raw))
    assert ZipSource(tmp_path / "a.zip").names() == ("Käse.jpg",)


def test_the_doubtful_names_are_not_read_one_by_one():
    found = read_names(["猫".encode("gbk"), "狗和鸟".encode("gbk")], [False, False], None)
    assert (found.texts, found.encoding) == (["猫", "狗和鸟"], "gb18030")  # the bytes of the first are “è” in UTF-8


def pack(path, files):
    """An archive of name and content; a name may occur twice, a content may be (kind, target)."""
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w") as archive, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # duplicate names are the point
            for name, content in files:
                info = zipfile.ZipInfo(name)
                if isinstance(content, tuple):
                    info.create_system, info.external_attr = 3, (stat.S_IFLNK | 0o777) << 16
                archive.writestr(info, content[1] if isinstance(content, tuple) else content)
    else:
        with tarfile.open(path, "w") as archive:
            for name, content in files:
                info = tarfile.TarInfo(name)
                if isinstance(content, tuple):
                    info.type, info.linkname = content
                    archive.addfile(info)
                else:
                    info.size = len(content)
                    archive.addfile(info, io.BytesIO(content))
    return (ZipSource if path.suffix == ".zip" else TarSource)(path)


@pytest.mark.parametrize("ending", [".zip", ".tar"])
def test_dots_and_empty_parts_of_names(ending, tmp_path, picture):
    names = [f"./{split}/./{label}//{n}.jpg" for split in ("train", "valid") for label in "ab" for n in range(2)]
    pack(tmp_path / f"a{ending}", [(name, picture()) for name in names])
    images = open_images(tmp_path / f"a{ending}")
    assert images.classes == ("a", "b")
    assert len(images.photos) == 8


@pytest.mark.parametrize("ending", [".zip", ".tar"])
def test_accents_in_two_parts_are_one_letter(ending, tmp_path):
    apart = normalize("NFD", "Café/é.jpg")
    source = pack(tmp_path / f"a{ending}", [(apart, b"x")])
    assert source.names() == ("Café/é.jpg",)
    assert source.read("Café/é.jpg") == source.read(apart) == b"x"
    assert source.stamp("Café/é.jpg") == source.stamp(apart)


def test_a_table_finds_photos_whose_names_spell_their_accents_in_two_parts(tmp_path, picture):
    files = [(normalize("NFD", f"Café/é{n}.jpg"), picture(n)) for n in range(4)]
    table = "path,label\n" + "".join(f"Café/é{n}.jpg,{n % 2}\n" for n in range(4))
    pack(tmp_path / "a.zip", [*files, ("labels.csv", table.encode())])
    images = open_images(tmp_path / "a.zip")
    assert images.read(images.photos[0]) in [content for _, content in files]


@pytest.mark.parametrize("ending", [".zip", ".tar"])
def test_of_two_members_with_one_name_the_last_counts_and_a_note_says_so(ending, tmp_path):
    source = pack(tmp_path / f"a{ending}", [("a/1.jpg", b"old"), ("a/2.jpg", b"x"), ("./a/1.jpg", b"new")])
    assert source.read("a/1.jpg") == b"new"
    assert [str(note) for note in source.notes if "more than once" in str(note) and "a/1.jpg" in str(note)]


def test_the_same_member_twice_loses_nothing(tmp_path):
    assert not pack(tmp_path / "a.zip", [("1.jpg", b"x"), ("1.jpg", b"x")]).notes


SYMBOLIC, HARD = tarfile.SYMTYPE, tarfile.LNKTYPE


def test_links_in_a_tar_lead_to_members_before_and_behind_them(tmp_path):
    files = [
        ("links/ahead.jpg", (SYMBOLIC, "../all/1.jpg")),
        ("links/hard-ahead.jpg", (HARD, "./all/1.jpg")),
        ("all/1.jpg", b"one"),
        ("links/back.jpg", (SYMBOLIC, "../all/1.jpg")),
        ("links/hard-back.jpg", (HARD, "all/1.jpg")),
        ("links/chain.jpg", (SYMBOLIC, "back.jpg")),
        ("links/through.jpg", (SYMBOLIC, "../folder/1.jpg")),
        ("folder", (SYMBOLIC, "all")),
    ]
    source = pack(tmp_path / "a.tar", files)
    assert {source.read(name) for name in source.names()} == {b"one"}
    assert len(source.names()) == 7
    assert [note.key for note in source.notes] == ["data.note_links_to_folders"]
    with pytest.raises(BadImageError):
        source.read("folder")


def test_a_hard_link_keeps_what_its_name_held_when_it_was_made(tmp_path):
    source = pack(tmp_path / "a.tar", [("1.jpg", b"old"), ("2.jpg", (HARD, "1.jpg")), ("1.jpg", b"new")])
    assert (source.read("1.jpg"), source.read("2.jpg")) == (b"new", b"old")


@pytest.mark.parametrize("ending", [".zip", ".tar"])
def test_links_that_lead_nowhere_are_counted(ending, tmp_path):
    astray = {
        "round-1.jpg": "round-2.jpg",
        "round-2.jpg": "round-1.jpg",
        "itself.jpg": "itself.jpg",
        "gone.jpg": "none.jpg",
        "out.jpg": "../../1.jpg",
        "root.jpg": "/1.jpg",
    }
    links = [(name, (SYMBOLIC, target)) for name, target in astray.items()]
    source = pack(tmp_path / f"a{ending}", [("1.jpg", b"x"), *links, ("good.jpg", (SYMBOLIC, "1.jpg"))])
    assert source.names() == ("1.jpg", "good.jpg")
    assert source.read("good.jpg") == b"x"
    (note,) = source.notes
    assert "6 links" in str(note)


def test_members_in_pieces_are_counted(tmp_path):
    info = tarfile.TarInfo("hole.bmp")
    info.type = tarfile.GNUTYPE_SPARSE
    with tarfile.open(tmp_path / "a.tar", "w") as archive:
        archive.addfile(info)
        archive.addfile(tarfile.TarInfo("1.jpg"))
    source = TarSource(tmp_path / "a.tar")
    assert source.names() == ("1.jpg",)
    assert "hole.bmp" in str(source.notes[0])
