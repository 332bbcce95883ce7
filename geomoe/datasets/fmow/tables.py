"""Read the tables of FMoW in WILDS' v1.1 layout into compact columns.

``rgb_metadata.csv`` has 523,846 rows of about 700 bytes; only six columns are needed. The number of a row,
counted from 0 over all rows, is the number of its image. Columns are found by name. The column ``region`` is
not read: as in WILDS, the region follows from the country in ``country_code_mapping.csv``.
"""

from __future__ import annotations

import csv
import hashlib
import logging
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from geomoe.coords import check_lonlat
from geomoe.datasets.fmow.footprints import DOUBTFUL, MENDED, mend
from geomoe.datasets.fmow_names import CATEGORIES, REGIONS
from geomoe.errors import DataError, DatasetNotFoundError, one_line
from geomoe.support.files import read_text

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator

    from numpy.typing import NDArray

log = logging.getLogger(__name__)

FOLDER = "fmow_v1.1"
METADATA, MAPPING, IMAGES = "rgb_metadata.csv", "country_code_mapping.csv", "images"
CSV_SPLITS = ("train", "val", "test", "seq")
_COLUMNS = ("split", "category", "country_code", "timestamp", "lat", "lon")
ROWS = 523_846  # rows of the complete table
_FEW = 0.01  # tolerated share of rows whose country is not in the mapping


class Table(NamedTuple):
    """One entry for each row of ``rgb_metadata.csv``, sequestered rows included.

    Attributes:
        split: (N,) int8 position in CSV_SPLITS.
        label: (N,) int64 position in CATEGORIES.
        country: (N,) int64 position in ``countries``.
        region: (N,) int64 position in REGIONS.
        time: (N,) datetime64[us], UTC.
        lonlat: (N, 2) float64 degrees, longitude first; NaN, NaN where unknown.
        mended: (N,) int8 whether the place was repaired; see :mod:`geomoe.datasets.fmow.footprints`.
        remarks: notes for the user on the table.
        countries: ISO 3166-1 alpha-3 codes in alphabetical order, as written in the table.
        sha256: hash of everything that was read.
    """

    split: NDArray[np.int8]
    label: NDArray[np.int64]
    country: NDArray[np.int64]
    region: NDArray[np.int64]
    time: NDArray[np.datetime64]
    lonlat: NDArray[np.float64]
    mended: NDArray[np.int8]
    remarks: tuple[str, ...]
    countries: tuple[str, ...]
    sha256: str

    @property
    def year(self) -> NDArray[np.int64]:
        """Return (N,) calendar years, UTC."""
        return self.time.astype("datetime64[Y]").astype(np.int64) + 1970


def find_folder(root: str | os.PathLike[str]) -> Path:
    """Find the folder with the tables and ``images/``: ``root/fmow_v1.1`` (WILDS' location) or ``root``.

    Raises:
        DatasetNotFoundError: a part is missing; the message says what to get.
    """
    root = Path(root).expanduser()
    folder = root / FOLDER if (root / FOLDER).is_dir() else root
    missing = [name for name in (METADATA, MAPPING) if not (folder / name).is_file()]
    missing += [] if (folder / IMAGES).is_dir() else [f"{IMAGES}/"]
    if missing:
        msg = (
            f"{folder}: FMoW is not there: no {', no '.join(missing)}; get WILDS' fmow_v1.1 (50 GB, see "
            "`geomoe data info fmow`) and name the folder that holds it with --data-root"
        )
        raise DatasetNotFoundError(msg)
    return folder


def read_table(folder: Path) -> Table:
    """Read both tables; a process reads them again only if the files change.

    Raises:
        DataError: a column or value is invalid; the message names file, row and value.
        CoordinateError: a place is invalid.
    """
    stamps = [
        (path.stat().st_mtime_ns, path.stat().st_size) for path in (folder / METADATA, folder / MAPPING)
    ]
    return _read(folder.resolve(), tuple(stamps))


@lru_cache(maxsize=1)
def _read(folder: Path, stamps: tuple[tuple[int, int], ...]) -> Table:  # the stamps are part of the cache key
    path = folder / METADATA
    columns = _parse(path)
    split, names = _codes(columns, "split")
    split = _positions(names, CSV_SPLITS, path, "split", split)[split].astype(np.int8)
    label, names = _codes(columns, "category")
    label = _positions(names, CATEGORIES, path, "category", label)[label]
    country, countries = _codes(columns, "country_code")
    regions = read_mapping(folder / MAPPING)
    _tell_unknown(folder / MAPPING, country, [code not in regions for code in countries])
    region = np.array([REGIONS.index(regions.get(code, "Other")) for code in countries])[country]
    time = _times(columns, path)
    raw = np.stack([columns[name].to_numpy().astype(np.float64) for name in ("lon", "lat")], axis=1)
    lonlat, mended = mend(check_lonlat(raw, where=f"{path}: lon, lat").lonlat, country, countries)
    remarks = tuple(_mended(mended))
    for remark in remarks:
        log.info("%s: %s", path, remark)
    if len(split) != ROWS:
        log.warning("%s: has %d rows, a part of the %d of WILDS' FMoW", path, len(split), ROWS)
    arrays = {"split": split, "label": label, "country": country, "region": region}
    arrays |= {"time": time, "lonlat": lonlat, "mended": mended}
    digest = hashlib.sha256(repr((countries, REGIONS, CATEGORIES)).encode())
    for array in arrays.values():
        digest.update(np.ascontiguousarray(array).view(np.uint8).data)
        array.flags.writeable = False  # all splits share one table
    return Table(**arrays, countries=countries, remarks=remarks, sha256=digest.hexdigest())


def _parse(path: Path) -> Any:  # noqa: ANN401 - a pyarrow table
    import pyarrow as pa
    from pyarrow import csv as arrow_csv

    word, number = pa.dictionary(pa.int32(), pa.string()), pa.float64()
    kinds = dict.fromkeys(_COLUMNS, word) | {"timestamp": pa.timestamp("us", tz="UTC")}
    kinds |= {"lat": number, "lon": number}
    # Text such as NA stays text; this parser accepts whole and fractional seconds as ISO 8601.
    convert = arrow_csv.ConvertOptions(
        include_columns=_COLUMNS, column_types=kinds, strings_can_be_null=False
    )
    # Only then does an error name the row; and with several threads Arrow waits forever for one that the
    # machine had no memory for.
    in_order = arrow_csv.ReadOptions(use_threads=False)
    try:
        _refuse_doubles(path)
        return arrow_csv.read_csv(path, read_options=in_order, convert_options=convert).unify_dictionaries()
    except KeyError as error:
        msg = f"{path}: {one_line(error)}; expected the columns {', '.join(_COLUMNS)} of WILDS v1.1"
        raise DataError(msg) from error
    except (pa.ArrowInvalid, OSError) as error:
        msg = f"{path}: {one_line(error)}; the header is row 1; copy the file again"
        raise DataError(msg) from error
    finally:
        pa.default_memory_pool().release_unused()


def _refuse_doubles(path: Path) -> None:
    """Refuse repeated column names, of which the parser would silently take the last."""
    with path.open(encoding="utf-8-sig", errors="replace", newline="") as file:
        header = next(csv.reader(file), [])
    for name in _COLUMNS:
        if header.count(name) > 1:
            raise DataError(f"{path}: has several columns {name}; copy the file again")


def _codes(columns: Any, name: str) -> tuple[NDArray[np.int64], tuple[str, ...]]:  # noqa: ANN401
    """Return the positions of a column's values among its sorted unique values, and these values."""
    chunks = columns[name].combine_chunks()
    words = np.array(chunks.dictionary.to_pylist() if len(chunks) else [], dtype=object)
    order = np.argsort(words)
    rank = np.empty(len(words), dtype=np.int64)
    rank[order] = np.arange(len(words))
    return rank[chunks.indices.to_numpy()] if len(chunks) else rank, tuple(words[order])


def _positions(
    words: tuple[str, ...], known: tuple[str, ...], path: Path, name: str, codes: NDArray[np.int64]
) -> NDArray[np.int64]:
    for code, word in enumerate(words):
        if word not in known:
            row = int(np.flatnonzero(codes == code)[0])
            msg = (
                f"{path}: {name}: expected one of {len(known)} names such as {', '.join(known[:4])}; "
                f"row {row + 2} has {word!r} (the header is row 1)"
            )
            raise DataError(msg)
    return np.array([known.index(word) for word in words], dtype=np.int64)


def _times(columns: Any, path: Path) -> NDArray[np.datetime64]:  # noqa: ANN401 - a pyarrow table
    stamps = columns["timestamp"]
    time = stamps.to_numpy().astype("datetime64[us]")
    if not len(time):
        msg = f"{path}: a header without rows; copy the file again"
        raise DataError(msg)
    if stamps.null_count:
        row = int(np.flatnonzero(np.isnat(time))[0])
        msg = (
            f"{path}: timestamp: row {row + 2} has none (the header is row 1, {stamps.null_count} such rows)"
        )
        raise DataError(msg)
    return time


def read_mapping(path: Path) -> dict[str, str]:
    """Read the region of each country, by ISO 3166-1 alpha-3 code.

    A country without a region (Antarctica) is Other, like a country that is not listed.

    Raises:
        DataError: a column is missing, or a region is unknown to FMoW.
    """
    try:
        lines = read_text(path, DataError).splitlines()
    except UnicodeDecodeError as error:
        msg = f"{path}: not a table in UTF-8 ({one_line(error)}); copy the file again"
        raise DataError(msg) from error
    rows = csv.DictReader(lines)  # text stays text: Namibia's NA is not a missing value
    names = list(rows.fieldnames or ())
    missing = [name for name in ("alpha-3", "region") if name not in names]
    if missing:
        msg = f"{path}: no column {', '.join(missing)}; has {', '.join(names) or 'none'}"
        raise DataError(msg)
    found: dict[str, str] = {}
    for row in rows:
        code, region = row["alpha-3"], (row["region"] or "").strip() or "Other"
        if region not in REGIONS:
            msg = f"{path}: region: expected one of {', '.join(REGIONS)} or nothing; {code} has {region!r}"
            raise DataError(msg)
        if found.setdefault(code, region) != region:
            raise DataError(
                f"{path}: {code} comes twice, in {found[code]} and in {region}; keep the right one"
            )
    return found


def _tell_unknown(path: Path, country: NDArray[np.int64], unknown: list[bool]) -> None:
    """Report rows of unknown countries: if there are many, the mapping was probably truncated."""
    rows = np.array(unknown, dtype=bool)[country]
    if rows.any():
        level = logging.WARNING if rows.mean() > _FEW else logging.INFO
        text = "%s: does not have the countries of %d of %d rows (%d codes), which are of region Other"
        log.log(level, text, path, rows.sum(), len(rows), sum(unknown))


def _mended(mended: NDArray[np.int8]) -> Iterator[str]:
    done, doubtful = (int((mended == state).sum()) for state in (MENDED, DOUBTFUL))
    if done or doubtful:
        yield f"{done} footprints across the antimeridian mended, {doubtful} doubtful ones left as they are"
