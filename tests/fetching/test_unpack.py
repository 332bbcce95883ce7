"""Archives: whole ones come out as they went in, and nothing else comes out at all."""

from __future__ import annotations

import copy
import errno
import filecmp
import gzip
import io
import os
import re
import shutil
import stat
import tarfile
import zipfile
from collections import namedtuple

import pytest

from geomoe.datasets.samples import domainbed, iwildcam
from geomoe.errors import DataError, OutputError
from geomoe.fetching import unpack as module
from geomoe.fetching.unpack import unpack, unpacked

KINDS = ("tar", "gztar", "bztar", "xztar", "zip")
USAGE = namedtuple("usage", "total used free")


@pytest.fixture(scope="module")
def sample(tmp_path_factory):
    root = tmp_path_factory.mktemp("sample")
    domainbed.write(root, name="pacs")
    for style in ("art_painting", "photo", "sketch"):  # a quarter of it says as much
        shutil.rmtree(root / "PACS" / style)
    return root


def pack(root, kind, path):
    return shutil.make_archive(str(path / "archive"), kind, root)


def come_out(archive, folder, tell=lambda done, total: None):
    unpack(type(folder)(archive), folder, tell)
    return folder


def same(one, other):
    """Whether two folders hold the same files with the same bytes."""
    files = [sorted(p.relative_to(root).as_posix() for p in root.rglob("*")) for root in (one, other)]
    inside = [name for name in files[0] if (one / name).is_file()]
    return files[0] == files[1] and filecmp.cmpfiles(one, other, inside, shallow=False)[0] == inside


@pytest.mark.parametrize("kind", KINDS)
def test_what_went_in_comes_out(sample, tmp_path, kind):
    told = []
    archive = pack(sample, kind, tmp_path)
    folder = come_out(archive, tmp_path / "out", lambda done, total: told.append((done, total)))
    assert same(sample, folder)
    assert len(list(folder.rglob("*.*"))) > 20
    assert told == sorted(told)
    assert all(0 <= done <= total for done, total in told)


def test_the_name_of_an_archive_does_not_matter(sample, tmp_path):
    """A tar whose last member is a zip is a tar, and a zip is one whatever it is called."""
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "note").write_text("x")
    inner = shutil.make_archive(str(tmp_path / "inner"), "zip", tmp_path / "in")
    outer = tmp_path / "download"
    with tarfile.open(outer, "w") as tar:
        tar.add(inner, "inner.zip")
    assert [path.name for path in come_out(outer, tmp_path / "out").iterdir()] == ["inner.zip"]
    shutil.copy(inner, tmp_path / "file.tar.gz")
    assert [path.name for path in come_out(tmp_path / "file.tar.gz", tmp_path / "out2").iterdir()] == ["note"]


@pytest.mark.parametrize("kind", KINDS)
def test_a_truncated_archive_is_refused_wherever_it_was_cut(sample, tmp_path, kind):
    whole = tmp_path.joinpath(pack(sample, kind, tmp_path)).read_bytes()
    # A plain tar is padded to 10,240 bytes: cut in its padding it lacks nothing.
    end = len(whole) - (tarfile.RECORDSIZE if kind == "tar" else 0)
    cuts = {0, 1, 3, 100, 511, 512, 513, end // 3, end // 2, end - 513, end - 1}
    for cut in sorted(cuts):
        half = tmp_path / "half"
        half.write_bytes(whole[:cut])
        with pytest.raises(DataError, match="half: cannot be unpacked: truncated, damaged or no archive"):
            come_out(half, tmp_path / "out")
        assert not (tmp_path / "out").exists()


def test_a_tar_that_was_cut_between_two_members_is_refused(sample, tmp_path):
    """tarfile reads such an archive to the end without a word."""
    archive = pack(sample, "tar", tmp_path)
    with tarfile.open(archive) as tar:
        starts = [member.offset for member in tar.getmembers()][1:]
    whole = tmp_path.joinpath(archive).read_bytes()
    for packed in (lambda data: data, gzip.compress):
        for start in (starts[0], starts[len(starts) // 2], starts[-1]):
            half = tmp_path / "half"
            half.write_bytes(packed(whole[:start]))
            with tarfile.open(half) as tar:
                assert 0 < len(tar.getmembers()) < len(starts) + 1
            with pytest.raises(DataError, match="half: cannot be unpacked: truncated"):
                come_out(half, tmp_path / "out")
            assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("kind", KINDS)
def test_a_damaged_archive_is_refused(sample, tmp_path, kind):
    path = tmp_path.joinpath(pack(sample, kind, tmp_path))
    data = bytearray(path.read_bytes())
    if kind == "tar":  # a tar has a check sum of its headers alone
        with tarfile.open(path) as tar:
            where = tar.getmembers()[5].offset
    else:
        where = len(data) // 2
    for k in range(where, where + 40):
        data[k] ^= 0xFF
    path.write_bytes(data)
    with pytest.raises(DataError, match="cannot be unpacked"):
        come_out(path, tmp_path / "out")
    assert not (tmp_path / "out").exists()


NO_ARCHIVES = (b"", b"<html>not found</html>", gzip.compress(b"one file", mtime=0), b"PK\3\4")


@pytest.mark.parametrize("content", NO_ARCHIVES)
def test_what_is_no_archive_is_refused(tmp_path, content):
    (tmp_path / "x").write_bytes(content)
    with pytest.raises(DataError, match=r"x: cannot be unpacked: truncated, damaged or no archive \(.+\)"):
        come_out(tmp_path / "x", tmp_path / "out")


def member(name, **facts):
    made = tarfile.TarInfo(name)
    for key, value in facts.items():
        setattr(made, key, value)
    return made


ESCAPES = {
    "up": member("../evil"),
    "up later": member("a/../../evil"),
    "absolute": member("ABSOLUTE"),
    "drive": member("C:/evil"),
    "backslash": member("..\\evil"),
    "symlink": member("evil", type=tarfile.SYMTYPE, linkname="/etc/passwd"),
    "symlink inside": member("evil", type=tarfile.SYMTYPE, linkname="good"),
    "hard link": member("evil", type=tarfile.LNKTYPE, linkname="../secret"),
    "hard link to nothing": member("evil", type=tarfile.LNKTYPE, linkname="nowhere"),
    "fifo": member("evil", type=tarfile.FIFOTYPE),
    "device": member("evil", type=tarfile.CHRTYPE),
}


@pytest.mark.parametrize("what", ESCAPES)
def test_a_tar_with_a_member_that_leads_elsewhere_is_refused_whole(tmp_path, what):
    (tmp_path / "secret").write_text("secret")
    with tarfile.open(tmp_path / "x.tar", "w") as tar:
        tar.addfile(member("good", size=4), io.BytesIO(b"good"))
        evil = copy.copy(ESCAPES[what])
        evil.name = evil.name.replace("ABSOLUTE", f"{tmp_path}/evil")
        tar.addfile(evil)
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(DataError):
        come_out(tmp_path / "x.tar", tmp_path / "deep" / "out")
    shutil.rmtree(tmp_path / "deep", ignore_errors=True)
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("name", ["../evil", "a/../../evil", "ABSOLUTE", "C:/evil", "..\\evil", "link"])
def test_a_zip_with_a_member_that_leads_elsewhere_is_refused_whole(tmp_path, name):
    name = name.replace("ABSOLUTE", f"{tmp_path}/evil")
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as zipped:
        zipped.writestr("good", "good")
        info = zipfile.ZipInfo(name)
        if name == "link":
            info.external_attr = (stat.S_IFLNK | 0o777) << 16
        zipped.writestr(info, "/etc/passwd")
    with pytest.raises(
        DataError, match=f"refused: its member {re.escape(repr(name))} .*nothing of it is kept"
    ):
        come_out(tmp_path / "x.zip", tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["x.zip"]


IMPOSSIBLE = {
    "twice": (["a.png", "a.png"], "is in it twice"),
    "a file as a folder": (["a", "a/b"], "no file can have"),
    "a folder as a file": (["a/b", "a"], "no file can have"),
    "the folder itself": (["good", "."], "no file can have"),
    "too long": (["n" * 300], "no file can have"),
    "too deep": (["a/" * 1500 + "b"], "lies more than 100 folders deep"),
}


@pytest.mark.parametrize("what", IMPOSSIBLE)
@pytest.mark.parametrize("kind", ["zip", "tar.gz"])
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_names_that_no_folder_holds_are_refused_as_such(tmp_path, what, kind):
    names, why = IMPOSSIBLE[what]
    archive, contents = tmp_path / f"x.{kind}", [f"content {k}".encode() for k in range(len(names))]
    if kind == "zip":
        with zipfile.ZipFile(archive, "w") as zipped:
            for name, content in zip(names, contents, strict=True):
                zipped.writestr(name, content)
    else:
        with tarfile.open(archive, "w:gz") as tar:
            for name, content in zip(names, contents, strict=True):
                tar.addfile(member(name, size=len(content)), io.BytesIO(content))
    with pytest.raises(DataError, match=f"{kind}: refused: .*{why}.*nothing of it is kept"):
        come_out(archive, tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == [archive.name]


@pytest.mark.parametrize("other", ["a/./b", "./a/b", "a//b"])
def test_two_spellings_of_one_place_are_that_place_twice(tmp_path, other):
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as zipped:
        zipped.writestr("a/b", b"one")
        zipped.writestr(other, b"two")
    with pytest.raises(DataError, match="is in it twice; nothing of it is kept"):
        come_out(tmp_path / "x.zip", tmp_path / "out")


def test_a_member_without_a_name_is_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as zipped:
        zipped.writestr("name", b"content")
    content = (tmp_path / "x.zip").read_bytes().replace(b"name", b"\0ame")
    (tmp_path / "x.zip").write_bytes(content)
    with pytest.raises(DataError, match="has a name that no file can have"):
        come_out(tmp_path / "x.zip", tmp_path / "out")


@pytest.mark.parametrize("kind", ["zip", "tar.gz"])
def test_an_entry_for_the_folder_itself_is_nothing(tmp_path, kind):
    archive = tmp_path / f"x.{kind}"
    if kind == "zip":
        with zipfile.ZipFile(archive, "w") as zipped:
            zipped.writestr("./", b"")
            zipped.writestr("./a", b"content")
    else:
        with tarfile.open(archive, "w:gz") as tar:
            tar.addfile(member(".", type=tarfile.DIRTYPE, mode=0o755))
            tar.addfile(member("./a", size=7), io.BytesIO(b"content"))
    come_out(archive, tmp_path / "out")
    assert [(path.name, path.read_bytes()) for path in (tmp_path / "out").iterdir()] == [("a", b"content")]


def test_an_archive_in_an_archive_and_names_that_differ_in_case_are_files(tmp_path):
    inner = io.BytesIO()
    with zipfile.ZipFile(inner, "w") as zipped:
        zipped.writestr("../evil", "x")
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as zipped:
        zipped.writestr("a/inner.zip", inner.getvalue())
        zipped.writestr("B.png", "large")
        zipped.writestr("b.png", "small")
        program = zipfile.ZipInfo("program")
        program.external_attr = (stat.S_IFREG | 0o4777) << 16  # runs as its owner
        zipped.writestr(program, "x")
    out = come_out(tmp_path / "x.zip", tmp_path / "out")
    assert (out / "a" / "inner.zip").read_bytes() == inner.getvalue()
    assert [(out / name).read_text() for name in ("B.png", "b.png")] == ["large", "small"]
    assert not (out / "program").stat().st_mode & 0o7111


@pytest.mark.parametrize("kind", [tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.GNUTYPE_LONGNAME])
def test_a_header_that_would_fill_the_memory_is_refused(tmp_path, kind):
    size = module.MOST_HEADER + 1
    with gzip.open(tmp_path / "x.tgz", "wb", 1) as file:
        file.write(member("x", type=kind, size=size).tobuf() + bytes(2 * size))
    with pytest.raises(DataError, match=f"refused: a header of {size:,} bytes"):
        come_out(tmp_path / "x.tgz", tmp_path / "out")


def test_hard_links_inside_the_folder_are_files(tmp_path):
    with tarfile.open(tmp_path / "x.tar", "w") as tar:
        tar.addfile(member("a/one", size=4), io.BytesIO(b"good"))
        tar.addfile(member("b", type=tarfile.LNKTYPE, linkname="a/one"))
    assert (come_out(tmp_path / "x.tar", tmp_path / "out") / "b").read_bytes() == b"good"


def test_a_zip_with_a_password_is_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as zipped:
        zipped.writestr("a", "text")
    data = bytearray((tmp_path / "x.zip").read_bytes())
    for magic, flags in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
        data[data.index(magic) + flags] |= 1  # "is encrypted"
    (tmp_path / "x.zip").write_bytes(data)
    with pytest.raises(DataError, match=r"cannot be unpacked.*password"):
        come_out(tmp_path / "x.zip", tmp_path / "out")


@pytest.mark.parametrize("kind", ["gztar", "zip"])
def test_a_bomb_is_refused_before_it_fills_the_disk(tmp_path, monkeypatch, kind):
    monkeypatch.setattr(module, "SLACK", 1 << 20)
    (tmp_path / "in").mkdir()
    for number in range(8):
        (tmp_path / "in" / str(number)).write_bytes(bytes(1 << 20))
    archive = pack(tmp_path / "in", kind, tmp_path)
    with pytest.raises(DataError, match=r"makes it [\d,]+ bytes, over 100 times the archive's"):
        come_out(archive, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("kind", KINDS)
def test_what_does_not_fit_on_the_disk_is_not_begun_or_not_kept(sample, tmp_path, monkeypatch, kind):
    archive = pack(sample, kind, tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: USAGE(0, 0, module.SPARE + 10))
    with pytest.raises(OutputError, match=r"out: no room for .* bytes, [\d,]+ are free\); make room"):
        come_out(archive, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_disk_that_fills_up_meanwhile_leaves_nothing(sample, tmp_path, monkeypatch):
    archive, extract, done = pack(sample, "tar", tmp_path), tarfile.TarFile.extract, []

    def full(self, *args, **options):
        done.append(1)
        if len(done) > 10:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        extract(self, *args, **options)

    monkeypatch.setattr(tarfile.TarFile, "extract", full)
    with pytest.raises(OutputError, match="out: cannot be written: No space left on device; make room"):
        come_out(archive, tmp_path / "out")
    assert len(done) == 11
    assert not (tmp_path / "out").exists()


def test_ctrl_c_leaves_nothing(sample, tmp_path):
    def stop(done, total):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        come_out(pack(sample, "zip", tmp_path), tmp_path / "out", stop)
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_the_hidden_folder_of_a_killed_process_is_made_anew(tmp_path):
    iwildcam.write(tmp_path / "in")
    archive = tmp_path / pack(tmp_path / "in", "gztar", tmp_path)
    (tmp_path / "root" / ".x-unpacking").mkdir(parents=True)
    (tmp_path / "root" / ".x-unpacking" / "half").touch()
    with unpacked(archive, tmp_path / "root", "x", lambda done, total: None) as hidden:
        assert hidden == tmp_path / "root" / ".x-unpacking"
        assert same(tmp_path / "in", hidden)
    assert list((tmp_path / "root").iterdir()) == []


def test_an_old_python_is_told_before_anything_is_done(monkeypatch, tmp_path):
    monkeypatch.delattr(tarfile, "data_filter")
    with pytest.raises(DataError, match=r"from Python 3\.11\.4 on"):
        come_out(tmp_path / "x", tmp_path / "out")


def test_two_members_that_are_one_file_on_this_file_system_are_refused(tmp_path, monkeypatch):
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as zipped:
        zipped.writestr("name", b"one")
        zipped.writestr("NAME", b"two")
    kept = zipfile.ZipFile._extract_member

    def folded(self, member, targetpath, pwd):  # what a file system that ignores case does
        member = copy.copy(member)
        member.filename = member.filename.lower()
        return kept(self, member, targetpath, pwd)

    monkeypatch.setattr(zipfile.ZipFile, "_extract_member", folded)
    monkeypatch.setattr(module.Path, "is_file", lambda path: os.path.isfile(str(path).lower()))
    with pytest.raises(DataError, match="'NAME' is in it twice, on this file system; nothing of it is kept"):
        come_out(tmp_path / "x.zip", tmp_path / "out")
