"""What every test gets: one thread, a fixed seed, no network, caches in a temporary folder."""

from __future__ import annotations

import gc
import hashlib
import os
import re
import socket
import threading
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import NamedTuple

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ.setdefault("MPLBACKEND", "Agg")

import pytest


def pytest_addoption(parser):
    parser.addoption("--long", action="store_true", help="run the tests marked long too")


def pytest_collection_modifyitems(config, items):
    """Leave out long tests unless asked; begin with files of slow tests, so that two workers end together."""
    if not config.getoption("--long"):
        long = [item for item in items if item.get_closest_marker("long")]
        if long:
            config.hook.pytest_deselected(items=long)
            items[:] = [item for item in items if not item.get_closest_marker("long")]
    slow, every = Counter(), Counter()
    for item in items:
        every[item.path] += 1
        slow[item.path] += item.get_closest_marker("slow") is not None
    items.sort(key=lambda item: -slow[item.path] / every[item.path])


def pytest_collection_finish():
    """Keep Python from looking for garbage in the libraries again and again: a tenth of the time."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def _same_numbers_every_time():
    import numpy as np
    import torch

    torch.set_num_threads(1)
    torch.manual_seed(0)
    np.random.seed(0)  # noqa: NPY002 - libraries under test still draw from the global state


@pytest.fixture(autouse=True)
def _no_network(monkeypatch):
    connect = socket.socket.connect

    def only_here(self, address):
        if isinstance(address, tuple) and address[0] not in {"127.0.0.1", "::1", "localhost"}:
            raise OSError(f"a test tried to reach {address}")
        return connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", only_here)


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory):
    """Keep the user's cache out of the tests, and share one among them (and among workers)."""
    if "GEOMOE_CACHE" not in os.environ:
        os.environ["GEOMOE_CACHE"] = str(tmp_path_factory.getbasetemp().parent / "geomoe-test-cache")


class Request(NamedTuple):
    """What a server was asked for."""

    path: str
    range: str | None
    if_range: str | None
    authorization: str | None


class FileServer(ThreadingHTTPServer):
    """Serves files from memory, and does to a client what servers and networks do.

    Attributes:
        files: path -> bytes.
        requests: what was asked.
        sent: bytes of files that were sent.
        ranges: whether Range is understood.
        lengths: whether the length is announced.
        validators: headers that name the version of a file, from its path and bytes.
        cuts: after how many bytes the next connections break off; None: not.
        answers: (status, headers) of the next requests, instead of files.
        redirects: path -> URL.
        stall: set: connections that are cut stay open instead, and say nothing.
    """

    daemon_threads = True
    block_on_close = False

    def __init__(self):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.files, self.redirects, self.requests, self.cuts, self.answers = {}, {}, [], [], []
        self.sent, self.ranges, self.lengths, self.stall = 0, True, True, False
        self.validators = lambda path, body: {"ETag": f'"{hashlib.md5(body).hexdigest()}"'}
        self.end = threading.Event()
        self.url = f"http://127.0.0.1:{self.server_port}"

    def serve(self, path, body):
        """Add a file; returns its URL."""
        self.files[path] = body
        return self.url + path

    def handle_error(self, request, client_address):
        """A client that went away is no fault."""


class _Handler(BaseHTTPRequestHandler):
    def log_message(self, *args):
        """Say nothing."""

    def reply(self, status, headers):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, str(value))
        self.send_header("Connection", "close")
        self.end_headers()

    def do_GET(self):
        server, path, head = self.server, self.path.partition("?")[0], self.headers
        server.requests.append(Request(path, head["Range"], head["If-Range"], head["Authorization"]))
        if server.answers:
            status, headers = server.answers.pop(0)
            self.reply(status, {"Content-Length": 0, **headers})
        elif path in server.redirects:
            self.reply(302, {"Location": server.redirects[path], "Content-Length": 0})
        elif path in server.files:
            self.send_file(path, server.files[path])
        else:
            self.reply(404, {"Content-Length": 0})

    def send_file(self, path, body):
        server, head = self.server, self.headers
        headers = server.validators(path, body)
        start, status = 0, 200
        asked = re.fullmatch(r"bytes=(\d+)-", head["Range"] or "")
        if asked and server.ranges and head["If-Range"] in (None, *headers.values()):
            start, status = int(asked[1]), 206
            if start >= len(body):
                self.reply(416, {"Content-Range": f"bytes */{len(body)}", "Content-Length": 0})
                return
            headers["Content-Range"] = f"bytes {start}-{len(body) - 1}/{len(body)}"
        if server.lengths:
            headers["Content-Length"] = len(body) - start
        self.reply(status, headers)
        cut = server.cuts.pop(0) if server.cuts else None
        part = body[start:][:cut]
        server.sent += len(part)
        self.wfile.write(part)
        if cut is not None and server.stall:
            server.end.wait(60)


@pytest.fixture
def server():
    """A real HTTP server on loopback."""
    made = FileServer()
    thread = threading.Thread(target=made.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    yield made
    made.end.set()
    made.shutdown()
    made.server_close()


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    """Where a browser is required (GEOMOE_REQUIRE_BROWSER=1, as in CI), a skipped browser test fails."""
    outcome = yield
    report = outcome.get_result()
    required = os.environ.get("GEOMOE_REQUIRE_BROWSER") == "1" and item.get_closest_marker("browser")
    if required and report.skipped and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"skipped, but a browser is required: {report.longrepr}"
