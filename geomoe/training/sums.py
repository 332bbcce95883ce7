"""Running sums of one training epoch: a few tensor additions per step, read back only at its end."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import torch

from geomoe import metrics
from geomoe.metrics.routing import over_log

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from torch import Tensor

    from geomoe.types import LossTerms, Routing


class EpochSums:
    """Sums of loss terms and expert loads over the samples of an epoch.

    Sums stay on the device. They are part of the checkpoint, so a run resumed within an epoch reports
    the same numbers as an uninterrupted one.
    """

    def __init__(self) -> None:
        self.names: list[str] = []
        self._terms: Tensor | None = None  # (1 + T,) samples, then each named term times samples
        self._routes: Tensor | None = None  # (M, E + 1) gate weight of each expert, then their entropy

    def reset(self) -> None:
        """Start an epoch."""
        self._terms = self._routes = None

    @torch.no_grad()
    def update(self, terms: LossTerms, routings: Sequence[Routing], samples: int) -> None:
        """Add one batch of ``samples`` samples."""
        self.names = ["loss", *terms.named]
        one = torch.ones((), dtype=torch.float32, device=terms.total.device)
        values = torch.stack([one, terms.total.float(), *(value.float() for value in terms.named.values())])
        self._terms = _add(self._terms, values, samples)
        if routings:
            weights = torch.stack([routing.weights for routing in routings]).float()
            entropy = torch.special.entr(weights).sum(dim=(1, 2))
            self._routes = _add(self._routes, torch.cat([weights.sum(dim=1), entropy[:, None]], dim=1), 1)

    def tensors(self) -> list[Tensor]:
        """Return the existing sums in a fixed order; add them up across processes."""
        return [value for value in (self._terms, self._routes) if value is not None]

    def results(self, sums: Sequence[Tensor], blocks: Sequence[int]) -> dict[str, float]:
        """Means over the samples, from sums over all processes (those of :meth:`tensors`).

        Returns:
            ``train_loss``, ``train_<term>``, and for each MoGE block ``blockB_expertE_load`` (share
            of the gate weight; they sum to 1) and ``blockB_entropy`` (mean entropy of the gate weights
            divided by log E, as :func:`geomoe.metrics.normalised_entropy` of all samples).
        """
        if not sums:
            return {}
        samples, *terms = sums[0].tolist()
        means = {f"train_{name}": value / samples for name, value in zip(self.names, terms, strict=True)}
        for block, row in zip(blocks, sums[1].tolist() if len(sums) > 1 else [], strict=False):
            *loads, entropy = row
            total = sum(loads)
            means |= {f"block{block}_expert{k}_load": load / total for k, load in enumerate(loads)}
            means[f"block{block}_entropy"] = over_log(entropy / samples, len(loads))
        return means

    def state(self, sums: Sequence[Tensor]) -> dict[str, Any]:
        """Return the checkpoint state of sums over all processes."""
        return {"names": list(self.names), "sums": [value.cpu() for value in sums]}

    def load(self, state: dict[str, Any], device: torch.device) -> None:
        """Restore the sums from a checkpoint."""
        self.names = list(state["names"])
        sums = [value.to(device) for value in state["sums"]]
        self._terms, self._routes = [*sums, None, None][:2]


def _add(total: Tensor | None, values: Tensor, samples: int) -> Tensor:
    # float64: an epoch has many small additions, and the order of a resumed run must not matter
    values = values.double() * samples
    return values if total is None else total.add_(values)


def dead_experts(means: Mapping[str, float], block: int, alive: Sequence[bool] | None = None) -> list[int]:
    """Return the dead experts of a block: see :func:`geomoe.metrics.dead_experts`."""
    loads = [value for name, value in means.items() if name.startswith(f"block{block}_expert")]
    return metrics.dead_experts(loads, alive) if loads and math.isfinite(sum(loads)) else []
