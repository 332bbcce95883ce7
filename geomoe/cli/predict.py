"""``geomoe predict``: predictions of a checkpoint for images, folders, tables and scenes."""

from __future__ import annotations

import shlex
from argparse import Namespace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from geomoe.cli.console import Result, progress, rows
from geomoe.cli.parsing import Parser, columns, whole
from geomoe.config.limits import MOST_SIDE
from geomoe.support.files import check_folder, no_empty_folders

if TYPE_CHECKING:
    from geomoe.support.progress import Count

_DESCRIPTION = """\
Classify images with a checkpoint. INPUT is an image, a folder, a table (.csv, .tsv, .parquet, .gpkg, .shp or
.geojson with filename, optional lon, lat and domain), or several of these. Images take their place from the
table's columns or points, else from their own georeference, in any CRS; one without a place is an unknown
place. With a .tif output the one INPUT is a scene of any size: it is cut into tiles and a classified raster
is written."""

_EXAMPLE = (
    "geomoe predict --checkpoint runs/folder/moge/all-seed0/checkpoints/best.ckpt new/ --output new.geojson"
)


#: Suffix of a further file that is written with the output -> its name in the result.
_BESIDE = {".csv": "listed", ".tif": "scores", ".tiff": "scores", ".xml": "attribute_table", ".qml": "style"}


def parser() -> Parser:
    """The parser of this verb."""
    made = Parser("predict", _DESCRIPTION, _EXAMPLE)
    made.add_argument("inputs", metavar="INPUT", nargs="+", help="images, folders, tables; or one scene")
    made.add_argument("--checkpoint", metavar="FILE", required=True, help="written by geomoe train")
    made.add_argument("--output", metavar="FILE", required=True, help=".csv, .parquet, .geojson, or .tif")
    made.add_argument("--data-root", metavar="DIR", help="folder of a table's images (default: its own)")
    made.add_argument(
        "--columns",
        type=columns,
        metavar="PART=COLUMN,...",
        help="columns of a table that have other names: filename=image,lon=x,lat=y",
    )
    made.add_argument(
        "--tile",
        type=whole(1, MOST_SIDE),
        metavar="PIXELS",
        help="cut images into tiles of this side (a scene's default: the training images' side)",
    )
    made.add_argument(
        "--overlap",
        type=float,
        choices=(0.0, 0.5, 0.75),
        default=0.5,
        help="share of a tile's side that its neighbour also sees: 0, 0.5 or 0.75 (default: 0.5)",
    )
    made.add_argument(
        "--allow-vrt", action="store_true", help="read .vrt files; what they name has to lie in their folder"
    )
    made.add_argument(
        "--match-gsd",
        action="store_true",
        help="cut images and tiles to the ground that training images covered, by their georeference",
    )
    made.add_argument("--probabilities", action="store_true", help="a column for each class's probability")
    made.add_argument(
        "--safe-csv", action="store_true", help="quote cells of a .csv that a spreadsheet takes for formulas"
    )
    made.add_argument(
        "--colors",
        metavar="FILE",
        help="of a .tif: .csv (name,color) or .json, a colour #rrggbb for each class",
    )
    made.add_argument("--resume", action="store_true", help="go on with an interrupted prediction")
    made.add_batches()
    made.add_device()
    return made


def run(args: Namespace) -> Result:
    """Read, predict and write; report what was written and what was skipped."""
    output = Path(args.output)
    check_folder(output.parent)
    from geomoe.inference import load
    from geomoe.inference.files import predict_files

    with no_empty_folders(output.parent), progress(_predicted, quiet=args.quiet, parts=1) as told:

        def tell(done: int, total: int, skipped: int) -> None:
            told(done, total, note=f", {skipped} skipped" if skipped else "")

        summary = predict_files(
            load(args.checkpoint, args.device),
            [Path(word) for word in args.inputs],
            output,
            data_root=args.data_root,
            tile=args.tile,
            overlap=args.overlap,
            batch_size=args.batch_size,
            num_workers=args.num_workers,
            probabilities=args.probabilities,
            resume=args.resume,
            allow_vrt=args.allow_vrt,
            match_gsd=args.match_gsd,
            safe_csv=args.safe_csv,
            columns=args.columns,
            colors=args.colors,
            progress=tell,
        )
    facts: dict[str, Any] = {"output": output, "predicted": summary.predicted}
    facts |= {"skipped": len(summary.skipped), "unknown_places": summary.unknown_places}
    facts |= {"empty_tiles": summary.empty} if summary.empty else {}
    facts |= {"resumed": summary.resumed} if summary.resumed else {}
    shown = dict(facts)
    for path in summary.files[1:]:
        shown[_BESIDE[path.suffix.lower()]] = path
    data = {**facts, "files": summary.files, "skipped_images": [skip._asdict() for skip in summary.skipped]}
    return Result(data, rows(shown))


def resume_hint(args: Namespace, argv: list[str]) -> str:
    """The command that resumes an interrupted prediction, if it left any results."""
    from geomoe.inference.journal import partial_path

    if not partial_path(Path(args.output)).exists():
        return ""
    words = [word for word in argv if word != "--resume"]
    return f"; go on with: {shlex.join(['geomoe', 'predict', *words, '--resume'])}"


def _predicted(count: Count) -> str:
    return f"{count.of('images')} done{count.note}"  # skipped ones are among them
