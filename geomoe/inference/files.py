"""Predict image files: read, predict, journal, and write one table or one classified scene."""

from __future__ import annotations

import hashlib
import logging
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch

from geomoe.errors import DataError, InputError
from geomoe.inference.answers import Layout, write_answers
from geomoe.inference.ground import Ground, ground_of
from geomoe.inference.inputs import Images, Loaded, collect
from geomoe.inference.journal import Journal
from geomoe.inference.options import PredictOptions
from geomoe.inference.predictor import Predictor
from geomoe.inference.scene import Scene, beside, open_scene, write_scene
from geomoe.inference.skipped import EMPTY_TILE, list_of_skipped, skipped_of, write_skipped
from geomoe.inference.tiles import Item, Tiles, Tiling, make_tiling
from geomoe.reading.location import metres_per_pixel
from geomoe.reading.raster import MOST_PIXELS
from geomoe.reading.skips import Skip
from geomoe.support.content import size_and_time
from geomoe.support.files import path_of
from geomoe.support.legends import read_colours, refuse_foreign_style
from geomoe.support.options import call_options
from geomoe.support.text import counted, metres_text
from geomoe.support.workers import open_loader
from geomoe.types import Place

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from os import PathLike


log = logging.getLogger(__name__)

TABLES = (".csv", ".parquet", ".geojson")
SCENES = (".tif", ".tiff")


class Summary(NamedTuple):
    """The result of a prediction run.

    Attributes:
        files: written files: the output, and lists next to it.
        predicted: images or tiles with a prediction.
        skipped: images without a prediction, with reasons.
        empty: tiles of a scene without data.
        unknown_places: predictions for an unknown place.
        resumed: predictions taken from an interrupted run.
    """

    files: tuple[Path, ...]
    predicted: int
    skipped: list[Skip]
    empty: int
    unknown_places: int
    resumed: int


def predict_files(
    predictor: Predictor,
    inputs: Sequence[str | PathLike[str]] | str | PathLike[str],
    output: str | PathLike[str],
    options: PredictOptions | None = None,
    **changes: Any,  # noqa: ANN401 - fields of PredictOptions
) -> Summary:
    """Predict images, folders, tables of images, or one large scene.

    Args:
        predictor: from :func:`geomoe.load`.
        inputs: a file or folder, or several; for a scene one raster.
        output: .csv, .parquet or .geojson: one row for each image (or tile); .tif: the scene, classified.
        options: options of the prediction.
        **changes: fields of :class:`PredictOptions` by name: ``predict_files(..., tile=224)``.

    Raises:
        InputError: inputs do not exist, the output has an unsupported format, ``match_gsd`` with a
            checkpoint that does not know the ground size of its pixels, or colours that do not fit the
            classes.
        DataError: a table cannot be used, or no image can be read.
        OutputError: the output cannot be written.
    """
    asked = call_options(PredictOptions, options, changes)
    if not isinstance(predictor, Predictor):
        raise InputError(f"predictor: expected what geomoe.load returns; got {type(predictor).__name__}")
    several = inputs if isinstance(inputs, Iterable) and not isinstance(inputs, str | bytes) else [inputs]
    given = [path_of(one, "inputs") for one in several]
    if not given:
        raise InputError("inputs: expected at least one image, folder or table; got none")
    output = path_of(output, "output")
    as_scene = output.suffix.lower() in SCENES
    _check_output(output, [*given, *([Path(asked.colors)] if asked.colors is not None else [])], as_scene)
    colours = _colours(asked, predictor, as_scene)
    ground = ground_of(predictor.info, asked.match_gsd)
    vrt_root = given[0].parent if asked.allow_vrt and as_scene else None
    scene = open_scene(given, vrt_root) if as_scene else None
    trained = ground.pixels if asked.match_gsd else _source_pixels(predictor)
    side = asked.tile or (trained if as_scene else None)
    tiling = make_tiling(side, asked.overlap) if side else None
    if scene is not None and tiling is not None and asked.match_gsd:
        tiling = _fit_scene(ground, tiling, scene)
    items: Sequence[Item]
    skipped: list[Skip]
    if scene is not None and tiling is not None:
        whole = Item(scene.path.as_posix(), scene.path, vrt_root=vrt_root)
        items, skipped = Tiles(whole, tiling, scene.width, scene.height), []
    else:
        root = None if asked.data_root is None else Path(asked.data_root)
        items, skipped = collect(
            given, root, tiling, allow_vrt=asked.allow_vrt, ground=ground, columns=asked.columns
        )
    parts = tiling.size // tiling.step if tiling and as_scene else 1
    key = _key(predictor, items, parts) + (f" {ground}" if asked.match_gsd else "")
    with Journal(output, key, resume=asked.resume) as journal:
        resumed = len(journal.done)
        _ask_all(predictor, _images(predictor, items, journal, parts, ground), journal, asked, len(skipped))
        found = [*skipped, *skipped_of(items, journal)]
        counts = _counts(journal)
        _tell_doubts(journal, items)
        if not counts["predicted"]:
            journal.remove()
            what = f"{found[0].filename}: {found[0].reason}" if found else f"{given[0]}: holds no data"
            count = counted(len(items) + len(skipped), "image")
            raise DataError(f"none of {count} can be predicted; first: {what}")
        layout = Layout(predictor, probabilities=asked.probabilities, tiles=tiling is not None)
        files: tuple[Path, ...] = (output,)
        if scene is not None and tiling is not None:
            files = write_scene(scene, tiling, journal, layout, output, colours)
        else:
            write_answers(items, journal, layout, output, safe_csv=asked.safe_csv)
        files += write_skipped(found, output, safe_csv=asked.safe_csv)
        journal.remove()
    return Summary(files, counts["predicted"], found, counts["empty"], counts["unknown"], resumed)


def _check_output(output: Path, inputs: Sequence[Path], as_scene: bool) -> None:
    """Refuse, before any work, an output that cannot be written or would overwrite an input."""
    if not as_scene and output.suffix.lower() not in TABLES:
        raise InputError(f"{output}: expected a file that ends in {', '.join((*TABLES, '.tif'))}")
    given = {path.resolve() for path in inputs}
    for path in (output, list_of_skipped(output), *(beside(output) if as_scene else ())):
        if path.is_dir():
            raise InputError(f"{path}: is a folder; give a file as --output")
        if path.resolve() in given:
            raise InputError(f"{path}: would overwrite an input; give another --output")
    if as_scene:
        refuse_foreign_style(output)


def _colours(asked: PredictOptions, predictor: Predictor, as_scene: bool) -> list[str] | None:
    """Return the user's colours of the classes; None: they are chosen."""
    if asked.colors is None:
        return None
    if not as_scene:
        msg = f"{asked.colors}: colours are those of a classified raster; give --output a name in .tif"
        raise InputError(msg)
    return read_colours(asked.colors, predictor.classes)


def _source_pixels(predictor: Predictor) -> int:
    """Return the side of the training images in pixels, if the checkpoint has it."""
    return int(predictor.info.get("source_pixels") or predictor.config.model.image_size)


def _key(predictor: Predictor, items: Sequence[Item], parts: int) -> str:
    digest = hashlib.sha256(repr((predictor.config.as_dict(), parts)).encode())
    for name, value in predictor.model.state_dict().items():
        digest.update(name.encode())
        digest.update(value.detach().cpu().reshape(-1).view(torch.uint8).numpy().data)
    whole = [items.item] if isinstance(items, Tiles) else items
    if isinstance(items, Tiles):
        digest.update(repr((items.tiling, items.columns, items.rows)).encode())
    # the key includes the files' content, because predictions for a file that has changed are not valid
    states = {path: size_and_time(path) for path in {item.path for item in whole}}
    for item in whole:
        digest.update(repr((*item[2:5], str(item.path.absolute()), states[item.path])).encode())
    return digest.hexdigest()


def _fit_scene(ground: Ground, tiling: Tiling, scene: Scene) -> Tiling:
    metres = metres_per_pixel(scene.located, scene.width / 2, scene.height / 2)
    try:
        fitted = ground.tiling(tiling, metres)
    except DataError as error:
        raise DataError(f"{scene.path}: {error}") from error
    if fitted.size**2 > MOST_PIXELS:
        msg = f"{scene.path}: its pixels of {metres_text(metres)} are too small for --match-gsd: a tile"
        raise InputError(f"{msg} would have {fitted.size} x {fitted.size}; resample the scene first")
    return fitted


def _images(
    predictor: Predictor, items: Sequence[Item], journal: Journal, parts: int, ground: Ground
) -> Images:
    """Return the items without an answer, in the input shape of the network."""
    return Images(
        items,
        [number for number in range(len(items)) if number not in journal.done],
        bands=predictor.config.data.bands,
        fill=np.array(predictor.info["mean"], dtype=np.float32),
        size=predictor.config.model.image_size,
        domains=predictor.domains,
        parts=parts,
        pixel_types=predictor.info.get("pixel_types") or (),
        ground=ground,
    )


def _ask_all(
    predictor: Predictor,
    images: Images,
    journal: Journal,
    asked: PredictOptions,
    left_out: int,
) -> None:
    count = len(images.items)
    done, total = count - len(images) + left_out, count + left_out
    loader = open_loader(
        images,
        batch_size=asked.batch_size,
        num_workers=asked.num_workers,
        tensors=asked.batch_size,
        collate_fn=list,
        generator=torch.Generator(),
    )
    for batch in loader:
        journal.add(_ask(predictor, batch))
        done += len(batch)
        left_out += sum(bool(loaded.error) and loaded.error != EMPTY_TILE for loaded in batch)
        if asked.progress is not None:
            asked.progress(done, total, left_out)


def _ask(predictor: Predictor, batch: list[Loaded]) -> Iterator[dict[str, Any]]:
    read = [loaded for loaded in batch if loaded.image is not None]
    yield from ({"i": loaded.number, "error": loaded.error} for loaded in batch if loaded.image is None)
    if not read:
        return
    lonlat = torch.tensor([loaded.lonlat for loaded in read], dtype=torch.float64)
    place = Place.of(lonlat, torch.tensor([loaded.domain for loaded in read]))
    image = torch.stack([loaded.image for loaded in read if loaded.image is not None])
    output = predictor.forward(image, place)
    shares = output.logits.double().softmax(dim=1).cpu().numpy()
    weights = [routing.weights.double().cpu().numpy() for routing in output.routings]
    for row, loaded in enumerate(read):
        known = not np.isnan(loaded.lonlat[0])
        yield {
            "i": loaded.number,
            "at": list(loaded.lonlat) if known else None,
            **({"say": list(loaded.doubts)} if loaded.doubts else {}),
            "p": [float(f"{value:.7g}") for value in shares[row]],
            "w": [[float(f"{value:.7g}") for value in block[row]] for block in weights],
            "v": loaded.valid.astype(int).ravel().tolist(),
        }


def _counts(journal: Journal) -> dict[str, int]:
    counts = {"predicted": 0, "unknown": 0, "empty": 0}
    for record in journal.records():
        counts["predicted"] += "p" in record
        counts["unknown"] += "p" in record and record["at"] is None
        counts["empty"] += record.get("error") == EMPTY_TILE
    return counts


def _tell_doubts(journal: Journal, items: Sequence[Item]) -> None:
    """Log each reason for doubtful predictions, with their number and the first of them."""
    first: dict[str, int] = {}
    counts: Counter[str] = Counter()
    for record in journal.records():
        for doubt in record.get("say", ()):
            first.setdefault(doubt, record["i"])
            counts[doubt] += 1
    for doubt, count in counts.items():
        log.warning("%s: %d of the images; first: %s", doubt, count, items[first[doubt]].name)
