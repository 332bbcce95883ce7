"""What every training method is: a network and the loss that it is trained with."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor, nn
from torch.nn import functional

from geomoe.errors import ConfigError
from geomoe.models.network import Network
from geomoe.types import Batch, BlockExperts, LossTerms, ModelOutput


class Algorithm(nn.Module):
    """A network and its training loss.

    Subclasses override :meth:`terms`; ``total`` is always the sum of the named terms.

    Args:
        model: the network.
        label_smoothing: of the cross-entropy, 0 to below 1.

    Attributes:
        uses_location: whether answers depend on where an image was taken.
        options: the keyword arguments of the class, which are keys of ``loss`` in configurations.

    Raises:
        ConfigError: an option out of its range, or a network that does not fit: with a location
            encoder where places are not used, or the other way round.
    """

    uses_location: ClassVar[bool] = False
    options: ClassVar[tuple[str, ...]] = ("label_smoothing",)

    def __init__(self, model: Network, *, label_smoothing: float = 0.0) -> None:
        super().__init__()
        if not 0 <= label_smoothing < 1:
            raise ConfigError(f"label_smoothing: expected 0 to below 1; got {label_smoothing}")
        if not isinstance(model, Network):
            found = type(model).__name__
            raise ConfigError(f"model: expected a Network of geomoe.models, not {found}")
        if (model.encoder is not None) != self.uses_location:
            which = "with" if self.uses_location else "without"
            found = type(model).__name__
            raise ConfigError(
                f"{type(self).__name__}: needs a network {which} a location encoder; got {found}"
            )
        self.model = model
        self.label_smoothing = label_smoothing

    def forward(self, batch: Batch, experts: BlockExperts = "all") -> ModelOutput:
        """Answer for a batch, with all experts, the shared one alone or one specialist."""
        return self.ask(batch, experts)

    def ask(self, batch: Batch, experts: BlockExperts = "all", **keywords: object) -> ModelOutput:
        """Run the network on a batch; ``keywords`` go to it as they are."""
        return self.model(batch.image, batch.place, experts=experts, **keywords)

    def training_loss(self, batch: Batch) -> tuple[ModelOutput, LossTerms]:
        """The loss on a batch: its terms, already weighted, and their sum."""
        output, named = self.terms(batch)
        return output, LossTerms(sum(named.values(), start=output.logits.new_zeros(())), named)

    def terms(self, batch: Batch) -> tuple[ModelOutput, dict[str, Tensor]]:
        """What the network answered and the weighted loss terms, by name."""
        output = self.ask(batch)
        return output, {"task": self.cross_entropy(output.logits, batch.label)}

    def cross_entropy(self, logits: Tensor, label: Tensor) -> Tensor:
        """Mean cross-entropy over the batch, in float32 or better."""
        logits = logits if logits.dtype.itemsize > 4 else logits.float()
        return functional.cross_entropy(logits, label, label_smoothing=self.label_smoothing)
