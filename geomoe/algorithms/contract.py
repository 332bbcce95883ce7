"""The contract of a training method: its options, its network, its losses, and an update where it needs one.

A method is one file with one class. It must not keep state outside parameters, buffers and submodules, and it
counts nothing for itself: every anneal is a function of ``now``. Then a killed run resumes to the same bits.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, Protocol

from torch import Tensor, nn
from torch.nn import functional

from geomoe.errors import ConfigError
from geomoe.support.options import check_options
from geomoe.types import Batch, BlockExperts, ModelOutput

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from geomoe.models import Network

MAIN = "main"  # name of the learner of a method that has one


class Now(NamedTuple):
    """Where training stands.

    Attributes:
        step: updates that are done, over all epochs.
        steps: updates of the whole run.
        epoch: passes that are done.
    """

    step: int
    steps: int
    epoch: int


class Facts(NamedTuple):
    """What a method may know of its task.

    Attributes:
        classes: C.
        domains: ids of the domains that training has samples of, ascending; never the held-out one.
        samples: training samples of each of these domains.
        num_domains: how many domain ids the data set has, trained or not.
        label_smoothing: of the cross-entropy, 0 to below 1.
    """

    classes: int
    domains: tuple[int, ...]
    samples: tuple[int, ...] = ()
    num_domains: int = 0
    label_smoothing: float = 0.0


class Answer(NamedTuple):
    """What a method says of one batch.

    Attributes:
        output: of its network, for the sums of routings.
        terms: name -> () weighted loss term; the training loss is their sum.
        notes: name -> () further numbers to log; they are no part of the loss.
    """

    output: ModelOutput
    terms: dict[str, Tensor]
    notes: Mapping[str, Tensor] = {}

    @property
    def total(self) -> Tensor:
        """() the sum of the terms."""
        return sum(self.terms.values(), start=self.output.logits.new_zeros(()))

    def detached(self) -> Answer:
        """The same numbers without their graph, for logging."""
        terms = {name: value.detach() for name, value in self.terms.items()}
        return Answer(self.output, terms, {name: value.detach() for name, value in self.notes.items()})


class Stepper(Protocol):
    """What changes weights. It alone knows optimisers, precision, clipping, accumulation and ranks."""

    def gradients(self, loss: Tensor, learner: str = MAIN, *, samples: int | None = None) -> None:
        """Add the gradients of a loss to a learner's parameters, and to no other's.

        Args:
            loss: () a mean over samples of this process.
            learner: whose.
            samples: how many samples of this process the mean is over, where processes may differ in
                that (0: none; the gradients of the others count alone). None: as many in each process.
        """

    def gathered(self, learner: str = MAIN) -> list[Tensor]:
        """A copy of a learner's gradients so far: of the joint batch, without the scale of half precision.

        One for each of its trainable parameters, in their order; zero where there is none yet.
        """

    def apply(self, learner: str = MAIN) -> None:
        """Let a learner's optimiser take one step, and forget its gradients."""

    def reset(self, learner: str = MAIN) -> None:
        """Forget what a learner's optimiser has gathered (moments)."""

    def replay(self) -> AbstractContextManager[None]:
        """Draw the same random numbers (dropout) in every such block of the step."""


class Method(nn.Module):
    """A network and how it is trained. Subclasses declare their options and override what they need.

    Args:
        options: an instance of the class's ``Options``.
        make_network: makes a network as configured, with new weights at each call.
        facts: on the task.

    Attributes:
        model: the network that is trained.
        accumulates: whether several batches may make one update.

    Raises:
        ConfigError: an option out of its range.
    """

    accumulates: ClassVar[bool] = True

    @dataclass(frozen=True)
    class Options:
        """Options of this method; see :mod:`geomoe.support.options`."""

    def __init__(
        self,
        options: Any,  # noqa: ANN401 - the Options of each method
        make_network: Callable[[], Network],
        facts: Facts,
    ) -> None:
        super().__init__()
        check_options(options)
        self.options, self.facts = options, facts
        self.model = make_network()

    # --- what a method may say ------------------------------------------------------------------

    def learners(self) -> dict[str, nn.Module]:
        """Name -> module: each has an optimiser and a schedule of its own."""
        return {MAIN: self}

    def losses(self, batch: Batch, now: Now) -> Answer:
        """The network's answer and the weighted loss terms; a function of its arguments and buffers.

        Buffers may be updated here, from detached values.
        """
        output = self.ask(batch)
        return Answer(output, {"task": self.cross_entropy(output.logits, batch.label)})

    def update(self, batch: Batch, now: Now, stepper: Stepper) -> Answer:
        """Change the weights by one batch: the gradients of the total loss, then one step.

        A method that does not override this, and has one learner, is trained by Lightning's own automatic
        optimisation, which does the same.
        """
        answer = self.losses(batch, now)
        stepper.gradients(answer.total)
        stepper.apply()
        return answer.detached()

    def stepped(self, now: Now) -> None:
        """The weights have changed; ``now.step`` counts this update."""

    def validated(self, scores: Mapping[str, float], now: Now) -> None:
        """Validation has ended, with these scores (loss, acc, ...) on the source domains."""

    def finished(self, batches: Iterable[Batch]) -> None:
        """Training has ended; once, before the final network is judged. For networks that are made then."""

    def answering(self) -> Network:
        """The network that is saved for use; a submodule of this method."""
        return self.model

    @property
    def makes_network(self) -> bool:
        """Whether :meth:`finished` makes the network for use, instead of the best epoch having it."""
        return type(self).finished is not Method.finished

    @property
    def automatic(self) -> bool:
        """Whether the default update with one learner is all that this method needs."""
        return type(self).update is Method.update and list(self.learners()) == [MAIN]

    # --- what methods share ---------------------------------------------------------------------

    def forward(self, batch: Batch, experts: BlockExperts = "all") -> ModelOutput:
        """Answer for a batch, with all experts, the shared one alone or one specialist."""
        return self.ask(batch, experts)

    def ask(self, batch: Batch, experts: BlockExperts = "all", **keywords: Any) -> ModelOutput:  # noqa: ANN401
        """Run the network on a batch; ``keywords`` go to it as they are."""
        return self.model(batch.image, batch.place, experts=experts, **keywords)

    def cross_entropy(self, logits: Tensor, label: Tensor, reduction: str = "mean") -> Tensor:
        """Cross-entropy over the batch, in float32 or better; () or, with reduction "none", (B,)."""
        logits = logits if logits.dtype.itemsize > 4 else logits.float()
        smoothing = self.facts.label_smoothing
        return functional.cross_entropy(logits, label, reduction=reduction, label_smoothing=smoothing)


def need_domains(facts: Facts, method: str, fewest: int = 2) -> None:
    """Refuse data without enough training domains.

    Raises:
        ConfigError: fewer.
    """
    if len(facts.domains) < fewest:
        raise ConfigError(
            f"algorithm: {method} compares domains and needs {fewest} to train on; the data has "
            f"{len(facts.domains)}; use another method, or hold nothing out"
        )
