"""``geomoe map-experts``: draw a map of the routers' decisions."""

from __future__ import annotations

from argparse import Namespace

from geomoe.cli.console import Result
from geomoe.cli.parsing import Parser
from geomoe.support.figures import FORMATS
from geomoe.support.files import check_folder

_DESCRIPTION = """\
Ask a checkpoint's routers on a grid over the Earth, and write from one routing table: an
interactive page that needs no network (.html), a GeoTIFF (.tif) with names and colours beside it, a
GeoParquet (.parquet) and a figure (.png, .pdf or .svg)."""

_EXAMPLE = "geomoe map-experts --checkpoint runs/bluemarble/moge/all-seed0/checkpoints/best.ckpt --output map"


def parser() -> Parser:
    """The parser of this verb."""
    made = Parser("map-experts", _DESCRIPTION, _EXAMPLE)
    made.add_argument("--checkpoint", metavar="FILE", required=True, help="of a moge run")
    made.add_argument("--output", metavar="DIR", required=True, help="folder of the map")
    made.add_argument(
        "--step",
        type=float,
        metavar="DEGREES",
        help="side of a grid cell (default: 0.5, or less on a map of a small region)",
    )
    made.add_argument(
        "--bounds",
        type=float,
        nargs=4,
        metavar=("WEST", "SOUTH", "EAST", "NORTH"),
        help="part of the Earth, in degrees, grown to whole cells (default: where training places are, or "
        "all of it); across the "
        "antimeridian EAST is below WEST or beyond 180",
    )
    made.add_argument(
        "--support-km",
        type=float,
        metavar="KM",
        help="shares and verdicts count the land within KM of a training place (default: from the places)",
    )
    made.add_argument(
        "--colors",
        metavar="FILE",
        help=".csv (name,color) or .json: a colour #rrggbb for expert 0, expert 1, ...",
    )
    made.add_argument(
        "--figure-format",
        choices=FORMATS,
        default="png",
        help="format of figures (default: png)",
    )
    made.add_argument("--no-points", action="store_true", help="leave out the training and test points")
    made.add_data_of_run()
    made.add_device()
    return made


def run(args: Namespace) -> Result:
    """Draw the map and report where it is."""
    check_folder(args.output)
    from geomoe.mapping import map_experts

    bounds = None if args.bounds is None else tuple(args.bounds)
    drawn = map_experts(
        args.checkpoint,
        args.output,
        step=args.step,
        bounds=bounds,
        support_km=args.support_km,
        points=not args.no_points,
        data_root=args.data_root,
        device=args.device,
        allow_vrt=args.allow_vrt,
        colors=args.colors,
        figure_format=args.figure_format,
    )
    return Result({"files": drawn.files, **drawn.report.as_dict()}, drawn.text())
