"""A server on this machine that must see nothing, and files that would make GDAL ask it."""

from __future__ import annotations

import itertools
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

HERE = str(Path(__file__).parent)
if HERE not in sys.path:
    sys.path.insert(0, HERE)

#: Runs on its own, as GDAL holds Python still while it asks. It notes what it is asked; it has a picture.
SERVER = """
import http.server, pathlib, sys
picture, log = pathlib.Path(sys.argv[1]).read_bytes(), pathlib.Path(sys.argv[2])
class Asked(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        with log.open("a") as file:
            file.write(f"{self.command} {self.path} {self.headers.get('X-Secret', '')}\\n")
        self.send_response(200)
        self.send_header("Content-Type", "image/png")
        self.send_header("Content-Length", str(len(picture)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(picture)
    do_HEAD = do_POST = do_PUT = do_GET
    def log_message(self, *rest):
        pass
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Asked)
print(server.server_port, flush=True)
server.serve_forever()
"""


_NUMBERS = itertools.count()


@pytest.fixture(scope="session")
def server(tmp_path_factory):
    """``address``, and ``seen()``: what it was asked since the last time."""
    folder = tmp_path_factory.mktemp("server")
    Image.fromarray(np.zeros((64, 64, 3), np.uint8)).save(folder / "picture.png")
    words = [sys.executable, "-c", SERVER, str(folder / "picture.png"), str(folder / "log")]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
    address = f"http://127.0.0.1:{process.stdout.readline().strip()}"

    def seen():
        if not (folder / "log").exists():
            return []
        lines = (folder / "log").read_text().splitlines()
        (folder / "log").unlink()
        return lines

    yield SimpleNamespace(address=address, seen=seen)
    process.kill()
    process.wait()


@pytest.fixture
def quiet(server):
    """The server, which has to see nothing during the test."""
    server.seen()
    yield server
    assert server.seen() == []


@pytest.fixture(autouse=True)
def _switches(monkeypatch):
    monkeypatch.setenv("GEOMOE_OFFLINE", "1")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")


@pytest.fixture
def hostile(tmp_path, server):
    """Name -> image file."""
    folder = tmp_path / "images"
    folder.mkdir()
    from hostile_files import write_hostile

    # GDAL remembers what addresses gave: each test has its own
    return write_hostile(folder, f"{server.address}/{next(_NUMBERS)}")
