"""MoGE: cross-entropy, load balance, diversity of the specialists, invariance of the shared expert."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar, Literal

import torch
from torch import Tensor

from geomoe.algorithms.contract import Algorithm
from geomoe.errors import ConfigError
from geomoe.losses import cka_diversity, load_balance, supcon
from geomoe.models.network import Network
from geomoe.types import Batch, ModelOutput


class MoGE(Algorithm):
    """Mixture of Geographical Experts.

    task + aux * load balance + cka * diversity + supcon * invariance (MoGE poster, "total MoGE
    loss"; it gives no weights). Each of the last three is the mean over the MoGE blocks, so that a
    weight means the same whatever the number of blocks. The groups of the invariance term are each
    block's own top-1 experts. A term of weight 0 is not computed.

    Args:
        model: a :class:`~geomoe.models.MoGEViT`.
        label_smoothing: of the cross-entropy, 0 to below 1.
        aux: weight of the load-balancing term.
        cka: weight of the diversity term.
        cka_estimator: "unbiased" or "biased" (the poster's formula).
        cka_tokens: random tokens of each sample that the diversity term sees; 0: all of them.
        supcon: weight of the invariance term.
        supcon_temperature: its temperature.
        shared_task: weight of a second cross-entropy, on the shared expert alone. It costs a second
            pass through the whole network without specialists: about the price of an ERM step on top.

    Raises:
        ConfigError: an option out of its range, or a network without MoGE blocks.
    """

    uses_location: ClassVar[bool] = True
    options: ClassVar[tuple[str, ...]] = (
        *("label_smoothing", "aux", "cka", "cka_estimator", "cka_tokens"),
        *("supcon", "supcon_temperature", "shared_task"),
    )

    def __init__(
        self,
        model: Network,
        *,
        label_smoothing: float = 0.0,
        aux: float = 0.01,
        cka: float = 0.1,
        cka_estimator: Literal["unbiased", "biased"] = "unbiased",
        cka_tokens: int = 8,
        supcon: float = 0.1,
        supcon_temperature: float = 0.1,
        shared_task: float = 0.0,
    ) -> None:
        super().__init__(model, label_smoothing=label_smoothing)
        if not model.num_experts:
            found = type(model).__name__
            raise ConfigError(f"MoGE: needs a network with MoGE blocks (geomoe.models.add_moge); got {found}")
        weights = {"aux": aux, "cka": cka, "supcon": supcon, "shared_task": shared_task}
        for name, weight in weights.items():
            if not 0 <= weight < float("inf"):
                raise ConfigError(f"{name}: a loss weight has to be 0 or more and finite; got {weight}")
        if cka_estimator not in ("unbiased", "biased"):
            raise ConfigError(f"cka_estimator: expected unbiased or biased; got {cka_estimator!r}")
        if cka_tokens < 0:
            raise ConfigError(f"cka_tokens: expected 0 (all) or more; got {cka_tokens}")
        if not supcon_temperature > 0:
            raise ConfigError(f"supcon_temperature: expected more than 0; got {supcon_temperature}")
        self.weights = weights
        self.cka_estimator: Literal["unbiased", "biased"] = cka_estimator
        self.cka_tokens = cka_tokens
        self.supcon_temperature = supcon_temperature

    def terms(self, batch: Batch) -> tuple[ModelOutput, dict[str, Tensor]]:
        """What the network answered and the weighted loss terms, by name."""
        output = self.ask(
            batch,
            cka_tokens=self.cka_tokens if self.weights["cka"] else None,
            shared_features=self.weights["supcon"] > 0,
        )
        terms = {"task": self.cross_entropy(output.logits, batch.label)}
        terms |= {name: self.weights[name] * term for name, term in self._regularisers(batch, output)}
        if self.weights["shared_task"]:
            terms["shared_task"] = self.weights["shared_task"] * self._shared_task(batch)
        return output, terms

    def _regularisers(self, batch: Batch, output: ModelOutput) -> Iterable[tuple[str, Tensor]]:
        if self.weights["aux"]:
            yield "aux", _mean(load_balance(routing) for routing in output.routings)
        if self.weights["cka"]:
            yield "cka", _mean(cka_diversity(out, self.cka_estimator) for out in output.expert_outputs)
        if self.weights["supcon"]:
            blocks = zip(output.shared_features, output.routings, strict=True)
            yield (
                "supcon",
                _mean(supcon(f, batch.label, r.top1, self.supcon_temperature) for f, r in blocks),
            )

    def _shared_task(self, batch: Batch) -> Tensor:
        """Cross-entropy of the shared expert alone, which is asked without a place, as in use."""
        return self.cross_entropy(self.model(batch.image, experts="shared").logits, batch.label)


def _mean(terms: Iterable[Tensor]) -> Tensor:
    return torch.stack(list(terms)).mean()
