"""``geomoe diagnose``: what experts and routers do, and whether the place matters."""

from __future__ import annotations

import argparse

from geomoe.cli.console import Result, table_width
from geomoe.cli.parsing import Parser, whole
from geomoe.config.limits import MOST_SEED
from geomoe.support.files import check_folder

_DESCRIPTION = """\
Look into one checkpoint, or compare several of one architecture on the same data: routing, experts,
alignment, what a probe reads from the features, whether answers depend on the place, stability of the
routing over checkpoints, and red flags in words. Each image is read once."""

_EXAMPLE = "geomoe diagnose --checkpoint a/best.ckpt --checkpoint b/best.ckpt --output diagnosis"


def distances(text: str) -> tuple[float, ...]:
    """Read distances such as 1,10,100."""
    try:
        return tuple(float(part) for part in text.split(",")) if text else ()
    except ValueError:
        msg = f"expected distances in km such as 1,10,100; got {text!r}"
        raise argparse.ArgumentTypeError(msg) from None


def parser() -> Parser:
    """The parser of this verb."""
    made = Parser("diagnose", _DESCRIPTION, _EXAMPLE)
    made.add_argument(
        "--checkpoint",
        metavar="FILE",
        required=True,
        action="append",
        help="written by geomoe train; repeatable",
    )
    made.add_argument(
        "--split", default="val", metavar="NAME", help="val (default), test, train, or the data's own"
    )
    made.add_argument(
        "--split-of",
        choices=("common", "first"),
        default="common",
        help="for several checkpoints: samples that all their splits have (default), or the first one's",
    )
    made.add_argument("--output", metavar="DIR", help="also write diagnosis.html and diagnosis.json there")
    made.add_argument(
        "--samples",
        type=whole(0, 10**9),
        default=5000,
        metavar="N",
        help="drawn from the split; 0: all (default: 5000)",
    )
    made.add_argument(
        "--km",
        type=distances,
        default=(1.0, 10.0, 100.0),
        metavar="KM,KM",
        help="distances by which places are jittered (default: 1,10,100)",
    )
    made.add_argument(
        "--permutations",
        type=whole(0, 100_000),
        default=200,
        metavar="N",
        help="for each null distribution; 0: none (default: 200)",
    )
    made.add_argument(
        "--climate", action="store_true", help="also compare the routing with climate zones (extra: climate)"
    )
    made.add_argument(
        "--alpha", type=float, default=4.0, help="sharpness of the responsibilities (default: 4)"
    )
    made.add_argument(
        "--top", type=float, default=10.0, metavar="PERCENT", help="share of the slots selected (default: 10)"
    )
    made.add_argument(
        "--seed", type=whole(0, MOST_SEED), default=0, help="seed of samples, places, folds and permutations"
    )
    made.add_batches()
    made.add_data_of_run()
    made.add_device()
    return made


def run(args: argparse.Namespace) -> Result:
    """Diagnose the checkpoints and write the report."""
    if args.output:
        check_folder(args.output)
    from geomoe.diagnose import diagnose

    report = diagnose(
        args.checkpoint,
        split=args.split,
        split_of=args.split_of,
        samples=args.samples,
        km=args.km,
        permutations=args.permutations,
        climate=args.climate,
        alpha=args.alpha,
        top_percent=args.top,
        seed=args.seed,
        batch_size=args.batch_size,
        num_workers=args.num_workers,
        data_root=args.data_root,
        device=args.device,
        allow_vrt=args.allow_vrt,
    )
    if args.output:
        report.save(args.output)
    return Result(report.as_dict(), report.table(table_width()))
