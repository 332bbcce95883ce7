"""Checks before any work: folders hold only runs of this spec, and the data can be opened."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from geomoe.config.rules import refuse
from geomoe.errors import ConfigError
from geomoe.training.runfolder import RunFolder, different_keys

if TYPE_CHECKING:
    from collections.abc import Iterator

    from geomoe.bench.planning.plan import Plan
    from geomoe.config import RunConfig
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
    """Open the data once for each held-out domain, and build each row's network and method on it.

    Faults are so reported before anything is trained. Rows on other data (of a grid) are not built.

    Raises:
        ConfigError: a held-out domain does not exist or has no test samples, or a method cannot be trained on
            this data (too few domains, no known places) or with this backbone.
        DatasetNotFoundError: the data is missing.
        DataError: it is damaged, or has no samples to train on.
    """
    from geomoe.build import build_datamodule  # needs torchgeo

    first, faults = {run.held_out: run for run in reversed(plan.runs)}, list[str]()
    refused: set[str] = set()
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
        info = data.info()
        for other in (one for one in plan.runs if one.cell[1:] == run.cell[1:] and one.trial == 0):
            own = plan.config(other)
            if own.data == config.data and own.encoder.weights is None:  # their file has the sizes
                why = list(_cannot_train(other.label, own, info, data))
                faults += why
                refused |= {other.label} if why else set()
    good = [label for label, row in plan.rows.items() if row.twin is None and label not in refused]
    faults = list(dict.fromkeys(faults))  # each once, whatever is held out
    if len(refused) > 1 and good:  # as of "algorithms: all" on data with one domain
        faults[-1] += f" (the other rows can be trained: {','.join(good)})"
    refuse(faults)


def _domains_of(samples: LabelledImages) -> set[str]:
    return {samples.regions[number] for number in set(samples.domains.tolist()) if number >= 0}


def _cannot_train(
    label: str,
    config: RunConfig,
    info: dict[str, Any],
    data: Any,  # noqa: ANN401 - a data module
) -> Iterator[str]:
    import torch

    from geomoe.build import build_method
    from geomoe.training.task_facts import facts_of

    try:
        with torch.random.fork_rng(devices=[]):
            build_method(config, info, facts_of(config, data))
    except ConfigError as error:
        yield f"{label}: {error}"
