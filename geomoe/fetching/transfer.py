"""Download one file over HTTP, with resume and a few retries.

It uses urllib because no existing dependency does this: ``download_url`` of torchvision and torchgeo restarts
at the first byte; huggingface_hub (its issue 4196) writes to a file of its own process and deletes it when
the process stops; fsspec supports neither hashes nor If-Range.

A request asks for the missing bytes (Range), provided that the file is unchanged (If-Range, with a strong
ETag or the date). Whatever the server answers, the hash of the complete file decides in the end.
"""

from __future__ import annotations

import http.client
import logging
import re
import shutil
import ssl
import time
import urllib.error
import urllib.request
from typing import TYPE_CHECKING, Any, NamedTuple

from geomoe import __version__
from geomoe.errors import DownloadError, OutputError, one_line

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from geomoe.fetching.partial import Partial

log = logging.getLogger(__name__)

CHUNK = 1 << 20
TIMEOUT = 30.0  # seconds without a byte
TRIES = 5  # consecutive attempts without new bytes
PAUSE = 1.0  # seconds before the second attempt; doubled before each further one
MOST_UNKNOWN = 100_000_000_000  # bytes of a file of unknown length
LEAST_FREE = 500_000_000  # bytes that such a file leaves free
LONGEST_PAUSE = 60.0  # seconds, even if a server asks for more
_AGAIN = {408, 425, 429, 500, 502, 503, 504}  # may be temporary


class Remote(NamedTuple):
    """A file on a server.

    Attributes:
        url: http or https.
        size: published size in bytes; None: unknown.
        secret: headers for this server only, not sent to the target of a redirect.
    """

    url: str
    size: int | None = None
    secret: Mapping[str, str] = {}


class _TryAgainError(Exception):
    """This attempt has failed; another one may succeed."""

    def __init__(self, why: str, pause: float = 0.0) -> None:
        super().__init__(why)
        self.pause = pause


def receive(remote: Remote, partial: Partial, tell: Callable[[int, int | None], None]) -> None:
    """Complete a partial file.

    Args:
        remote: the file on the server.
        partial: the open partial file. It keeps all received bytes, even after an error.
        tell: called with the bytes received so far, and the total if it is known.

    Raises:
        DownloadError: the server refuses the file, or the connection keeps failing.
        OutputError: the disk is full.
    """
    furthest, failures = partial.size, 0
    while partial.size == 0 or partial.size != (remote.size or partial.about.get("size")):
        try:
            _attempt(remote, partial, tell)
            return
        except _TryAgainError as problem:
            # A server that always restarts makes no progress; one that drops the connection at times does.
            failures = failures + 1 if partial.size <= furthest else 1
            furthest = max(furthest, partial.size)
            if failures >= TRIES:
                raise DownloadError(
                    f"{remote.url}: {problem}, {TRIES} times; {partial.size:,} bytes are kept in "
                    f"{partial.path}, and the same command goes on there"
                ) from problem
            pause = min(max(PAUSE * 2 ** (failures - 1), problem.pause), LONGEST_PAUSE)
            log.info("%s: %s; again in %.3g s", partial.target.name, problem, pause)
            time.sleep(pause)


def _attempt(remote: Remote, partial: Partial, tell: Callable[[int, int | None], None]) -> None:
    try:
        with urllib.request.urlopen(_request(remote, partial), timeout=TIMEOUT) as response:
            total = _agree(response, remote, partial)
            tell(partial.size, total)
            while block := response.read1(CHUNK):  # read() would lose bytes received before a timeout
                partial.append(block)
                tell(partial.size, total)
                if total is not None and partial.size > total:
                    break
                if total is None:
                    _limit(remote, partial)
    except urllib.error.HTTPError as error:
        with error:
            _refused(error, remote, partial)
    except (OutputError, DownloadError):
        raise
    except ValueError as error:  # an invalid address
        raise DownloadError(f"{remote.url}: {one_line(error)}") from error
    except (OSError, http.client.HTTPException) as error:
        if isinstance(getattr(error, "reason", error), ssl.SSLCertVerificationError):
            raise DownloadError(f"{remote.url}: {one_line(error)}") from error
        raise _TryAgainError(f"no connection, or it broke off ({one_line(error)})") from error
    else:
        if total is not None and partial.size != total:
            raise _TryAgainError(f"the connection ended after {partial.size:,} of {total:,} bytes")


def _limit(remote: Remote, partial: Partial) -> None:
    """Stop an endless download, with which a server that states no length could fill the disk.

    Raises:
        DownloadError: more bytes were received than any known archive has, or hardly any room is left.
    """
    if partial.size > MOST_UNKNOWN or shutil.disk_usage(partial.path.parent).free < LEAST_FREE:
        partial.begin_again()
        raise DownloadError(
            f"{remote.url}: the server does not say how long the file is, and it is longer than "
            f"{MOST_UNKNOWN:,} bytes or than there is room for; give another source with --url"
        )


def _request(remote: Remote, partial: Partial) -> urllib.request.Request:
    headers = {"User-Agent": f"geomoe/{__version__}", "Accept-Encoding": "identity"}
    if partial.size:
        headers["Range"] = f"bytes={partial.size}-"
        if partial.about.get("url") == remote.url and partial.about.get("validator"):
            headers["If-Range"] = partial.about["validator"]
    request = urllib.request.Request(remote.url, headers=headers)
    for name, value in remote.secret.items():
        request.add_unredirected_header(name, value)
    return request


def _agree(response: Any, remote: Remote, partial: Partial) -> int | None:  # noqa: ANN401 - an HTTPResponse
    """Check the server's answer before reading its body; return the size of the complete file.

    Raises:
        DownloadError: the size differs from the published one.
        OutputError: there is not enough disk space.
    """
    start, total = 0, response.length
    if response.status == http.HTTPStatus.PARTIAL_CONTENT:
        found = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", response.headers.get("Content-Range", "").strip())
        start = int(found[1]) if found else -1
        total = int(found[2]) if found and found[2] != "*" else None
    if None not in (remote.size, total) and total != remote.size:
        msg = f"{remote.url}: has {total:,} bytes, not the {remote.size:,} that were published: another file"
        raise DownloadError(msg)
    total = remote.size if total is None else total
    if response.status == http.HTTPStatus.PARTIAL_CONTENT:
        known = partial.about.get("size")
        if start != partial.size or (None not in (total, known) and total != known):
            partial.begin_again()  # not the requested bytes, or the length of the file has changed
            raise _TryAgainError("the file has changed on the server")
    else:  # complete file: first request, the file has changed, or the server does not support Range
        about = {"url": remote.url, "validator": _validator(response.headers), "size": total}
        partial.begin_again(**about)
    free = shutil.disk_usage(partial.path.parent).free
    if total is not None and total - partial.size > free:
        raise OutputError(
            f"{partial.path}: {total - partial.size:,} bytes are still to come, {free:,} are free; make room"
        )
    return total


def _validator(headers: Mapping[str, str]) -> str:
    """Return a validator for If-Range: a strong ETag, or the date."""
    etag = headers.get("ETag", "")
    return etag if etag and not etag.startswith("W/") else headers.get("Last-Modified", "")


def _refused(error: urllib.error.HTTPError, remote: Remote, partial: Partial) -> None:
    """Handle an answer other than 2xx; return if the file is already complete.

    Raises:
        DownloadError: the server refuses the file.
    """
    what = f"the server answers {error.code} {one_line(Exception(error.reason))}"
    if error.code == http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE and partial.size:
        if error.headers.get("Content-Range", "").strip() == f"bytes */{partial.size}":
            return  # nothing is missing
        partial.begin_again()
        raise _TryAgainError(f"{what}: its file is shorter than what is here")
    if error.code in _AGAIN:
        asked = error.headers.get("Retry-After", "")
        raise _TryAgainError(what, float(asked) if asked.isdecimal() else 0.0)
    advice = "; it may want a login" if error.code in {401, 403} else ""
    raise DownloadError(f"{remote.url}: {what}{advice}; nothing was fetched from it")
