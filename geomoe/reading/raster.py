"""Read images through GDAL: rasters of any band count, type and CRS, with nodata and location."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from rasterio.enums import ColorInterp, Interleaving, MaskFlags
from rasterio.windows import Window

from geomoe.errors import DataError, OverBudgetError
from geomoe.reading.location import corners_of, located, metres_per_pixel, place_of
from geomoe.reading.opening import name_of, open_raster
from geomoe.support.text import counted

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

#: Suffixes of the files in a folder that count as images.
SUFFIXES = (".tif", ".tiff", ".png", ".jpg", ".jpeg", ".jp2", ".webp", ".gif", ".bmp", ".vrt", ".img")
MOST_PIXELS = 2**26  # limit for one image that is read completely: 8192 x 8192
MOST_BYTES = 2**30  # limit for its values in float32, all bands together: 8192 x 8192 x 4
MOST_BLOCK = 2**30  # limit for a block of a file, which GDAL decodes whole even for one pixel
PICTURES = ("PNG", "JPEG", "WEBP", "GIF", "BMP")


class Header(NamedTuple):
    """Metadata of an image file, without its pixels.

    Attributes:
        bands: number of data bands (an alpha band does not count; a palette counts as three).
        height, width: size in pixels.
        dtype: type that can hold the values of every band.
        picture: whether it is a picture (PNG, JPEG, ...), whose single grey band may be repeated three times.
        lon, lat: degrees of the centre, from the file's georeference; NaN if it has none.
        unknown: why the place is unknown (``no georeference``, ``no CRS``, ...); empty if it is known.
        alpha: whether a band is marked as alpha and is therefore not data.
        gaps: whether pixels may lack data; False only if the header rules this out.
        metres: ground size of a pixel at the centre; NaN where unknown.
        corners: lon and lat of the four corners, in order around the image; NaN where unknown.
    """

    bands: int
    height: int
    width: int
    dtype: str
    picture: bool
    lon: float
    lat: float
    unknown: str
    alpha: bool
    gaps: bool
    metres: float
    corners: tuple[float, ...]


def read_header(path: str | os.PathLike[str], vrt_root: Path | None = None) -> Header:
    """Read the header of one file.

    Args:
        path: the file.
        vrt_root: folder that must contain all sources of a VRT; None: VRTs are refused.

    Raises:
        DataError: the file is unreadable, has no bands, or holds complex numbers.
        OverBudgetError: its blocks are too large to be decoded.
    """
    with open_raster(path, vrt_root) as source:
        refuse_unusable(source, path)
        refuse_costly(source, 0)
        if source.driver == "GTiff":  # a truncated file lacks its last pixel
            source.read(source.count, window=Window(source.width - 1, source.height - 1, 1, 1))
        data = data_bands(source)
        lonlat, unknown = place_of(source, source.width / 2, source.height / 2)
        picture, palette = source.driver in PICTURES, _palette(source)
        bands = 3 if palette else len(data)
        size, dtype = (source.height, source.width), np.result_type(*source.dtypes)
        more = {"alpha": ColorInterp.alpha in source.colorinterp, "gaps": _may_have_gaps(source, dtype)}
        metres = metres_per_pixel(located(source), source.width / 2, source.height / 2)
        corners = tuple(corners_of(source).ravel().tolist())
        return Header(
            bands, *size, dtype.name, picture, *lonlat, unknown, metres=metres, corners=corners, **more
        )


def refuse_unusable(source: Any, where: object) -> None:  # noqa: ANN401 - an open rasterio data set
    """Refuse rasters that no network can read, in training and in prediction alike.

    Raises:
        DataError: the raster has no bands, or complex numbers, whose imaginary part would be lost.
    """
    if source.count == 0:
        raise DataError(f"{where}: holds no image of its own, but sub-data sets; extract one of them")
    unreal = [kind for kind in source.dtypes if "complex" in kind]
    if unreal:
        raise DataError(f"{where}: complex values ({unreal[0]}); give intensities")


def _may_have_gaps(source: Any, dtype: np.dtype[Any]) -> bool:  # noqa: ANN401 - an open rasterio data set
    """Return whether :func:`read_pixels` may find missing pixels: mask, missing palette colour, or NaN."""
    masked = any(MaskFlags.all_valid not in flags for flags in source.mask_flag_enums)
    colourless = _palette(source) and len(source.colormap(1)) < 256
    return masked or colourless or dtype.kind not in "iu"


def data_bands(source: Any) -> list[int]:  # noqa: ANN401 - an open rasterio data set
    """Return the numbers of the non-alpha bands, counted from 1; of an animation, only the first frame's."""
    numbers = range(1, source.count + 1)
    if source.driver == "GIF":
        return [1]
    return [
        number for number, kind in zip(numbers, source.colorinterp, strict=True) if kind != ColorInterp.alpha
    ]


def read_pixels(
    source: Any,  # noqa: ANN401 - an open rasterio data set
    bands: Sequence[int] = (),
    window: tuple[int, int, int, int] | None = None,
) -> NDArray[np.float32]:
    """Return (bands, H, W) float32 raw values; NaN where data is missing (nodata, masks, alpha, NaN).

    Args:
        source: an open rasterio data set.
        bands: band numbers, counted from 1; empty: all data bands. A band requested by number is data even
            if the file marks it as alpha.
        window: left column, upper row, width, height; pixels outside the raster have no data.

    Raises:
        DataError: a band does not exist, or there are more pixels than an image may have.
    """
    if bands and max(bands) > source.count:
        has = counted(source.count, "band")
        raise DataError(f"{name_of(source)}: has {has}; data.bands asks for {max(bands)}")
    left, top, width, height = window or (0, 0, source.width, source.height)
    if width * height > MOST_PIXELS:
        msg = f"{name_of(source)}: {width} x {height} pixels are too many for one image"
        raise DataError(f"{msg}; a scene is cut into tiles (geomoe predict --tile)")
    chosen = list(bands) or data_bands(source)
    refuse_costly(source, len(chosen) * width * height * 4)
    inner = Window(
        max(left, 0),
        max(top, 0),
        min(left + width, source.width) - max(left, 0),
        min(top + height, source.height) - max(top, 0),
    )
    values = source.read(chosen, window=inner).astype(np.float32)
    masked = _masked(source, chosen, inner)
    if not bands and _palette(source):
        values, masked = _colours(source, values[0]), np.repeat(masked, 3, axis=0)
    values *= _brightness(source)
    values[masked | ~np.isfinite(values)] = np.nan
    if values.shape[1:] != (height, width):
        whole = np.full((len(values), height, width), np.nan, dtype=np.float32)
        row, column = max(-top, 0), max(-left, 0)
        whole[:, row : row + values.shape[1], column : column + values.shape[2]] = values
        values = whole
    return values


def refuse_costly(source: Any, needed: int) -> None:  # noqa: ANN401 - an open rasterio data set
    """Refuse, before memory is allocated, an image that is beyond the budget of one image.

    Args:
        source: an open rasterio data set.
        needed: bytes of its values in float32, all bands together.

    Raises:
        OverBudgetError: too many values, or blocks that are too large.
    """
    name = name_of(source)
    if needed > MOST_BYTES:
        bands = counted(source.count, "band")
        what = f"{needed / 2**30:.1f} GiB of values in {bands} are too many for one image"
        raise OverBudgetError(f"{name}: {what} (1 GiB); choose data.bands, or cut it (geomoe predict --tile)")
    together = source.count if source.interleaving == Interleaving.pixel else 1
    height, width = max(source.block_shapes, key=math.prod)
    if height * width * together * _itemsize(source.dtypes[0]) > MOST_BLOCK:
        what = f"blocks of {width} x {height} pixels have to be decoded whole"
        advice = "make tiles (gdal_translate -co TILED=YES)"
        raise OverBudgetError(f"{name}: {what}, too many for the memory; {advice}")


def over_budget(pixels: int, bands: int) -> str:
    """Return why an image with these numbers of pixels and bands is beyond the budget of one image, or empty.

    The result predicts from the header whether :func:`read_pixels` refuses the whole image.
    """
    if pixels > MOST_PIXELS:
        return f"{pixels / 1e6:,.0f} million pixels are too many for one image (67 million)"
    needed = pixels * bands * 4
    if needed > MOST_BYTES:
        what = f"{needed / 2**30:,.1f} GiB of values in {counted(bands, 'band')}"
        return f"{what} are too many for one image (1 GiB)"
    return ""


def _itemsize(kind: str) -> int:
    return 4 if kind == "complex_int16" else np.dtype(kind).itemsize  # numpy has no such type


def _masked(source: Any, chosen: list[int], window: Window) -> NDArray[np.bool_]:  # noqa: ANN401
    # A band requested as data masks nothing, even if it is marked as alpha (some writers do so for NIR).
    as_data = any(source.colorinterp[number - 1] == ColorInterp.alpha for number in chosen)
    masked = np.zeros((len(chosen), int(window.height), int(window.width)), dtype=bool)
    for position, number in enumerate(chosen):
        flags = source.mask_flag_enums[number - 1]
        if MaskFlags.all_valid in flags or (MaskFlags.alpha in flags and as_data):
            continue
        masked[position] = source.read_masks(number, window=window) == 0
    return masked


def _palette(source: Any) -> bool:  # noqa: ANN401
    return source.colorinterp[0] == ColorInterp.palette and (source.count == 1 or source.driver == "GIF")


def _colours(source: Any, numbers: NDArray[np.float32]) -> NDArray[np.float32]:  # noqa: ANN401
    table = np.full((65536 if source.dtypes[0] == "uint16" else 256, 4), np.nan, dtype=np.float32)
    for number, colour in source.colormap(1).items():
        table[number] = colour
    return table[numbers.astype(np.int64), :3].transpose(2, 0, 1).copy()


def _brightness(source: Any) -> float:  # noqa: ANN401
    """Return the factor that scales a grey picture of 1, 2 or 4 bits to 0..255, as viewers do."""
    bits = int(source.tags(1, ns="IMAGE_STRUCTURE").get("NBITS", 8))
    scaled = source.driver in PICTURES and bits < 8 and not _palette(source)
    return 255 / (2**bits - 1) if scaled else 1.0


def as_bands(values: NDArray[np.float32], count: int, picture: bool, where: str) -> NDArray[np.float32]:
    """Match the band count of the data set: repeat the band of a grey picture among colour ones.

    Raises:
        DataError: the number of bands does not fit.
    """
    if len(values) == 1 and count == 3 and picture:
        return np.repeat(values, 3, axis=0)
    if len(values) != count:
        has = counted(len(values), "band")
        raise DataError(f"{where}: has {has}, expected {count}; choose some with data.bands")
    return values


def read_bands(
    source: Any,  # noqa: ANN401 - an open rasterio data set
    bands: Sequence[int],
    count: int,
    where: object,
    window: tuple[int, int, int, int] | None = None,
) -> NDArray[np.float32]:
    """Return (count, H, W) float32 raw values of an open raster, NaN where data is missing.

    Training, statistics, caches and prediction all read through this function, so that all of them refuse the
    same images.

    Args:
        source: an open rasterio data set.
        bands: band numbers, counted from 1; empty: all data bands.
        count: number of bands that the data set has.
        where: the file, for errors.
        window: left column, upper row, width, height; None: the whole image, which must hold some data.

    Raises:
        DataError: no bands, complex numbers, another number of bands, too many pixels, or no data at all.
    """
    refuse_unusable(source, where)
    picture = source.driver in PICTURES
    values = as_bands(read_pixels(source, bands, window), count, picture, str(where))
    if window is None and np.isnan(values).all():
        raise DataError(f"{where}: holds no data: each pixel is nodata, masked or not finite; leave it out")
    return values


def load_image(
    path: str | os.PathLike[str],
    bands: Sequence[int],
    fill: NDArray[np.float32],
    window: tuple[int, int, int, int] | None = None,
    vrt_root: Path | None = None,
) -> torch.Tensor:
    """Read one file as (bands, H, W) float32 raw values; missing pixels get the value of ``fill``.

    Args:
        path: the file.
        bands: band numbers, counted from 1; empty: all data bands.
        fill: (bands,) value of missing pixels: the mean of the training images, which normalises to 0.
        window: left column, upper row, width, height.
        vrt_root: folder that must contain all sources of a VRT; None: VRTs are refused.

    Raises:
        DataError: the file is unreadable or holds no data, or its number of bands differs from that of
            ``fill``.
    """
    with open_raster(path, vrt_root) as source:
        values = read_bands(source, bands, len(fill), path, window)
    return torch.from_numpy(np.where(np.isnan(values), fill[:, None, None], values).astype(np.float32))


def sized(image: torch.Tensor, size: int | None) -> torch.Tensor:
    """Resize the whole image to (bands, size, size), the same way for training and prediction."""
    if size is None or image.shape[-2:] == (size, size):
        return image
    from torchvision.transforms.v2.functional import resize

    return resize(image, [size, size], antialias=True)
