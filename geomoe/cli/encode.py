"""``geomoe encode``: location embeddings for the points of a file."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path

from geomoe.cli.console import Result, rows
from geomoe.cli.parsing import Parser, whole
from geomoe.config.limits import MOST_DEGREE
from geomoe.config.rules import ENCODER_NAMES

_DESCRIPTION = """\
Write the location embedding of every point of a table (.csv, .tsv, .parquet, .gpkg, .shp, .geojson):
the columns that were there, has_location, and embedding_0, embedding_1, ... Rows stay in their order.
A row without lon and lat is an unknown place: it is kept, with has_location False. A row with only one
of them is an error. A .parquet output is GeoParquet with points."""

_EXAMPLE = "geomoe encode sites.csv --encoder sh --legendre-polys 10 --output sites.parquet"


def parser() -> Parser:
    """The parser of this verb."""
    made = Parser("encode", _DESCRIPTION, _EXAMPLE)
    made.add_argument(
        "points", metavar="POINTS", help="table with columns lon and lat, or with points in any CRS"
    )
    source = made.add_mutually_exclusive_group(required=True)
    source.add_argument("--encoder", metavar="NAME", choices=names(), help=f"one of {', '.join(names())}")
    source.add_argument("--checkpoint", metavar="FILE", help="the trained location encoder of a run instead")
    made.add_argument("--output", metavar="FILE", required=True, help=".csv or .parquet")
    made.add_argument("--weights", metavar="FILE|hf:NAME", help="pretrained weights (satclip needs them)")
    made.add_argument(
        "--legendre-polys",
        type=whole(1, MOST_DEGREE),
        metavar="L",
        help="for sh: L*L values, details of 20,015 / (L - 1) km (default: 10)",
    )
    made.add_argument(
        "--finest-km", type=float, metavar="KM", help="for fourier, which needs it: half the shortest wave"
    )
    made.add_argument("--capsules", type=int, nargs="+", choices=(0, 1, 2), help="for geoclip (default: 0)")
    made.add_argument(
        "--safe-csv", action="store_true", help="quote cells of a .csv that a spreadsheet takes for formulas"
    )
    made.add_argument("--lon", metavar="COLUMN", help="column of longitudes (default: points, or lon)")
    made.add_argument("--lat", metavar="COLUMN", help="column of latitudes (default: points, or lat)")
    return made


def names() -> list[str]:
    """Names of the encoders of places, without ``domain``, which encodes ids."""
    return [name for name in ENCODER_NAMES if name != "domain"]


def run(args: Namespace) -> Result:
    """Read the points, encode them, and write the embeddings."""
    points, output = Path(args.points), Path(args.output)
    from geomoe.inference.points import EncodeOptions, encode_points

    options = EncodeOptions(
        encoder=args.encoder,
        checkpoint=args.checkpoint,
        weights=args.weights,
        legendre_polys=args.legendre_polys,
        finest_km=args.finest_km,
        capsules=tuple(args.capsules) if args.capsules else None,
        lon=args.lon,
        lat=args.lat,
        safe_csv=args.safe_csv,
    )
    facts = encode_points(points, output, options)._asdict()
    return Result(facts, rows(facts))
