"""Checks before any work: folders hold only runs of this spec, and the data can be opened."""

from __future__ import annotations

from typing import TYPE_CHECKING

from geomoe.config.rules import refuse
from geomoe.training.runfolder import RunFolder, different_keys

if TYPE_CHECKING:
    from collections.abc import Iterator

    from geomoe.bench.planning.plan import Plan


def check_folders(plan: Plan) -> None:
    """Refuse folders with runs of another configuration; runs that depend on others are checked by training.

    Raises:
        ConfigError: lists every such folder with the keys that differ.
    """
    refuse(_faults(plan))


def _faults(plan: Plan) -> Iterator[str]:
    for run in plan.runs:
        folder = RunFolder(plan.folder(run))
        waits = plan.rows[run.label].twin is not None and plan.rows[run.label].config.model.mlp_ratio is None
        if waits or not plan.known_before(run) or not (folder.path / "config.yaml").exists():
            continue
        changed = different_keys(
            folder.read_config().as_dict(), folder.keep_choice(plan.config(run)).as_dict()
        )
        if changed:
            how = "choose another --output or label, or remove it"
            yield f"{folder.path}: a run of another configuration is there: {'; '.join(changed)}; {how}"


def check_data(plan: Plan) -> None:
    """Open the data once for each held-out domain, to report missing data before anything is trained.

    Raises:
        ConfigError: a held-out domain does not exist.
        DatasetNotFoundError: the data is missing.
        DataError: it is damaged, or has no samples to train on.
    """
    from geomoe.build import build_datamodule  # needs torchgeo

    first = {run.held_out: run for run in reversed(plan.runs)}
    for run in first.values():
        data = build_datamodule(plan.config(run))
        data.prepare_data()
        data.setup("fit")
