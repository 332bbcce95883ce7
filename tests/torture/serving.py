"""A slow file server on loopback that knows Range, for downloads that are killed."""

from __future__ import annotations

import re
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

ROOT = Path(sys.argv[1])
STEP, PAUSE = 8192, 0.01  # about 0.8 MB a second, so that a kill meets the transfer


class Files(BaseHTTPRequestHandler):
    """GET of a file below the folder, from any byte on."""

    def log_message(self, *args):
        """Say nothing."""

    def do_GET(self):
        path = ROOT / self.path.lstrip("/")
        if ".." in self.path or not path.is_file():
            self.send_error(404)
            return
        body = path.read_bytes()
        asked = re.fullmatch(r"bytes=(\d+)-", self.headers["Range"] or "")
        start = int(asked[1]) if asked and int(asked[1]) < len(body) else 0
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
        self.send_header("Content-Length", str(len(body) - start))
        self.send_header("ETag", f'"{len(body)}"')
        self.end_headers()
        for place in range(start, len(body), STEP):
            self.wfile.write(body[place : place + STEP])
            time.sleep(PAUSE)


class Server(ThreadingHTTPServer):
    """One that does not tell of clients that went away."""

    daemon_threads = True

    def handle_error(self, request, client_address):
        """A client that was killed is no fault."""


server = Server(("127.0.0.1", 0), Files)
print(server.server_port, flush=True)
server.serve_forever()
