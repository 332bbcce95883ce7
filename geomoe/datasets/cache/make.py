"""Make an image cache in parallel; an interrupted one is resumed, and only a complete one is visible."""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from geomoe.datasets.cache.chunks import ADVICE, Chunks, Sources, gather
from geomoe.datasets.cache.pixels import INDEX, PIXELS, ROWS, ImageCache, digest
from geomoe.errors import DataError, InputError, OutputError
from geomoe.support.arrays import map_array
from geomoe.support.bounded import parse_json, read_json
from geomoe.support.files import read_text, reason
from geomoe.support.locks import lock, release
from geomoe.support.plain import from_plain
from geomoe.support.text import counted
from geomoe.support.workers import open_loader

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray

    from geomoe.datasets.base import LabelledImages

CHUNK = 256  # images that are decoded, hashed and written together
CHUNK_BYTES = 2**26  # limit of a chunk: every worker holds one in memory
PLAN, DONE = "plan.json", "done.jsonl"


def make_cache(
    path: Path,
    parts: Sequence[LabelledImages],
    *,
    workers: int = 0,
    tell: Callable[[int, int], None] = lambda done, total: None,
) -> ImageCache:
    """Decode every image of some splits into a cache; resume a partial cache, verify a finished one.

    Args:
        path: folder of the cache, from :func:`~geomoe.datasets.cache.use.cache_path`.
        parts: the splits; an image in several of them is decoded once.
        workers: number of decoding processes; 0: this process.
        tell: called with the number of finished images and the total.

    Raises:
        DataError: images of several sizes or types, no readable image, or a finished cache whose pixels
            have changed.
        OutputError: the folder cannot be written, is full, or is in use by another process.
    """
    sources = gather(parts)
    if (path / INDEX).is_file():
        cache = ImageCache(path)
        if np.isin(sources.rows, cache.rows).all():
            cache.verify()
            return cache
    partial = path.with_name(path.name + ".partial")
    try:
        partial.mkdir(parents=True, exist_ok=True)
        with _alone(partial):
            return _make(path, partial, sources, workers, tell)
    except OSError as error:
        if isinstance(error, OutputError):
            raise
        raise OutputError(f"{partial}: cannot be written: {reason(error)}; {ADVICE}") from error


def _make(
    path: Path, partial: Path, sources: Sources, workers: int, tell: Callable[[int, int], None]
) -> ImageCache:
    total, first = len(sources.rows), _first(sources)
    chunk = max(1, min(CHUNK, CHUNK_BYTES // first.nbytes))
    plan = {
        "images": total,
        "rows_sha256": hashlib.sha256(np.ascontiguousarray(sources.rows).data).hexdigest(),
        "shape": list(first.shape),
        "dtype": first.dtype.name,
        "image_size": sources.parts[0].image_size,
        "image_key": sources.parts[0].image_key,
        "chunk": chunk,
    }
    done = _begun(partial, plan)
    if done is None:
        done = _begin(partial, plan, sources)
    tell(min(total, len(done) * chunk), total)
    missing = [number for number in range(-(-total // chunk)) if number not in done]
    with (partial / DONE).open("a", encoding="utf-8") as journal:
        for result in _work(Chunks(sources, partial / PIXELS, chunk), missing, workers):
            if "fault" in result:
                raise DataError(f"{path.name}: {result['fault']}")
            done[result["chunk"]] = result
            journal.write(json.dumps(result) + "\n")
            journal.flush()
            os.fsync(journal.fileno())
            tell(min(total, len(done) * chunk), total)
    return _finish(path, partial, plan, done)


def _work(chunks: Chunks, numbers: list[int], workers: int) -> Iterator[dict[str, Any]]:
    loader = open_loader(
        chunks,
        num_workers=min(workers, len(numbers)),
        tensors=0,
        batch_size=None,
        sampler=numbers,
        collate_fn=_as_it_is,
    )
    return iter(loader)


def _as_it_is(result: Any) -> Any:  # noqa: ANN401 - whatever a chunk returns
    return result


def _first(sources: Sources) -> NDArray[Any]:
    """Return the first readable image: all others must have its shape and type."""
    problem = ""
    for k in range(len(sources.rows)):
        try:
            return sources.open(k)
        except DataError as error:
            problem = problem or str(error)
        except ValueError as error:
            raise DataError(str(error)) from error
    count = counted(len(sources.rows), "image")
    raise DataError(f"none of {count} can be read; the first: {problem or 'no images'}")


def _begin(partial: Path, plan: dict[str, Any], sources: Sources) -> dict[int, dict[str, Any]]:
    for old in (PLAN, DONE, PIXELS, ROWS):
        (partial / old).unlink(missing_ok=True)
    shape, kind = (len(sources.rows), *plan["shape"]), np.dtype(plan["dtype"])
    needed, free = math.prod(shape) * kind.itemsize, shutil.disk_usage(partial).free
    if needed > free:
        raise OutputError(f"{partial}: {needed / 1e9:.1f} GB are needed, {free / 1e9:.1f} are free; {ADVICE}")
    np.save(partial / ROWS, sources.rows)
    np.lib.format.open_memmap(partial / PIXELS, mode="w+", dtype=kind, shape=shape).flush()
    (partial / PLAN).write_text(json.dumps(plan), encoding="utf-8")  # last: a plan marks a cache as begun
    return {}


@dataclass(frozen=True)
class _Done:
    """The journal's entry on one chunk."""

    chunk: int
    sha256: str
    unreadable: tuple[tuple[int, str], ...]

    def __post_init__(self) -> None:
        """Check the number, which is a position.

        Raises:
            InputError: it is negative.
        """
        if self.chunk < 0:
            raise InputError("chunk: must not be negative")


def _begun(partial: Path, plan: dict[str, Any]) -> dict[int, dict[str, Any]] | None:
    """Return the chunks that an interrupted process completed; None if it followed another plan."""
    try:
        if read_json(partial / PLAN) != plan:
            return None
        pixels = map_array(partial / PIXELS)
        lines = read_text(partial / DONE).splitlines() if (partial / DONE).exists() else []
    except (OSError, ValueError):
        return None
    done = {}
    for line in lines:
        with contextlib.suppress(ValueError):  # the line may be truncated by a kill
            result = parse_json(line)
            from_plain(_Done, result)
            begin = result["chunk"] * plan["chunk"]
            block = np.ascontiguousarray(pixels[begin : begin + plan["chunk"]])
            if hashlib.sha256(block.data).hexdigest() == result["sha256"]:
                done[result["chunk"]] = result
    return done


def _finish(path: Path, partial: Path, plan: dict[str, Any], done: dict[int, dict[str, Any]]) -> ImageCache:
    ordered = [done[number] for number in sorted(done)]
    bad = sorted(tuple(pair) for result in ordered for pair in result["unreadable"])
    index = {**plan, "chunks_sha256": [result["sha256"] for result in ordered], "unreadable": bad}
    index["sha256"] = digest({**index, "unreadable": [list(pair) for pair in bad]})
    (partial / INDEX).write_text(json.dumps(index, indent=1) + "\n", encoding="utf-8")
    ImageCache(partial).verify()  # verify what is on disk
    if path.exists():  # an older cache lacked some of these images
        old = path.with_name(path.name + ".old")
        shutil.rmtree(old, ignore_errors=True)
        path.rename(old)
        partial.rename(path)
        shutil.rmtree(old, ignore_errors=True)
    else:
        partial.rename(path)
    for extra in (PLAN, DONE):
        (path / extra).unlink()
    return ImageCache(path)


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Lock a folder against other processes; on Windows, two would write the same chunks twice."""
    if os.name == "nt":
        yield
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        lock(handle, folder, "making this cache")
        yield
    finally:
        release(handle)
        os.close(handle)
