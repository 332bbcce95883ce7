"""``geomoe data download``: from the question to data that ``geomoe data check`` finds sound."""

from __future__ import annotations

import hashlib
import json
import os
import pty
import select
import shutil
import signal
import subprocess
import sys
import time
from collections import namedtuple
from pathlib import Path

import pytest

from geomoe.catalogue import CATALOGUE
from geomoe.cli import data_download, main
from geomoe.fetching import transfer
from geomoe.fetching.facts import read_facts
from geomoe.support import progress
from tests.kinds import first_of_each, reader_of
from tests.samples import write_sample

ROOT = Path(__file__).resolve().parents[2]
SAMPLED = [name for name in CATALOGUE if read_facts(name).sample and read_facts(name).expect]
#: what a check of a sample needs besides
CHECK = {
    "rcmnist": ("--data.budget", "96", "--data.num_environments", "20", "--held-out", "0deg-p0.5"),
    "fmow-lao": ("--held-out", "Asia"),
}
PUBLISHED = {file.name: file for file in read_facts("rcmnist").files}


@pytest.fixture(autouse=True)
def _online(monkeypatch):
    monkeypatch.delenv("HF_HUB_OFFLINE")
    monkeypatch.setattr(transfer, "PAUSE", 0.0)


@pytest.fixture
def archive(server, tmp_path):
    """Pack a sample and serve it: (URL, sha256, folder that it came from)."""

    def make(name, kind="gztar"):
        published = tmp_path / "published" / name
        write_sample(name, published)
        path = tmp_path.joinpath(shutil.make_archive(str(tmp_path / "published" / name), kind, published))
        body = path.read_bytes()
        return server.serve(f"/{path.name}", body), hashlib.sha256(body).hexdigest(), published

    return make


def files(root):
    return {
        path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()
    }


def call(capsys, *argv, status=0):
    """Run ``geomoe data download``; (stdout, stderr)."""
    capsys.readouterr()
    found = main(["data", "download", *map(str, argv)])
    out, err = capsys.readouterr()
    assert found == status, err
    return out, err


@pytest.mark.slow
@pytest.mark.parametrize("name", list(first_of_each(SAMPLED, reader_of)))
def test_what_comes_is_what_was_packed_and_is_sound(capsys, archive, tmp_path, name):
    url, digest, published = archive(name, "zip" if name == "pacs" else "gztar")
    argv = [name, "--data-root", tmp_path / "data", "--url", url, "--sha256", digest, "--yes"]
    told = json.loads(call(capsys, *argv, "--json", "--quiet")[0])
    folder = tmp_path / "data" / read_facts(name).inside
    assert told["licence"] == read_facts(name).licence
    assert [(one["path"], one["state"], one["source"], one["hash"]) for one in told["files"]] == [
        (str(folder), "fetched", url, digest)
    ]
    assert files(folder) == files(published / read_facts(name).inside)
    assert sorted(path.name for path in (tmp_path / "data").iterdir()) == [
        read_facts(name).inside.split("/")[0]
    ]
    check = ["data", "check", name, "--data-root", str(tmp_path / "data"), "--workers", "1", "--images", "3"]
    assert main([*check, "--json", "--quiet", *CHECK.get(name, ())]) in (0, 1)
    sound = json.loads(capsys.readouterr().out)["sound"]
    assert main([*check[:4], str(published), *check[5:], "--json", "--quiet", *CHECK.get(name, ())]) in (0, 1)
    assert json.loads(capsys.readouterr().out)["sound"] == sound


@pytest.mark.slow
def test_the_licence_comes_first_then_progress_then_what_is_there(capsys, server, archive, tmp_path):
    url, digest, _ = archive("iwildcam")
    argv = ["iwildcam", "--data-root", tmp_path / "data", "--url", url, "--sha256", digest, "--yes"]
    out, err = call(capsys, *argv)
    lines = err.splitlines()
    assert lines[0].startswith("geomoe: data set")
    assert lines[1].endswith(f"licence     {read_facts('iwildcam').licence}")
    for part in (url, f"{tmp_path / 'data' / 'iwildcam_v2.0'}", "free there", "unknown size", "to come"):
        assert any(part in line for line in lines[:7])
    size = len(server.files["/iwildcam.tar.gz"])
    assert any(line.startswith("geomoe: iwildcam.tar.gz: ") and line.endswith(" MB/s") for line in lines[7:])
    assert any(f" of {size / 1e6:,.1f} MB, " in line for line in lines[7:])
    assert "geomoe: iwildcam.tar.gz: checking its sha256" in lines
    assert any(line.startswith("geomoe: unpacking iwildcam.tar.gz: ") for line in lines)
    assert out.splitlines()[0].split() == [str(tmp_path / "data" / "iwildcam_v2.0"), "fetched"]
    assert f"geomoe data check iwildcam --data-root {tmp_path / 'data'}" in out
    out, err = call(capsys, *argv)
    assert out.splitlines()[0].endswith("iwildcam_v2.0  there, unchecked")
    assert err == ""


@pytest.mark.slow
def test_quiet_is_silent(capsys, archive, tmp_path):
    url, digest, _ = archive("iwildcam")
    argv = [
        "iwildcam",
        "--data-root",
        tmp_path / "data",
        "--url",
        url,
        "--sha256",
        digest,
        "--yes",
        "--quiet",
    ]
    assert call(capsys, *argv)[1] == ""


def test_another_file_under_the_name_of_a_published_one_is_not_taken_for_it(capsys, server, tmp_path):
    url = server.serve("/gps_locations.json", b"x" * 18_092)  # as long as the published one
    out, err = call(capsys, "iwildcam", "--data-root", "data", "--url", url, "--yes", "--quiet", status=2)
    assert "expected 3790fa2bbb138a854632f7ee4c47d789: not the file that was asked for; kept apart" in err
    assert (out, len(err.splitlines())) == ("", 1)
    assert [path.name for path in (tmp_path / "data").iterdir()] == ["gps_locations.json.rejected"]


@pytest.mark.slow
def test_nobody_agreed(refused, archive, server, tmp_path):
    url, digest, _ = archive("pacs")
    argv = ["data", "download", "pacs", "--data-root", tmp_path / "data", "--url", url, "--sha256", digest]
    error = refused(*argv)
    assert "pacs has this licence: none stated by its authors; ask them" in error
    assert "nothing was fetched: --yes agrees to it" in error
    assert server.requests == []


def test_a_switch_forbids_it(refused, monkeypatch, tmp_path):
    monkeypatch.setenv("GEOMOE_OFFLINE", "1")
    error = refused("data", "download", "rcmnist", "--data-root", tmp_path / "data", "--yes")
    assert error.startswith("rcmnist: GEOMOE_OFFLINE forbids downloads; unset it to fetch train-images")


def test_no_room(refused, monkeypatch, tmp_path):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(0, 0, 11_594_721))
    error = refused("data", "download", "rcmnist", "--data-root", tmp_path / "data", "--yes")
    assert "11,594,722 bytes are needed for rcmnist, 11,594,721 are free; make room or choose" in error


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["rcmnist"], "download: give the folder to write to: --data-root DIR"),
        (
            ["fmow", "--data-root", "d"],
            "fmow: no source with a published hash is known; `geomoe data info fmow`",
        ),
        (
            ["fmow", "--data-root", "d", "--url", "http://x/y", "--sha256", "12"],
            "--sha256: expected the 64 hex",
        ),
        (["fmow", "--data-root", "d", "--url", "http://x/y"], "--url: no hash is published for 'y'"),
        (["fmow", "--data-root", "d", "--md5", "0" * 32], "--md5: is the hash of what --url names"),
        (
            ["fmow", "--md5", "0" * 32, "--sha256", "0" * 64],
            "argument --sha256: not allowed with argument --md5",
        ),
        (["bluemarble", "--data-root", "d"], "bluemarble: there is nothing to download"),
        (["rcmnist", "d", "--data-root", "d"], "download: unexpected argument 'd'"),
        (["rcminst", "--data-root", "d"], "did you mean rcmnist?"),
    ],
)
def test_refusals(refused, argv, message):
    assert message in refused("data", "download", *argv)


@pytest.mark.parametrize("flag", [["--yes"], ["--url", "x"], ["--sha256", "x"], ["--md5", "x"]])
def test_its_options_are_no_other_actions(refused, flag):
    assert f"check: takes no {flag[0]}; it is for download" in refused("data", "check", "rcmnist", *flag)


def test_something_else_in_its_place(refused, tmp_path):
    raw = tmp_path / "data" / "MNIST" / "raw"
    raw.mkdir(parents=True)
    (raw / "train-images-idx3-ubyte.gz").write_bytes(b"mine")
    error = refused("data", "download", "rcmnist", "--data-root", tmp_path / "data", "--yes")
    assert f"train-images-idx3-ubyte.gz: is there, and its md5 is {hashlib.md5(b'mine').hexdigest()}" in error


def test_a_link_that_ends_in_nothing(refused, server, tmp_path):
    argv = [
        "data",
        "download",
        "rcmnist",
        "--data-root",
        tmp_path / "data",
        "--url",
        f"{server.url}/no/",
        "--yes",
    ]
    error = refused(*argv, "--quiet")
    assert f"{server.url}/no/train-images-idx3-ubyte.gz: the server answers 404" in error


def test_info_says_how(capsys, tmp_path):
    assert main(["data", "info", "rcmnist", "--data-root", str(tmp_path)]) == 0
    text = capsys.readouterr().out
    assert "geomoe data download rcmnist --data-root DIR" in text
    assert all(file.md5 in text for file in PUBLISHED.values())
    assert "lacks train-images-idx3-ubyte or" in text
    assert main(["data", "info", "pacs"]) == 0
    assert "geomoe data download pacs --data-root DIR --url URL --sha256 HEX" in capsys.readouterr().out
    assert main(["data", "info", "bluemarble"]) == 0
    assert "data download" not in capsys.readouterr().out


def test_progress_tells_bytes_and_rate_each_twentieth_and_when_it_is_slow(capsys, monkeypatch):
    now = [100.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    tell = data_download.bytes_done(quiet=False)
    for step in range(0, 1001, 5):
        now[0] += 0.01
        tell(step * 10**7, 10**10, "big.tar")
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 20
    assert lines[0] == "geomoe: big.tar: 500.0 MB of 10.0 GB, 5000.0 MB/s"
    assert lines[-1] == "geomoe: big.tar: 10.0 GB of 10.0 GB, 5000.0 MB/s"
    for _ in range(3):  # resumed at 1 GB, of unknown length, slow
        tell(10**9, None, "slow")
        now[0] += 10 + 1
    tell(10**9 + 3 * 10**6, None, "slow")
    assert capsys.readouterr().err.splitlines()[-1] == "geomoe: slow: 1.0 GB, 0.1 MB/s"


# other processes: signals, terminals, the hub -----------------------------------------------------


def environment(tmp_path, **more):
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("GEOMOE_", "HF_"))}
    return {**kept, "PYTHONPATH": str(ROOT), "HF_HOME": str(tmp_path / "hub"), "TERM": "dumb", **more}


@pytest.mark.slow
def test_ctrl_c_keeps_what_came_and_says_how_to_go_on(server, archive, tmp_path):
    url, digest, published = archive("iwildcam")
    body = server.files["/iwildcam.tar.gz"]
    server.stall, server.cuts = True, [len(body) // 3]
    argv = [
        "data",
        "download",
        "iwildcam",
        "--data-root",
        "my data",
        "--url",
        url,
        "--sha256",
        digest,
        "--yes",
    ]
    process = subprocess.Popen(
        [sys.executable, "-m", "geomoe", *argv],
        cwd=tmp_path, env=environment(tmp_path), stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )  # fmt: skip
    partial = tmp_path / "my data" / "iwildcam.tar.gz.partial"
    while process.poll() is None and not (partial.exists() and partial.stat().st_size == len(body) // 3):
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate()
    assert process.returncode == 130, err
    assert out == ""
    command = " ".join(argv).replace("my data", "'my data'")
    assert err.splitlines()[-1] == f"geomoe: interrupted; go on with: geomoe {command}"
    assert partial.read_bytes() == body[: len(body) // 3]
    server.requests.clear()
    again = subprocess.run(
        [sys.executable, "-m", "geomoe", *argv], cwd=tmp_path, env=environment(tmp_path), check=False
    )
    assert again.returncode == 0
    assert [one.range for one in server.requests] == [f"bytes={len(body) // 3}-"]
    assert server.sent == len(body)
    assert files(tmp_path / "my data") == files(published)


def on_a_terminal(argv, answer, tmp_path):
    """Run a command on a pseudo-terminal and answer its question: (status, all that it said)."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(tmp_path)
        os.execve(sys.executable, [sys.executable, "-m", "geomoe", *argv], environment(tmp_path))
    said = b""
    while True:
        ready, _, _ = select.select([terminal], [], [], 120)
        try:
            block = os.read(terminal, 65536) if ready else b""
        except OSError:  # the other end is closed
            block = b""
        if not block:
            break
        if b"[y/n]" in block + said[-200:] and answer:
            os.write(terminal, answer)
            answer = b""
        said += block
    os.close(terminal)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), said.decode().replace("\r\n", "\n")


@pytest.mark.slow
@pytest.mark.parametrize(("answer", "status"), [(b"y\n", 0), (b"n\n", 2), (b"\n", 2), (b"\x04", 2)])
def test_on_a_terminal_somebody_is_asked(server, archive, tmp_path, answer, status):
    url, digest, published = archive("iwildcam")
    argv = ["data", "download", "iwildcam", "--data-root", "data", "--url", url, "--sha256", digest]
    found, said = on_a_terminal(argv, answer, tmp_path)
    assert found == status, said
    assert said.index("licence") < said.index("Download it under this licence? [y/n]")
    if status == 0:
        assert files(tmp_path / "data") == files(published)
    else:
        assert "geomoe: error: download: not agreed to; nothing was fetched" in said
        assert server.requests == []
        assert not (tmp_path / "data").exists()


DRIVER = """
import json, sys
from geomoe.fetching import facts, plan as download_plan, transfer
from geomoe.cli import main
transfer.PAUSE = 0.01  # seconds before it asks again
real, offered = facts.read_facts, json.loads(sys.argv[1])
def read(name):  # the facts, with the hashes of small files
    known = real(name)
    files = tuple(file._replace(**offered[file.name]) for file in known.files)
    return known._replace(files=files, md5s={})
download_plan.read_facts = read
sys.exit(main(sys.argv[2:]))
"""


@pytest.mark.slow
def test_the_hub_is_asked_by_hash_and_its_file_is_resumed(server, archive, tmp_path):
    """A hub on loopback: its API, a file under a name of its own, and another server that has the bytes."""
    _, digest, published = archive("iwildcam")
    body = server.files.pop("/iwildcam.tar.gz")
    places = (published / "iwildcam_v2.0" / "gps_locations.json").read_bytes()
    commit, name = "0123456789abcdef0123456789abcdef01234567", "some name/of its own.tgz"
    large = {"rfilename": name, "size": len(body), "blobId": "1" * 40}
    large["lfs"] = {"size": len(body), "sha256": digest, "pointerSize": 134}
    small = {"rfilename": "README.md", "size": 4, "blobId": "2" * 40}
    repository = "datasets/emmilly/iwildcam-wilds-v2"
    told = {"id": "emmilly/iwildcam-wilds-v2", "sha": commit, "siblings": [small, large]}
    server.serve(f"/api/{repository}", json.dumps(told).encode())
    server.serve("/cdn/bytes", body)
    server.serve("/places", places)
    resolve = f"/{repository}/resolve/{commit}/some%20name/of%20its%20own.tgz"
    server.redirects[resolve] = f"http://localhost:{server.server_port}/cdn/bytes"
    offered = {
        "iwildcam_v2.0.tar.gz": {"sha256": digest, "size": len(body)},
        "gps_locations.json": {
            "url": f"{server.url}/places",
            "md5": hashlib.md5(places).hexdigest(),
            "size": len(places),
        },
    }
    more = {"HF_ENDPOINT": server.url, "HF_TOKEN": "hf_secret", "GEOMOE_CACHE": str(tmp_path / "cache")}
    argv = ["data", "download", "iwildcam", "--data-root", "data", "--yes", "--quiet"]

    def run():
        return subprocess.run(
            [sys.executable, "-c", DRIVER, json.dumps(offered), *argv],
            cwd=tmp_path, env=environment(tmp_path, **more), capture_output=True, text=True, check=False,
        )  # fmt: skip

    server.cuts = [None, len(body) // 2, *[0] * (transfer.TRIES - 1)]
    broken = run()
    assert broken.returncode == 2, broken.stderr
    assert f"{len(body) // 2:,} bytes are kept in" in broken.stderr
    server.cuts.clear()
    server.requests.clear()
    done = run()
    assert done.returncode == 0, done.stderr
    asked = [
        one for one in server.requests if one.path != "/api/agent-harnesses"
    ]  # a whim of the hub's client
    assert [(one.path, one.range, one.authorization) for one in asked] == [
        (f"/api/{repository}", None, "Bearer hf_secret"),
        (resolve, f"bytes={len(body) // 2}-", "Bearer hf_secret"),
        ("/cdn/bytes", f"bytes={len(body) // 2}-", None),
    ]  # the archive has brought the places along
    assert files(tmp_path / "data") == files(published)
    shutil.rmtree(tmp_path / "data")
    told["siblings"][1]["lfs"]["sha256"] = "0" * 64
    server.serve(f"/api/{repository}", json.dumps(told).encode())
    gone = run()
    assert gone.returncode == 2
    assert f"no file with sha256 {digest} is there any more (there is: {name})" in gone.stderr
    assert len(gone.stderr.splitlines()) == 1
    server.answers = [(404, {})] * 9
    absent = run()
    assert absent.returncode == 2
    assert f"{server.url}/{repository}: the hub cannot be asked (" in absent.stderr
    assert len(absent.stderr.splitlines()) == 1
    assert not (tmp_path / "data").exists()
