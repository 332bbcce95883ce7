"""Files over HTTP from a real server on loopback: resumed, retried, refused, and what is kept of them."""

from __future__ import annotations

import hashlib
import json
import logging
import shutil
from collections import namedtuple

import numpy as np
import pytest

from geomoe.errors import ConfigError, DownloadError, OutputError
from geomoe.fetching import transfer
from geomoe.fetching.digests import Digest, parse_digest
from geomoe.fetching.partial import Partial
from geomoe.fetching.transfer import TRIES, Remote, receive

BODY = np.random.default_rng(7).integers(0, 256, 300_000, dtype=np.uint8).tobytes()
RIGHT = Digest("sha256", hashlib.sha256(BODY).hexdigest())


@pytest.fixture(autouse=True)
def pauses(monkeypatch):
    """Seconds that were waited between tries; nothing is waited here."""
    waited = []
    monkeypatch.setattr(transfer.time, "sleep", waited.append)
    return waited


@pytest.fixture
def place(tmp_path):
    return tmp_path / "data" / "file.bin"


def fetch(remote, place, digest=RIGHT):
    """What geomoe does with one file; returns what was told of the progress."""
    told = []
    with Partial(place, digest) as partial:
        receive(remote, partial, lambda done, total: told.append((done, total)))
        partial.check()
        partial.finish()
    return told


def names(place):
    return sorted(path.name for path in place.parent.iterdir()) if place.parent.exists() else None


def test_a_file_comes_whole(server, place):
    told = fetch(Remote(server.serve("/file.bin", BODY)), place)
    assert place.read_bytes() == BODY
    assert names(place) == ["file.bin"]
    assert (told[0], told[-1]) == ((0, len(BODY)), (len(BODY), len(BODY)))
    assert [done for done, _ in told] == sorted(done for done, _ in told)


def test_a_connection_that_breaks_is_taken_up_at_the_missing_byte(server, place):
    server.cuts = [1000, 0, 54_321]
    fetch(Remote(server.serve("/file.bin", BODY), len(BODY)), place)
    assert place.read_bytes() == BODY
    assert [one.range for one in server.requests] == [None, "bytes=1000-", "bytes=1000-", "bytes=55321-"]
    etag = f'"{hashlib.md5(BODY).hexdigest()}"'
    assert [one.if_range for one in server.requests] == [None, etag, etag, etag]
    assert server.sent == len(BODY)


def test_what_an_earlier_process_has_fetched_is_not_asked_again(server, place, pauses):
    remote = Remote(server.serve("/file.bin", BODY))
    server.cuts = [123_456] + [0] * (TRIES - 1)
    with pytest.raises(DownloadError, match=rf"{TRIES} times; 123,456 bytes are kept in .*file.bin.partial"):
        fetch(remote, place)
    assert names(place) == ["file.bin.partial", "file.bin.partial.json"]
    assert place.with_name("file.bin.partial").read_bytes() == BODY[:123_456]
    assert pauses == [1, 2, 4, 8]
    server.requests.clear()
    fetch(remote, place)
    assert place.read_bytes() == BODY
    assert [one.range for one in server.requests] == ["bytes=123456-"]
    assert server.sent == len(BODY)


def test_a_mirror_goes_on_where_another_server_stopped(server, place):
    server.cuts = [200_000] + [0] * (TRIES - 1)
    with pytest.raises(DownloadError):
        fetch(Remote(server.serve("/slow/file.bin", BODY)), place)
    fetch(Remote(server.serve("/fast/file.bin", BODY)), place)
    assert place.read_bytes() == BODY
    last = server.requests[-1]
    assert (last.path, last.range, last.if_range) == ("/fast/file.bin", "bytes=200000-", None)


def test_a_server_without_range_starts_over_and_still_ends_well(server, place):
    server.ranges, server.cuts = False, [70_000]
    fetch(Remote(server.serve("/file.bin", BODY)), place)
    assert place.read_bytes() == BODY
    assert [one.range for one in server.requests] == [None, "bytes=70000-"]
    assert server.sent == 70_000 + len(BODY)


def test_a_server_that_starts_over_each_time_and_breaks_off_is_given_up(server, place):
    server.ranges, server.cuts = False, [70_000] * 50
    with pytest.raises(DownloadError, match="the connection ended after 70,000 of 300,000 bytes"):
        fetch(Remote(server.serve("/file.bin", BODY)), place)
    assert len(server.requests) == TRIES


@pytest.mark.parametrize("header", ["ETag", "Last-Modified"])
def test_a_file_that_changed_on_the_server_is_not_mixed_with_the_old_one(server, place, header):
    dates = {True: "Mon, 01 Jan 2024 00:00:00 GMT", False: "Tue, 02 Jan 2024 00:00:00 GMT"}
    tags = {True: '"new"', False: '"old"'}
    server.validators = lambda path, body: {header: (tags if header == "ETag" else dates)[body == BODY]}
    remote = Remote(server.serve("/file.bin", bytes(len(BODY))))
    server.cuts = [99_999] + [0] * (TRIES - 1)
    with pytest.raises(DownloadError):
        fetch(remote, place)
    server.serve("/file.bin", BODY)
    fetch(remote, place)
    assert place.read_bytes() == BODY
    assert server.requests[-1].if_range == (tags if header == "ETag" else dates)[False]


def test_a_weak_etag_is_no_promise_and_is_not_sent(server, place):
    server.validators = lambda path, body: {"ETag": 'W/"same-ish"'}
    server.cuts = [10]
    fetch(Remote(server.serve("/file.bin", BODY)), place)
    assert [one.if_range for one in server.requests] == [None, None]


def test_without_any_validator_another_length_tells_of_a_change(server, place):
    server.validators = lambda path, body: {}
    remote = Remote(server.serve("/file.bin", bytes(len(BODY) + 5)))
    server.cuts = [50_000] + [0] * (TRIES - 1)
    with pytest.raises(DownloadError):
        fetch(remote, place)
    server.serve("/file.bin", BODY)
    fetch(remote, place)
    assert place.read_bytes() == BODY


def test_a_mixture_that_no_header_tells_of_is_caught_by_the_hash(server, place):
    server.validators = lambda path, body: {}
    remote = Remote(server.serve("/file.bin", bytes(len(BODY))))
    server.cuts = [50_000] + [0] * (TRIES - 1)
    with pytest.raises(DownloadError):
        fetch(remote, place)
    server.serve("/file.bin", BODY)
    with pytest.raises(DownloadError, match=f"expected {RIGHT.value}: not the file that was asked for"):
        fetch(remote, place)
    assert names(place) == ["file.bin.rejected"]


def test_a_file_that_was_whole_when_the_process_died_is_only_checked(server, place):
    remote = Remote(server.serve("/file.bin", BODY))
    with Partial(place, RIGHT) as partial:
        receive(remote, partial, lambda done, total: None)
    server.requests.clear()
    fetch(remote, place)
    assert server.requests == []
    assert place.read_bytes() == BODY


def test_416_for_a_file_of_unknown_length_means_that_nothing_is_missing(server, place):
    server.lengths = False
    remote = Remote(server.serve("/file.bin", BODY))
    with Partial(place, RIGHT) as partial:
        receive(remote, partial, lambda done, total: None)
    server.requests.clear()
    fetch(remote, place)
    assert [one.range for one in server.requests] == ["bytes=300000-"]
    assert place.read_bytes() == BODY


def test_416_for_a_file_that_has_become_shorter_begins_again(server, place):
    server.validators = lambda path, body: {}
    remote = Remote(server.serve("/file.bin", bytes(2 * len(BODY))))
    server.cuts = [400_000] + [0] * (TRIES - 1)
    with pytest.raises(DownloadError):
        fetch(remote, place)
    server.serve("/file.bin", BODY)
    fetch(remote, place)
    assert [one.range for one in server.requests[-2:]] == ["bytes=400000-", None]
    assert place.read_bytes() == BODY


def test_a_busy_server_is_asked_again_when_it_says(server, place, pauses, caplog):
    caplog.set_level(logging.INFO, "geomoe")
    server.answers = [(503, {"Retry-After": "7"}), (429, {"Retry-After": "90000"}), (500, {})]
    fetch(Remote(server.serve("/file.bin", BODY)), place)
    assert pauses == [7, transfer.LONGEST_PAUSE, 4]
    assert "file.bin: the server answers 503 Service Unavailable; again in 7 s" in caplog.messages


@pytest.mark.parametrize(("status", "advice"), [(404, ""), (403, "; it may want a login"), (410, "")])
def test_a_refusal_is_final_and_leaves_nothing(server, place, status, advice):
    server.answers = [(status, {})]
    with pytest.raises(DownloadError, match=f"the server answers {status} .*{advice}; nothing was fetched"):
        fetch(Remote(server.serve("/file.bin", BODY)), place)
    assert len(server.requests) == 1
    assert not place.parent.exists()


@pytest.mark.slow
def test_a_silent_server_is_left_after_a_while_and_what_came_is_kept(server, place, monkeypatch):
    monkeypatch.setattr(transfer, "TIMEOUT", 0.3)
    server.stall, server.cuts = True, [777]
    fetch(Remote(server.serve("/file.bin", BODY)), place)
    assert [one.range for one in server.requests] == [None, "bytes=777-"]
    assert place.read_bytes() == BODY


def test_a_file_without_a_length_that_breaks_off_is_noticed_by_the_published_size(server, place):
    server.lengths, server.cuts = False, [1234]
    fetch(Remote(server.serve("/file.bin", BODY), len(BODY)), place)
    assert [one.range for one in server.requests] == [None, "bytes=1234-"]
    assert place.read_bytes() == BODY


def test_a_page_instead_of_the_file_does_not_cost_what_is_there(server, place):
    """A hotel's login page, say: another length than the published one, so that not a byte of it is taken."""
    remote = Remote(server.serve("/file.bin", BODY), len(BODY))
    server.cuts = [250_000] + [0] * (TRIES - 1)
    with pytest.raises(DownloadError):
        fetch(remote, place)
    server.ranges = False
    server.serve("/file.bin", b"<html>please log in</html>")
    with pytest.raises(DownloadError, match="has 26 bytes, not the 300,000 that were published"):
        fetch(remote, place)
    assert place.with_name("file.bin.partial").read_bytes() == BODY[:250_000]


def test_nobody_there(place, pauses):
    import socket

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound, not listening: connections are refused
        with pytest.raises(DownloadError, match=f"no connection.*refused.*{TRIES} times"):
            fetch(Remote(f"http://127.0.0.1:{taken.getsockname()[1]}/x"), place)
    assert len(pauses) == TRIES - 1
    assert not place.parent.exists()


@pytest.mark.parametrize("url", ["http://", "https:///x", "http://127.0.0.1:port/"])
def test_an_address_that_is_none(place, url):
    with pytest.raises(DownloadError):
        fetch(Remote(url), place)
    assert not place.parent.exists()


def test_no_room_is_told_before_a_byte_is_written(server, place, monkeypatch):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(0, 0, 1000))
    with pytest.raises(OutputError, match="300,000 bytes are still to come, 1,000 are free; make room"):
        fetch(Remote(server.serve("/file.bin", BODY)), place)
    assert not place.parent.exists()


def test_a_login_is_not_shown_to_the_server_that_we_are_sent_on_to(server, place):
    server.serve("/cdn/file.bin", BODY)
    server.redirects["/file.bin"] = f"http://localhost:{server.server_port}/cdn/file.bin"
    fetch(Remote(f"{server.url}/file.bin", secret={"Authorization": "Bearer secret"}), place)
    assert [(one.path, one.authorization) for one in server.requests] == [
        ("/file.bin", "Bearer secret"),
        ("/cdn/file.bin", None),
    ]
    assert place.read_bytes() == BODY


# what is kept beside the file ---------------------------------------------------------------------


def test_two_processes_do_not_write_into_one_file(place):
    pytest.importorskip("fcntl")
    with Partial(place, RIGHT) as partial:
        partial.append(b"abc")
        with pytest.raises(OutputError, match="another process is fetching this file"), Partial(place, RIGHT):
            pass
        assert partial.path.read_bytes() == b"abc"
    with Partial(place, RIGHT) as partial:
        assert partial.size == 3


@pytest.mark.parametrize("note", [None, "{", "[]", json.dumps({"digest": ["sha256", "0" * 64]})])
def test_bytes_of_another_file_are_neither_used_nor_deleted(place, note):
    place.parent.mkdir()
    partial = place.with_name("file.bin.partial")
    partial.write_bytes(b"somebody's")
    if note is not None:
        place.with_name("file.bin.partial.json").write_text(note)
    with (
        pytest.raises(OutputError, match=r"is of another file \(hash: .*move it away"),
        Partial(place, RIGHT),
    ):
        pass
    assert partial.read_bytes() == b"somebody's"


def test_a_wrong_file_is_kept_apart_and_the_next_try_begins_clean(server, place):
    remote = Remote(server.serve("/file.bin", b"another file"))
    wrong = hashlib.sha256(b"another file").hexdigest()
    for aside in ("file.bin.rejected", "file.bin.rejected2"):
        with pytest.raises(DownloadError) as told:
            fetch(remote, place)
        assert f"its sha256 is {wrong}, expected {RIGHT.value}" in str(told.value)
        assert place.with_name(aside).read_bytes() == b"another file"
    server.requests.clear()
    server.serve("/file.bin", BODY)
    fetch(remote, place)
    assert [one.range for one in server.requests] == [None]
    assert names(place) == ["file.bin", "file.bin.rejected", "file.bin.rejected2"]


def test_a_file_that_appears_meanwhile_is_not_written_over(server, place):
    with Partial(place, RIGHT) as partial:
        receive(Remote(server.serve("/file.bin", BODY)), partial, lambda done, total: None)
        place.write_bytes(b"mine")
        with pytest.raises(OutputError, match="has appeared meanwhile; nothing is written over"):
            partial.finish()
    assert place.read_bytes() == b"mine"


def test_a_folder_that_cannot_be_made_is_refused(tmp_path):
    (tmp_path / "file").touch()
    with (
        pytest.raises(OutputError, match=r"cannot be written: .*; choose another --data-root"),
        Partial(tmp_path / "file" / "x", RIGHT),
    ):
        pass


def test_hashes_are_those_of_hashlib(tmp_path):
    path = tmp_path / "x"
    path.write_bytes(BODY)
    assert RIGHT.of(path) == RIGHT
    assert Digest("md5", "").of(path).value == hashlib.md5(BODY).hexdigest()
    assert parse_digest("sha256", f" {RIGHT.value.upper()}\n", "--sha256") == RIGHT
    with pytest.raises(ConfigError, match="--md5: expected the 32 hexadecimal digits of a md5; got 'abc'"):
        parse_digest("md5", "abc", "--md5")
