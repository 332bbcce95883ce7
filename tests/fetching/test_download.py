"""Fetching whole data sets: what is missing, from where; readers that fetch; and what is never touched."""

from __future__ import annotations

import gzip
import hashlib
import inspect
import logging
import shutil
from collections import namedtuple

import pytest

from geomoe.catalogue import CATALOGUE
from geomoe.datasets import PACS, DomainNet, FMoW, FMoWLAO, IWildCam, OfficeHome, TerraIncognita
from geomoe.datasets.iwildcam.reader import IWildCamDataModule
from geomoe.datasets.rcmnist.reader import RCMNIST, RCMNISTDataModule
from geomoe.datasets.samples import domainbed, fmow, iwildcam, mnist
from geomoe.errors import ConfigError, DataError, DatasetNotFoundError, DownloadError, OutputError
from geomoe.fetching.digests import Digest
from geomoe.fetching.download import FETCHED, carry_out, check_hashes
from geomoe.fetching.facts import read_facts
from geomoe.fetching.plan import MISSING, THERE, UNCHECKED, local, make_plan

USAGE = namedtuple("usage", "total used free")
DOMAINBED = {"pacs": PACS, "officehome": OfficeHome, "terraincognita": TerraIncognita, "domainnet": DomainNet}


@pytest.fixture(autouse=True)
def _online(monkeypatch):
    monkeypatch.delenv("HF_HUB_OFFLINE")
    monkeypatch.delenv("GEOMOE_OFFLINE", raising=False)


def files(root):
    return {
        path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()
    }


def sha256(data):
    return Digest("sha256", hashlib.sha256(data).hexdigest())


@pytest.fixture
def offer(monkeypatch):
    """Let the facts on a data set name other files, as if these had been published."""

    def put(name, *published, **facts):
        real = read_facts(name)
        offered = tuple(
            file._replace(
                url=url,
                hub="",
                sha256="",
                md5=hashlib.md5(body).hexdigest(),
                size=len(body) if size else None,
            )
            for file, url, body, size in published
        )
        found = real._replace(files=offered, **facts)
        for place in ("download", "plan"):
            asked = f"geomoe.fetching.{place}.read_facts"
            monkeypatch.setattr(asked, lambda one: found if one == name else read_facts(one))

    return put


@pytest.fixture
def digits(server, offer, tmp_path):
    """A small MNIST on a server, all four files gzipped, as the real ones; the folder that they came from."""
    mnist.write(tmp_path / "published")
    raw = tmp_path / "published" / "MNIST" / "raw"
    for path in list(raw.iterdir()):
        if path.suffix != ".gz":
            path.with_name(f"{path.name}.gz").write_bytes(gzip.compress(path.read_bytes()))
            path.unlink()
    published = []
    for file in read_facts("rcmnist").files:
        body = (raw / file.name).read_bytes()
        published.append((file, server.serve(f"/mnist/{file.name}", body), body, True))
    offer("rcmnist", *published)
    return tmp_path / "published"


@pytest.fixture
def cameras(server, offer, tmp_path):
    """A small iWildCam on a server: archive, and places apart; the folder that they came from."""
    root = tmp_path / "published"
    iwildcam.write(root)
    gps = root / "iwildcam_v2.0" / "gps_locations.json"
    places = gps.read_bytes()
    gps.unlink()
    archive = tmp_path.joinpath(shutil.make_archive(str(tmp_path / "archive"), "gztar", root)).read_bytes()
    first, second = read_facts("iwildcam").files
    offer(
        "iwildcam",
        (first, server.serve("/archive.tar.gz", archive), archive, True),
        (second, server.serve("/gps_locations.json", places), places, True),
        md5s={
            "metadata.csv": hashlib.md5((root / "iwildcam_v2.0" / "metadata.csv").read_bytes()).hexdigest()
        },
    )
    gps.write_bytes(places)
    return root


# what is fetched, and what is not -----------------------------------------------------------------


def test_mnist_is_fetched_as_it_is_and_read(server, digits, tmp_path):
    root = tmp_path / "new" / "root"
    plan = make_plan("rcmnist", root)
    assert {item.state for item in plan.items} == {MISSING}
    assert plan.to_come == plan.needed == sum(len(body) for body in server.files.values())
    assert not root.exists()
    assert {item.state for item in carry_out(plan)} == {FETCHED}
    assert files(root) == files(digits)
    assert len(RCMNIST(root, num_environments=20)) == len(RCMNIST(digits, num_environments=20)) > 0


def test_what_is_there_is_compared_and_not_fetched_again(server, digits, tmp_path):
    root = tmp_path / "root"
    carry_out(make_plan("rcmnist", root))
    (root / "MNIST" / "raw" / "t10k-labels-idx1-ubyte.gz").unlink()
    server.requests.clear()
    plan = make_plan("rcmnist", root)
    assert [item.state for item in plan.items] == [THERE, THERE, THERE, MISSING]
    carry_out(plan)
    assert [one.path for one in server.requests] == ["/mnist/t10k-labels-idx1-ubyte.gz"]
    assert make_plan("rcmnist", root).missing == ()


def test_files_that_torchvision_has_unpacked_are_left_as_they_are(server, digits, tmp_path):
    raw = tmp_path / "root" / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for name in mnist.PLAIN:
        packed = (digits / "MNIST" / "raw" / f"{name}.gz").read_bytes()
        (raw / name).write_bytes(gzip.decompress(packed))
    before = files(tmp_path / "root")
    plan = make_plan("rcmnist", tmp_path / "root")
    assert sorted(item.state for item in plan.items) == [MISSING, MISSING, UNCHECKED, UNCHECKED]
    carry_out(plan)
    assert before.items() < files(tmp_path / "root").items()
    assert len(RCMNIST(tmp_path / "root", num_environments=20)) > 0


def test_the_root_may_be_the_folder_itself(server, digits, tmp_path):
    root = tmp_path / "digits"
    shutil.copytree(digits / "MNIST" / "raw", root)
    (root / "train-images-idx3-ubyte.gz").unlink()
    carry_out(make_plan("rcmnist", root))
    assert files(root) == files(digits / "MNIST" / "raw")


def test_a_file_of_that_name_that_is_another_one_is_neither_used_nor_replaced(server, digits, tmp_path):
    raw = tmp_path / "root" / "MNIST" / "raw"
    raw.mkdir(parents=True)
    (raw / "train-labels-idx1-ubyte.gz").write_bytes(b"mine")
    with pytest.raises(
        OutputError, match=r"train-labels-idx1-ubyte.gz: is there, and its md5 is .*not the publ"
    ):
        make_plan("rcmnist", tmp_path / "root")
    assert server.requests == []
    assert files(raw) == {"train-labels-idx1-ubyte.gz": b"mine"}


@pytest.mark.slow
def test_an_archive_becomes_the_folder_and_is_gone(server, cameras, tmp_path):
    root = tmp_path / "root"
    root.mkdir()
    (root / "mine.txt").write_text("mine")
    (root / "iwildcam_v2.0").mkdir()  # what wilds' own failing download leaves
    plan = make_plan("iwildcam", root)
    archive, places = (len(server.files[path]) for path in ("/archive.tar.gz", "/gps_locations.json"))
    assert (plan.to_come, plan.needed) == (archive + places, 2 * archive + places)
    told = []
    carry_out(plan, lambda what, done, total: told.append(what))
    assert files(root) == {"mine.txt": b"mine", **files(cameras)}
    names = ["iwildcam_v2.0.tar.gz", "unpacking iwildcam_v2.0.tar.gz", "gps_locations.json"]
    assert list(dict.fromkeys(told)) == names
    again = make_plan("iwildcam", root)
    assert [item.state for item in again.items] == [THERE, THERE]


@pytest.mark.slow
def test_places_are_added_to_a_copy_that_has_none(server, cameras, tmp_path):
    root = tmp_path / "root"
    shutil.copytree(cameras, root)
    (root / "iwildcam_v2.0" / "gps_locations.json").unlink()
    carry_out(make_plan("iwildcam", root))
    assert files(root) == files(cameras)
    assert [one.path for one in server.requests] == ["/gps_locations.json"]


@pytest.mark.slow
def test_places_above_the_folder_are_found(server, cameras, tmp_path):
    root = tmp_path / "root"
    shutil.copytree(cameras, root)
    (root / "iwildcam_v2.0" / "gps_locations.json").rename(root / "gps_locations.json")
    assert make_plan("iwildcam", root).missing == ()


@pytest.mark.parametrize("as_root", [False, True])
def test_half_a_copy_is_not_completed_over_its_files(server, cameras, tmp_path, as_root):
    root = tmp_path / "root"
    shutil.copytree(cameras, root)
    shutil.rmtree(root / "iwildcam_v2.0" / "train")
    before = files(root)
    with pytest.raises(
        OutputError, match=r"iwildcam_v2.0: is there and lacks train; nothing is written over"
    ):
        make_plan("iwildcam", root / "iwildcam_v2.0" if as_root else root)
    assert files(root) == before
    assert server.requests == []


@pytest.mark.slow
def test_another_version_of_the_data_is_refused(server, cameras, tmp_path):
    root = tmp_path / "root"
    iwildcam.write(root, seed=5)
    before = files(root)
    with pytest.raises(OutputError, match=r"metadata.csv: is there, and its md5 is .*not the published file"):
        make_plan("iwildcam", root)
    assert files(root) == before


@pytest.mark.slow
def test_an_archive_that_somebody_has_fetched_is_used_and_left(server, cameras, tmp_path):
    root = tmp_path / "root"
    root.mkdir()
    own = root / "iwildcam_v2.0.tar.gz"
    own.write_bytes(server.files["/archive.tar.gz"])
    plan = make_plan("iwildcam", root)
    assert plan.to_come == len(server.files["/gps_locations.json"])
    carry_out(plan)
    assert [one.path for one in server.requests] == ["/gps_locations.json"]
    assert files(root) == {own.name: own.read_bytes(), **files(cameras)}
    shutil.rmtree(root / "iwildcam_v2.0")
    own.write_bytes(b"half of it")
    with pytest.raises(DownloadError, match=r"its md5 is .*, expected .*nothing was done with it"):
        carry_out(make_plan("iwildcam", root))
    assert files(root) == {own.name: b"half of it"}


@pytest.mark.slow
def test_unpacking_that_is_stopped_needs_no_second_download(server, cameras, tmp_path, monkeypatch):
    root = tmp_path / "root"

    def stop(what, done, total):
        if what.startswith("unpacking"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        carry_out(make_plan("iwildcam", root), stop)
    assert sorted(path.name for path in root.iterdir()) == [
        "iwildcam_v2.0.tar.gz.partial",
        "iwildcam_v2.0.tar.gz.partial.json",
    ]
    server.requests.clear()
    plan = make_plan("iwildcam", root)
    assert plan.to_come == len(server.files["/gps_locations.json"])
    carry_out(plan)
    assert [one.path for one in server.requests] == ["/gps_locations.json"]
    assert files(root) == files(cameras)


@pytest.mark.slow
@pytest.mark.parametrize("broken", ["truncated", "another data set"])
def test_an_archive_with_the_right_hash_that_will_not_do_is_kept_apart(
    server, cameras, tmp_path, offer, broken
):
    domainbed.write(tmp_path / "other", name="pacs")
    body = server.files["/archive.tar.gz"][:-500]
    if broken != "truncated":
        packed = shutil.make_archive(str(tmp_path / "other"), "zip", tmp_path / "other")
        body = tmp_path.joinpath(packed).read_bytes()
    offer("iwildcam", (read_facts("iwildcam").files[0], server.serve("/x.tar.gz", body), body, True))
    why = {
        "truncated": "cannot be unpacked: truncated",
        "another data set": "no folder in it has metadata.csv",
    }
    with pytest.raises(DataError, match=rf"{why[broken]}.*it is kept apart as .*\.rejected, delete it"):
        carry_out(make_plan("iwildcam", tmp_path / "root"))
    assert files(tmp_path / "root") == {"iwildcam_v2.0.tar.gz.rejected": body}


@pytest.mark.slow
def test_a_folder_that_appears_meanwhile_is_not_written_over(server, cameras, tmp_path):
    root = tmp_path / "root"

    def appear(what, done, total):
        if what.startswith("unpacking"):
            (root / "iwildcam_v2.0").mkdir(exist_ok=True)
            (root / "iwildcam_v2.0" / "mine").touch()

    with pytest.raises(OutputError, match=r"iwildcam_v2.0: cannot be made: .*; nothing is written over"):
        carry_out(make_plan("iwildcam", root), appear)
    assert [path.name for path in (root / "iwildcam_v2.0").iterdir()] == ["mine"]


@pytest.mark.parametrize("switch", ["GEOMOE_OFFLINE", "HF_HUB_OFFLINE"])
def test_a_switch_forbids_it(server, digits, tmp_path, monkeypatch, switch):
    monkeypatch.setenv(switch, "1")
    with pytest.raises(
        DownloadError, match=f"rcmnist: {switch} forbids downloads; unset it to fetch train-im"
    ):
        carry_out(make_plan("rcmnist", tmp_path / "root"))
    assert server.requests == []
    shutil.copytree(digits, tmp_path / "root")
    carry_out(make_plan("rcmnist", tmp_path / "root"))  # nothing is missing: nothing is forbidden


def test_a_disk_without_room_is_told_first(server, cameras, tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda path: USAGE(0, 0, 5000))
    with pytest.raises(OutputError, match=r"[\d,]+ bytes are needed for iwildcam, 5,000 are free; make room"):
        carry_out(make_plan("iwildcam", tmp_path / "root"))
    assert server.requests == []
    assert not (tmp_path / "root").exists()


# another source -----------------------------------------------------------------------------------


def test_a_mirror_is_a_folder_with_the_published_names(server, digits, tmp_path):
    for name in list(server.files):
        server.serve(name.replace("/mnist/", "/lab/copies/"), server.files.pop(name))
    carry_out(make_plan("rcmnist", tmp_path / "root", f"{server.url}/lab/copies/"))
    assert files(tmp_path / "root") == files(digits)
    assert {one.path.rpartition("/")[0] for one in server.requests} == {"/lab/copies"}


@pytest.mark.parametrize("form", ["path", "path/", "file://"])
def test_a_mirror_may_be_a_disk(server, digits, tmp_path, form):
    folder = digits / "MNIST" / "raw"
    url = {"path": str(folder), "path/": f"{folder}/", "file://": f"{folder.as_uri()}/"}[form]
    carry_out(make_plan("rcmnist", tmp_path / "root", url))
    assert files(tmp_path / "root") == files(digits)
    assert server.requests == []
    (folder / "t10k-labels-idx1-ubyte.gz").unlink()
    make_plan("rcmnist", tmp_path / "root", url)  # it is there already
    with pytest.raises(ConfigError, match=r"t10k-labels-idx1-ubyte.gz: there is no such file"):
        make_plan("rcmnist", tmp_path / "root2", url)
    (folder / "t10k-labels-idx1-ubyte.gz").touch()
    (folder / "train-images-idx3-ubyte.gz").write_bytes(b"damaged")
    with pytest.raises(DownloadError, match=r"its md5 is .*nothing was done with it"):
        carry_out(make_plan("rcmnist", tmp_path / "root2", url))
    assert not list((tmp_path / "root2").rglob("*images*"))


@pytest.mark.slow
def test_one_published_file_is_known_by_its_name(server, cameras, tmp_path):
    server.serve("/other/gps_locations.json", server.files["/gps_locations.json"])
    plan = make_plan("iwildcam", tmp_path / "root", f"{server.url}/other/gps_locations.json?raw=1")
    assert [item.place for item in plan.items] == [tmp_path / "root" / "gps_locations.json"]
    carry_out(plan)
    carry_out(make_plan("iwildcam", tmp_path / "root"))  # the archive is not hindered by it
    assert len(IWildCam(tmp_path / "root")) == len(IWildCam(cameras))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "top"), [("fmow", None), ("fmow-lao", "a/b"), ("pacs", "kfold"), ("rcmnist", "")]
)
@pytest.mark.parametrize("form", ["http", "path"])
def test_an_archive_by_a_trusted_hash_goes_where_the_reader_looks(server, tmp_path, name, top, form):
    """Whatever the archive calls its folder; ``top`` is how it is called there."""
    published, packed = tmp_path / "published", tmp_path / "packed"
    write = {"fmow": fmow.write, "fmow-lao": fmow.write, "rcmnist": mnist.write}.get(name)
    domainbed.write(published, name=name) if write is None else write(published)
    facts = read_facts(name)
    shutil.copytree(published / facts.inside, packed / (facts.inside if top is None else top))
    archive = tmp_path.joinpath(shutil.make_archive(str(tmp_path / "lab"), "zip" if top else "tar", packed))
    digest = sha256(archive.read_bytes())
    url = server.serve("/lab/all.bin", archive.read_bytes()) if form == "http" else str(archive)
    carry_out(make_plan(name, tmp_path / "root", url, digest))
    assert files(tmp_path / "root" / facts.inside) == files(published / facts.inside)
    assert archive.is_file()
    server.requests.clear()
    again = make_plan(name, tmp_path / "root", url, digest)
    assert [item.state for item in again.items] == [UNCHECKED]
    assert [path.name for path in (tmp_path / "root").iterdir()] == [facts.inside.split("/")[0]]


@pytest.mark.parametrize(
    ("name", "url", "digest", "error", "message"),
    [
        (
            "fmow",
            None,
            None,
            DownloadError,
            "fmow: no source with a published hash is known; `geomoe data info",
        ),
        (
            "fmow",
            None,
            sha256(b""),
            ConfigError,
            "--sha256: is the hash of what --url names; give --url as well",
        ),
        (
            "fmow",
            "http://x/f.tar",
            None,
            ConfigError,
            "no hash is published for 'f.tar'; give the one that you",
        ),
        ("fmow", "http://x/f/", None, ConfigError, "has no published files of fmow to look for"),
        ("rcmnist", "http://x/f/", sha256(b""), ConfigError, "takes no hash of its own"),
        (
            "fmow",
            "ftp://x/f.tar",
            sha256(b""),
            ConfigError,
            "expected http://, https:// or a file that is there",
        ),
        (
            "fmow",
            "/no/f.tar",
            sha256(b""),
            ConfigError,
            "expected http://, https:// or a file that is there; got",
        ),
        ("folder", None, None, ConfigError, "folder: there is nothing to download: a folder of images"),
        ("bluemarble", None, None, ConfigError, "bluemarble: there is nothing to download"),
        ("rcminst", None, None, ConfigError, "did you mean rcmnist?"),
    ],
)
def test_what_cannot_be_asked(tmp_path, name, url, digest, error, message):
    with pytest.raises(error) as told:
        make_plan(name, tmp_path / "root", url, digest)
    assert message in str(told.value)
    assert "\n" not in str(told.value)
    assert not (tmp_path / "root").exists()


def test_what_is_a_path_and_what_is_an_address():
    assert local("") is local("https://x/y") is local("http://x") is None
    assert local("file:///a%20b/c").as_posix() == "/a b/c"
    assert local("a/b.zip").as_posix() == "a/b.zip"


# readers ------------------------------------------------------------------------------------------


def test_readers_fetch_when_asked_and_only_then(server, digits, tmp_path, caplog):
    caplog.set_level(logging.INFO, "geomoe")
    root = tmp_path / "root"
    with pytest.raises(DatasetNotFoundError, match="geomoe data download rcmnist"):
        RCMNIST(root)
    with pytest.raises(DatasetNotFoundError):
        RCMNISTDataModule(root, held_out="0deg-p0.5").dataset("train")
    assert server.requests == []
    made = RCMNIST(root, num_environments=20, download=True, checksum=True)
    assert (made.download, made.checksum) == (True, True)
    assert len(server.requests) == 4
    assert any("licence: MNIST is offered under CC BY-SA 3.0" in line for line in caplog.messages)
    assert len(RCMNIST(root, num_environments=20, download=True)) == len(made)
    assert len(server.requests) == 4


@pytest.mark.slow
def test_iwildcam_fetches_archive_and_places(server, cameras, tmp_path):
    with pytest.raises(DatasetNotFoundError, match="geomoe data download iwildcam"):
        IWildCamDataModule(tmp_path / "root").dataset("train")
    assert server.requests == []
    fetched = IWildCam(tmp_path / "root", download=True, checksum=True)
    assert fetched.data_hash == IWildCam(cameras).data_hash


@pytest.mark.parametrize("reader", [FMoW, FMoWLAO, *DOMAINBED.values()])
def test_without_a_checked_source_a_reader_says_what_to_do(reader, tmp_path):
    with pytest.raises(DatasetNotFoundError, match="geomoe data info"):
        reader(tmp_path / "root")
    with pytest.raises(
        DownloadError, match=r"no source with a published hash is known.*--url URL --sha256 HEX"
    ):
        reader(tmp_path / "root", download=True)
    assert not (tmp_path / "root").exists()


@pytest.mark.slow
def test_what_is_there_under_another_name_is_not_fetched(tmp_path, caplog):
    domainbed.write(tmp_path, name="pacs")
    (tmp_path / "PACS").rename(tmp_path / "kfold")
    assert len(PACS(tmp_path, download=True, checksum=True)) > 0
    assert f"pacs: no hash is published for any file in {tmp_path / 'kfold'}" in caplog.text
    fmow.write(tmp_path)
    assert len(FMoW(tmp_path, download=True)) > 0


def test_a_checksum_tells_of_a_changed_file(server, cameras, tmp_path):
    IWildCam(cameras, checksum=True)
    table = cameras / "iwildcam_v2.0" / "metadata.csv"
    table.write_bytes(table.read_bytes() + b"\n")
    IWildCam(cameras)
    with pytest.raises(DataError, match=r"metadata.csv: its md5 is .*, published is .*; copy it again"):
        IWildCam(cameras, checksum=True)


def test_a_checksum_of_the_published_data_is_the_published_one(tmp_path):
    """The sample is not the published iWildCam, and is told apart from it."""
    iwildcam.write(tmp_path)
    (tmp_path / "iwildcam_v2.0" / "gps_locations.json").unlink()
    with pytest.raises(DataError, match="published is ab4905ee40ac45ab66ddb176d473a4b4"):
        check_hashes("iwildcam", tmp_path / "iwildcam_v2.0")


@pytest.mark.parametrize("reader", [FMoW, FMoWLAO, IWildCam, RCMNIST, *DOMAINBED.values()])
def test_readers_take_the_two_arguments_of_torchgeo(reader):
    """torchgeo's own readers call them so, and do neither unless told."""
    taken = inspect.signature(reader).parameters
    assert [taken[name].default for name in ("download", "checksum")] == [False, False]


def test_published_hashes_are_known_of_these_alone():
    assert [name for name in CATALOGUE if read_facts(name).files] == ["rcmnist", "iwildcam"]
