"""``geomoe encode``: location embeddings for the points of a file."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path
from typing import TYPE_CHECKING

from geomoe.cli.console import Result, rows
from geomoe.cli.parsing import Parser, positive_int
from geomoe.config.rules import ENCODER_NAMES
from geomoe.errors import InputError
from geomoe.support.files import check_folder, no_empty_folders

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

SUFFIXES = (".csv", ".parquet")

_DESCRIPTION = """\
Write the location embedding of every point of a CSV or (Geo)Parquet file: the columns that were
there, has_location, and embedding_0, embedding_1, ... Rows stay in their order. A row without lon
and lat is an unknown place: it is kept, with has_location False. A row with only one of them is an
error. A .parquet output is GeoParquet with points."""

_EXAMPLE = "geomoe encode sites.csv --encoder sh --legendre-polys 10 --output sites.parquet"


def parser() -> Parser:
    """The parser of this verb."""
    made = Parser("encode", _DESCRIPTION, _EXAMPLE)
    made.add_argument("points", metavar="POINTS", help=".csv, or .parquet with point geometry or columns")
    source = made.add_mutually_exclusive_group(required=True)
    source.add_argument("--encoder", metavar="NAME", choices=names(), help=f"one of {', '.join(names())}")
    source.add_argument("--checkpoint", metavar="FILE", help="the trained location encoder of a run instead")
    made.add_argument("--output", metavar="FILE", required=True, help=".csv or .parquet")
    made.add_argument("--weights", metavar="FILE|hf:NAME", help="pretrained weights (satclip needs them)")
    made.add_argument(
        "--legendre-polys", type=positive_int, metavar="L", default=10, help="of sh: L*L values (default: 10)"
    )
    made.add_argument(
        "--capsules", type=int, nargs="+", choices=(0, 1, 2), default=[0], help="of geoclip (default: 0)"
    )
    made.add_argument("--lon", metavar="COLUMN", default="lon", help="column of longitudes (default: lon)")
    made.add_argument("--lat", metavar="COLUMN", default="lat", help="column of latitudes (default: lat)")
    return made


def names() -> list[str]:
    """Encoders of places; the encoder ``domain`` is one of ids."""
    return [name for name in ENCODER_NAMES if name != "domain"]


def run(args: Namespace) -> Result:
    """Read, encode, write."""
    points, output = Path(args.points), Path(args.output)
    for path in (points, output):
        if path.suffix not in SUFFIXES:
            msg = f"{path}: expected a file that ends in {' or '.join(SUFFIXES)}"
            raise InputError(msg)
    if output.resolve() == points.resolve():
        msg = f"{output}: would overwrite the points; give another --output"
        raise InputError(msg)
    check_folder(output.parent)
    from geomoe.cli.points import embed, read_points, write_points

    table = read_points(points, args.lon, args.lat)
    embedding = embed(table.places, _encoder(args))
    with no_empty_folders(output.parent):
        write_points(table, embedding, output)
    known = int(table.places.has_location.sum())
    count, width = embedding.shape
    facts = {"output": output, "rows": count, "unknown_places": count - known, "dimensions": width}
    return Result(facts, rows(facts))


def _encoder(args: Namespace) -> Callable[[Tensor], Tensor]:
    """What turns (N, 2) places into (N, width) embeddings."""
    if args.checkpoint:
        from geomoe.inference import load

        predictor = load(args.checkpoint, "cpu")
        if predictor.encoder is None:
            msg = f"{args.checkpoint}: {predictor.config.algorithm} has no location encoder"
            raise InputError(msg)
        return predictor.encoder
    from geomoe.encoders import create_encoder

    capsules = tuple(args.capsules)
    encoder = create_encoder(
        args.encoder, weights=args.weights, legendre_polys=args.legendre_polys, capsules=capsules
    )
    return encoder.eval().features
