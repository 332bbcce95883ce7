"""Checkpoints that can be compared: one architecture, the same samples."""

from __future__ import annotations

import string
from typing import TYPE_CHECKING

import numpy as np

from geomoe.diagnose.sweep import experts_in
from geomoe.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from geomoe.datasets.base import LabelledImages
    from geomoe.inference import Predictor

MOST = len(string.ascii_uppercase)


def names_of(count: int) -> list[str]:
    """A, B, C, ..."""
    return list(string.ascii_uppercase[:count])


def check_files(files: Sequence[Path]) -> Sequence[Path]:
    """Return the files of checkpoints if they can be a set.

    Raises:
        InputError: none, too many, or one twice.
    """
    if not 1 <= len(files) <= MOST:
        raise InputError(f"checkpoint: expected 1 to {MOST} files; got {len(files)}")
    real = [file.resolve() for file in files]
    for number, file in enumerate(files):
        if real[number] in real[:number]:
            raise InputError(f"checkpoint: {file} is given twice; give different files")
    return files


def check_together(
    files: Sequence[Path], predictors: Sequence[Predictor], datasets: Sequence[LabelledImages], split: str
) -> None:
    """Refuse checkpoints that do not fit together.

    Raises:
        InputError: another data set, image size, number of experts or layers with experts, or other samples
            in the split than the first one has.
    """
    first, *others = zip(files, predictors, datasets, strict=True)
    for other in others:
        said = f"checkpoint: {other[0]} does not fit {first[0]}"
        for what, mine, theirs in _facts(first, other):
            if mine != theirs:
                raise InputError(f"{said}: {what} {theirs}, not {mine}; diagnose them apart")
        if not np.array_equal(first[2].rows, other[2].rows):
            both = " and ".join(f"{len(data)} with {_held_out(one)}" for _, one, data in (first, other))
            msg = f"{said}: other samples in the split {split}: {both}; "
            raise InputError(f"{msg}choose a --split that is the same for both, or diagnose them apart")


def _facts(
    first: tuple[Path, Predictor, LabelledImages], other: tuple[Path, Predictor, LabelledImages]
) -> list[tuple[str, object, object]]:
    (_, one, mine), (_, two, theirs) = first, other
    own, its = experts_in(one), experts_in(two)
    return [
        ("data set", one.config.data.name, two.config.data.name),
        ("version of the data", str(mine.data_hash)[:12], str(theirs.data_hash)[:12]),
        ("image size", one.config.model.image_size, two.config.model.image_size),
        ("layers with experts", ", ".join(own.layers) or "none", ", ".join(its.layers) or "none"),
        ("number of experts", own.experts, its.experts),
    ]


def _held_out(predictor: Predictor) -> str:
    held_out = predictor.config.data.held_out
    return f"{held_out} held out" if held_out else "nothing held out"
