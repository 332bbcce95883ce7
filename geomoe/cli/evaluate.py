"""``geomoe evaluate``: evaluate a checkpoint."""

from __future__ import annotations

import argparse

from geomoe.cli.console import Result, table_width
from geomoe.cli.parsing import Parser, UsageError
from geomoe.support.figures import FORMATS
from geomoe.support.files import check_folder

_DESCRIPTION = """\
Judge a checkpoint on one split of its data: overall, per-region and worst-region accuracy with
intervals, macro F1, calibration; for MoGE also the shared expert alone and each expert forced."""

_EXAMPLE = "geomoe evaluate --checkpoint runs/bluemarble/moge/all-seed0/checkpoints/best.ckpt --json"


def experts(text: str) -> str | int:
    """``all``, ``shared`` or the number of one expert."""
    if text in {"all", "shared"}:
        return text
    if text.isdecimal():
        return int(text)
    msg = f"expected all, shared or the number of an expert; got {text!r}"
    raise argparse.ArgumentTypeError(msg)


def parser() -> Parser:
    """The parser of this verb."""
    made = Parser("evaluate", _DESCRIPTION, _EXAMPLE)
    made.add_argument("--checkpoint", metavar="FILE", required=True, help="written by geomoe train")
    made.add_argument(
        "--split",
        default="test",
        metavar="NAME",
        help="test (default), val, train, held_out, or the data's own",
    )
    made.add_argument(
        "--experts", type=experts, default="all", metavar="all|shared|K", help="experts in use (default: all)"
    )
    made.add_argument(
        "--no-beside",
        action="store_true",
        help="leave out the further splits that are reported too (fmow-lao: pooled)",
    )
    made.add_argument("--output", metavar="DIR", help="also write report.json and figures there")
    made.add_argument(
        "--figure-format",
        choices=FORMATS,
        help="format of the figures in --output (default: png)",
    )
    made.add_argument(
        "--cell",
        type=float,
        metavar="DEGREES",
        help="side of the cells of the map in --output (default: 6, or less for a part of the Earth)",
    )
    made.add_data_of_run()
    made.add_device()
    return made


def run(args: argparse.Namespace) -> Result:
    """Evaluate the checkpoint and write the report."""
    if args.output:
        check_folder(args.output)
    elif args.figure_format is not None:
        raise UsageError("--figure-format: figures are written to --output DIR; give it too")
    elif args.cell is not None:
        raise UsageError("--cell: the map is written to --output DIR; give it too")
    if args.cell is not None:
        from geomoe.evaluation.reports.cells import check_cell

        check_cell(args.cell, 0.0)
    from geomoe.evaluation import evaluate

    report = evaluate(
        args.checkpoint,
        split=args.split,
        experts=args.experts,
        beside=not args.no_beside,
        data_root=args.data_root,
        device=args.device,
        allow_vrt=args.allow_vrt,
    )
    if args.output:
        report.save(args.output, args.figure_format or "png", args.cell)
    return Result(report.as_dict(), report.table(table_width()))
