"""Damaged zips and tars: opening one and reading every member works, or is a sentence of ours; nothing else.

What is read of an archive is never more than it can hold, so memory is bounded, too.
"""

import io
import random
import tarfile
import zipfile

import pytest

from fuzz.mutate import mutated, rounds
from thalweg.data.archives import open_archive
from thalweg.errors import DataError, StorageError
from thalweg.i18n import shown


NAMES = ("train/cat/1.jpg", "./train/dog/2.jpg", "Käse/" + "n" * 120 + ".jpg", "米饭/1.jpg", "folder/", "notes.txt")


def zipped(method, *, large=False):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive:
        for number, name in enumerate(NAMES):
            with archive.open(name, "w", force_zip64=large) as member:
                member.write(b"" if name.endswith("/") else bytes([number]) * 60 + random.Random(number).randbytes(90))
        link = zipfile.ZipInfo("link.jpg")
        link.create_system, link.external_attr = 3, 0o120777 << 16
        archive.writestr(link, "train/cat/1.jpg")
    return file.getvalue()


def tarred(mode="w", form=tarfile.PAX_FORMAT):
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode=mode, format=form) as archive:
        for number, name in enumerate(NAMES):
            info = tarfile.TarInfo(name)
            info.size, info.mtime = 600, 0.5 * number
            archive.addfile(info, io.BytesIO(random.Random(number).randbytes(600)))
        for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.GNUTYPE_SPARSE, tarfile.DIRTYPE):
            info = tarfile.TarInfo(f"link{kind[0]}.jpg")
            info.type, info.linkname = kind, "train/cat/1.jpg"
            archive.addfile(info)
    return file.getvalue()


WHOLE = {
    "stored.zip": zipped(zipfile.ZIP_STORED),
    "deflated.zip": zipped(zipfile.ZIP_DEFLATED),
    "bzip2.zip": zipped(zipfile.ZIP_BZIP2),
    "lzma.zip": zipped(zipfile.ZIP_LZMA),
    "large.zip": zipped(zipfile.ZIP_STORED, large=True),
    "pax.tar": tarred(),
    "gnu.tar": tarred(form=tarfile.GNU_FORMAT),
    "a.tar.gz": tarred("w:gz"),
    "a.tar.bz2": tarred("w:bz2"),
    "a.tar.xz": tarred("w:xz"),
}


def with_right_checksums(content):
    """The headers of a tar with their checksums made right again, so that damage reaches what is behind the check."""
    found = bytearray(content)
    for place in range(0, len(found) - 511, 512):
        header = found[place : place + 512]
        if header[257:262] == b"ustar":
            found[place + 148 : place + 156] = b"%06o\0 " % (256 + sum(header[:148]) + sum(header[156:]))
    return bytes(found)


@pytest.mark.parametrize("seeds", rounds(quick=12, full=1500))
@pytest.mark.parametrize("name", WHOLE)
def test_a_damaged_archive_is_read_or_refused(name, seeds, tmp_path, monkeypatch):
    monkeypatch.setenv("THALWEG_CACHE", str(tmp_path / "cache"))
    path = tmp_path / name
    for seed in seeds:
        content = mutated(WHOLE[name], seed)
        path.write_bytes(with_right_checksums(content) if name.endswith("r") and seed % 2 else content)
        try:
            source = open_archive(path)
        except (DataError, StorageError) as refusal:
            sentence = str(refusal)
        else:
            sentence = " ".join([name, *map(str, source.notes), *map(str, read_all(source, len(WHOLE[name])))])
        assert name in sentence, seed


def read_all(source, size):
    """Read every member; yields the sentences of those that cannot be read."""
    for member in source.names():
        source.stamp(member)
        try:
            assert len(source.read(member)) <= 1033 * size
        except DataError as fault:
            sentence = str(fault)
            yield sentence.removeprefix(f"{shown(member)}: ")
