"""Checks before any work: folders hold only runs of this spec, and the data can be opened."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from geomoe.catalogue import METHODS
from geomoe.config.rules import refuse
from geomoe.errors import ConfigError
from geomoe.training.runfolder import RunFolder, different_keys

if TYPE_CHECKING:
    from collections.abc import Iterator

    from geomoe.algorithms import Facts
    from geomoe.bench.planning.plan import Plan
    from geomoe.datasets.base import LabelledImages


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
    """Open the data once for each held-out domain, to report what is missing before anything is trained.

    Raises:
        ConfigError: a held-out domain does not exist or has no test samples, or a method compares domains and
            the data has too few.
        DatasetNotFoundError: the data is missing.
        DataError: it is damaged, or has no samples to train on.
    """
    from geomoe.build import build_datamodule  # needs torchgeo
    from geomoe.training.task_facts import facts_of

    first, faults = {run.held_out: run for run in reversed(plan.runs)}, list[str]()
    for run in first.values():
        config = plan.config(run)
        data = build_datamodule(config)
        data.prepare_data()
        data.setup("fit")
        if run.held_out is not None and run.held_out not in _domains_of(data.dataset("test")):
            faults.append(
                f"held_out: the test split of {config.data.name} has no sample of {run.held_out}; hold out "
                f"another domain ({plan.spec.source})"
            )
        facts = facts_of(config, data)
        for row in plan.rows.values():
            same = replace(row.config.data, held_out=run.held_out, split_seed=config.data.split_seed)
            if same == config.data:
                faults += _too_few_domains(row.algorithm, facts)
    refuse(faults)


def _domains_of(samples: LabelledImages) -> set[str]:
    return {samples.regions[number] for number in set(samples.domains.tolist()) if number >= 0}


def _too_few_domains(algorithm: str, facts: Facts) -> Iterator[str]:
    from geomoe.algorithms.contract import need_domains  # needs torch

    try:
        need_domains(facts, algorithm, METHODS[algorithm].domains)
    except ConfigError as error:
        yield str(error)
