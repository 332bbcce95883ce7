"""Dense twins of methods with experts: the same backbone without experts and with wider MLPs.

A twin is trained by the baseline method. Its MLPs are so wide that it has as many parameters as the network
with experts, or needs as many floating-point operations for an update. Both are linear in the width, so two
narrow networks determine the line. The width is a whole number of units; the remaining difference is
reported. Operations of an update are counted in a short real training, whose results are discarded.
"""

from __future__ import annotations

import hashlib
import json
import logging
import tempfile
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from geomoe.bench.planning.twin_rows import FAKE, count_parameters
from geomoe.build import build_datamodule, build_network
from geomoe.errors import ConfigError, InputError
from geomoe.support.bounded import read_json
from geomoe.support.files import whole_file
from geomoe.support.plain import from_plain, to_plain

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from geomoe.bench.planning.plan import Plan
    from geomoe.bench.planning.rows import Row
    from geomoe.bench.planning.spec import Twin
    from geomoe.config import RunConfig

log = logging.getLogger(__name__)
FILE = "twins.json"
TOLERANCE = 0.01  # relative; beyond it the difference is a warning
COUNTED = 8  # updates whose operations are counted


@dataclass(frozen=True)
class Width:
    """How wide a twin is.

    Attributes:
        of: identity of the configuration that it is a twin of.
        mlp_ratio: width of its MLPs divided by that of its tokens.
        asked: parameters, or operations of an update, of the network with experts.
        reached: parameters, or operations of an update, of the twin.
    """

    of: str
    mlp_ratio: float
    asked: float
    reached: float

    @property
    def rest(self) -> float:
        """Relative difference of ``reached`` to ``asked``; above 0 if the twin has more."""
        return self.reached / self.asked - 1


def resolve(plan: Plan) -> Plan:
    """The plan with the width of every twin; widths that are already known are kept.

    Raises:
        ConfigError: a backbone that cannot be widened.
        DataError, DatasetNotFoundError: the data cannot be read.
    """
    known, info = _read(plan.output / FILE), None
    for row in (row for row in plan.rows.values() if row.twin is not None):
        target = plan.rows[row.of[0]]
        if row.label in known and known[row.label].of == _identity(target.config):
            continue
        if info is None:
            info = _info(target.config)
        count = _counter(row.twin, info)
        known[row.label] = _solve(row.config, target.config, count)
        width = known[row.label]
        say = log.info if abs(width.rest) <= TOLERANCE else log.warning
        say("%s: mlp_ratio %g, %+.2f %% of %s", row.label, width.mlp_ratio, 100 * width.rest, row.twin)
        text = json.dumps({label: to_plain(one) for label, one in known.items()}, indent=1) + "\n"
        with whole_file(plan.output / FILE, "choose another --output") as scratch:
            scratch.write_text(text, encoding="utf-8")
    return known_widths(plan)


def known_widths(plan: Plan) -> Plan:
    """The plan with the widths that were found before; twins without one stay as they are."""
    known = _read(plan.output / FILE)
    rows = {}
    for label, row in plan.rows.items():
        width = known.get(label) if row.twin is not None else None
        rows[label] = row if width is None else _widened(row, width.mlp_ratio)
    return replace(plan, rows=rows)


def widths(plan: Plan) -> dict[str, Width]:
    """Label of a twin -> its width, for all twins whose width is known."""
    known = _read(plan.output / FILE)
    return {label: one for label, one in known.items() if label in plan.rows}


def _widened(row: Row, ratio: float) -> Row:
    from geomoe.config.keys import Setting

    settings = (*row.settings, Setting("model.mlp_ratio", ratio, "width of a twin", text=False))
    return replace(row, config=_at(row.config, ratio), settings=settings)


def _at(config: RunConfig, ratio: float) -> RunConfig:
    return replace(config, model=replace(config.model, mlp_ratio=ratio))


def _solve(twin: RunConfig, target: RunConfig, count: Callable[[RunConfig], float]) -> Width:
    """The width at which the twin costs as much as the target, on the line through two widths."""
    dim = _token_width(twin)
    low, high = dim, 2 * dim
    first, second = count(_at(twin, _ratio(low, dim))), count(_at(twin, _ratio(high, dim)))
    asked = count(target)
    units = round(low + (asked - first) * (high - low) / (second - first))
    if units < 1:
        msg = f"twins: {target.algorithm} is smaller than the backbone without its MLPs"
        raise ConfigError(f"{msg}; leave twins out")
    ratio = _ratio(units, dim)
    return Width(_identity(target), ratio, asked, count(_at(twin, ratio)))


def _ratio(units: int, dim: int) -> float:
    """A ratio from which timm, which multiplies and rounds down, makes exactly this number of units."""
    return round((units + 0.5) / dim, 6)


def _token_width(config: RunConfig) -> int:
    backbone: Any = build_network(_at(config, 1.0), FAKE).backbone  # refuses what cannot be widened
    return int(backbone.embed_dim)


def _counter(kind: Twin | None, info: dict[str, Any]) -> Callable[[RunConfig], float]:
    return (lambda config: count_parameters(config, info)) if kind == "parameters" else _update_flops


def _update_flops(config: RunConfig) -> float:
    """Operations of an update, mean over some, counted in a real training."""
    from geomoe.bench.running.cost import CostMeter
    from geomoe.training import fit

    meter = CostMeter(COUNTED, counted=COUNTED)
    with tempfile.TemporaryDirectory(prefix="geomoe-twin-") as folder:
        trainer = replace(config.trainer, max_steps=COUNTED, compile=False)
        short = replace(config, trainer=trainer, output=folder, run_name="count")
        fit(short, quiet=True, limit_batches=COUNTED, callbacks=[meter])
    found = meter.cost().step_flops
    if found is None:
        raise ConfigError(f"twins: no update of {config.algorithm} was counted; leave flops out")
    return found


def _info(config: RunConfig) -> dict[str, Any]:
    data = build_datamodule(config)
    data.prepare_data()
    return data.info()


def _identity(config: RunConfig) -> str:
    return hashlib.sha256(json.dumps(config.as_dict(), sort_keys=True).encode()).hexdigest()


def _read(path: Path) -> dict[str, Width]:
    if not path.exists():
        return {}
    found = read_json(path)
    try:
        return from_plain(dict[str, Width], found, str(path))  # type: ignore[arg-type]
    except InputError as error:
        raise ConfigError(f"{error}; remove the file, and the bench finds the widths again") from error
