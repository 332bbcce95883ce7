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

    from numpy.typing import NDArray

    from geomoe.datasets.base import LabelledImages
    from geomoe.inference import Predictor

MOST = len(string.ascii_uppercase)


def names_of(count: int) -> list[str]:
    """The names of ``count`` checkpoints: A, B, C, ..."""
    return list(string.ascii_uppercase[:count])


def check_files(files: Sequence[Path]) -> Sequence[Path]:
    """Check the number of checkpoint files, and that they differ; return them.

    Raises:
        InputError: no file, too many, or the same file twice.
    """
    if not 1 <= len(files) <= MOST:
        raise InputError(f"checkpoint: expected 1 to {MOST} files; got {len(files)}")
    real = [file.resolve() for file in files]
    for number, file in enumerate(files):
        if real[number] in real[:number]:
            raise InputError(f"checkpoint: {file} is given twice; give different files")
    return files


def check_together(
    files: Sequence[Path], predictors: Sequence[Predictor], datasets: Sequence[LabelledImages]
) -> None:
    """Refuse checkpoints that do not fit together.

    Raises:
        InputError: another data set, other domains, image size, number of experts or layers with experts than
            the first one has.
    """
    first, *others = zip(files, predictors, datasets, strict=True)
    for other in others:
        for what, mine, theirs in _facts(first, other):
            if mine != theirs:
                said = f"checkpoint: {other[0]} does not fit {first[0]}: {what} {theirs}, not {mine}"
                raise InputError(f"{said}; diagnose them apart")


def common_samples(
    files: Sequence[Path], datasets: Sequence[LabelledImages], split: str
) -> NDArray[np.int64]:
    """Rows of the first split whose samples are in the split of every checkpoint.

    Runs that held out other domains, or had other sources, have other samples in a split.

    Raises:
        InputError: no sample in common.
    """
    rows = datasets[0].rows
    common = np.ones(len(rows), dtype=bool)
    for file, dataset in zip(files[1:], datasets[1:], strict=True):
        common &= np.isin(rows, dataset.rows)
        if not common.any() and len(common):
            msg = f"checkpoint: {file} has no sample of the split {split} in common with {files[0]}"
            raise InputError(f"{msg}; choose another --split, or --split-of first")
    return np.flatnonzero(common)


def _facts(
    first: tuple[Path, Predictor, LabelledImages], other: tuple[Path, Predictor, LabelledImages]
) -> list[tuple[str, object, object]]:
    (_, one, mine), (_, two, theirs) = first, other
    own, its = experts_in(one), experts_in(two)
    return [
        ("data set", one.config.data.name, two.config.data.name),
        ("version of the data", str(mine.data_hash)[:12], str(theirs.data_hash)[:12]),
        ("number of domains", len(mine.regions), len(theirs.regions)),
        ("image size", one.config.model.image_size, two.config.model.image_size),
        ("layers with experts", ", ".join(own.layers) or "none", ", ".join(its.layers) or "none"),
        ("number of experts", own.experts, its.experts),
    ]
