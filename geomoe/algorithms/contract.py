"""The contract of a training method: its options, network and losses, and its own update if it needs one.

A method is one file with one class. It must not keep state outside parameters, buffers and submodules, and
must not count updates itself: all schedules are functions of ``now``. Then a killed run resumes bit for bit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional

from geomoe.errors import ConfigError
from geomoe.support.options import check_options
from geomoe.types import Batch, BlockExperts, ModelOutput

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from geomoe.models import Network

MAIN = "main"  # name of the learner of a method with a single one


class Now(NamedTuple):
    """Progress of the training.

    Attributes:
        step: completed updates, over all epochs.
        steps: updates of the whole run.
        epoch: completed epochs.
    """

    step: int
    steps: int
    epoch: int


class Facts(NamedTuple):
    """Facts about the task that a method may use.

    Attributes:
        classes: C.
        domains: ids of the domains with training samples, ascending; never the held-out one.
        samples: number of training samples of each of these domains.
        num_domains: number of domain ids of the data set, trained or not.
        label_smoothing: label smoothing of the cross-entropy, 0 to below 1.
        centres: for each of ``domains``, the mean on the sphere of its training samples' places, in lon, lat
            degrees; None for a domain without a known place.
        unplaced: name of the held-out domain if none of its samples has a known place; else empty.

        class_weights: a factor on the cross-entropy of each class's samples; empty: none.
    """

    classes: int
    domains: tuple[int, ...]
    samples: tuple[int, ...] = ()
    num_domains: int = 0
    label_smoothing: float = 0.0
    centres: tuple[tuple[float, float] | None, ...] = ()
    unplaced: str = ""

    class_weights: tuple[float, ...] = ()


class Answer(NamedTuple):
    """A method's results for one batch.

    Attributes:
        output: the network's output, for the routing statistics.
        terms: name -> () weighted loss term; the training loss is their sum.
        notes: name -> () further numbers to log, which are not part of the loss. The names of terms and notes
            are the same in every update of a run, because their sums over an epoch are kept.
    """

    output: ModelOutput
    terms: dict[str, Tensor]
    notes: Mapping[str, Tensor] = {}

    @property
    def total(self) -> Tensor:
        """() the sum of the terms."""
        return sum(self.terms.values(), start=self.output.logits.new_zeros(()))

    def detached(self) -> Answer:
        """The same numbers without gradients, for logging."""
        terms = {name: value.detach() for name, value in self.terms.items()}
        return Answer(self.output, terms, {name: value.detach() for name, value in self.notes.items()})


class Stepper(Protocol):
    """Changes the weights; the only part with optimisers, precision, clipping, accumulation and ranks."""

    def gradients(self, loss: Tensor, learner: str = MAIN, *, samples: int | None = None) -> None:
        """Add the gradients of a loss to the parameters of one learner only.

        Args:
            loss: () a mean over samples of this process.
            learner: name of the learner.
            samples: number of samples of this process in the mean, if processes may differ in it (0: none;
                only the gradients of the other processes count). None: the same number in each process.
        """

    def gathered(self, learner: str = MAIN) -> list[Tensor]:
        """Copies of a learner's gradients so far, of the joint batch, without the scale of half precision.

        There is one for each of the learner's trainable parameters, in their order; zero where a parameter
        has no gradient yet.
        """

    def apply(self, learner: str = MAIN) -> None:
        """Take one step of a learner's optimiser, and clear the gradients."""

    def reset(self, learner: str = MAIN) -> None:
        """Reset the state (moments) of a learner's optimiser."""

    def replay(self) -> AbstractContextManager[None]:
        """Use the same random numbers (dropout) in every such ``with`` block of the step."""


class Method(nn.Module):
    """A network and its training. Subclasses declare their options and override what they need.

    Args:
        options: an instance of the class's ``Options``.
        make_network: makes a network as configured, with new weights at each call.
        facts: facts about the task.

    Attributes:
        model: the network that is trained.
        accumulates: whether one update may accumulate several batches.
        compares: name of a term or note -> what a batch must contain for it not to be exactly 0, such as "two
            training domains"; training warns once if it was 0 for a whole epoch.

    Raises:
        ConfigError: an option out of its range.
    """

    accumulates: ClassVar[bool] = True
    compares: ClassVar[Mapping[str, str]] = {}
    class_weights: Tensor | None

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
        weights = torch.tensor(facts.class_weights) if facts.class_weights else None
        self.register_buffer("class_weights", weights, persistent=False)  # a fact of the data
        self.model = make_network()

    # --- what a method may override -------------------------------------------------------------

    def learners(self) -> dict[str, nn.Module]:
        """Name -> module; each has its own optimiser and schedule."""
        return {MAIN: self}

    def losses(self, batch: Batch, now: Now) -> Answer:
        """The network's answer and the weighted loss terms; a function of its arguments and buffers.

        Buffers may be updated here, from detached values.
        """
        output = self.ask(batch)
        return Answer(output, {"task": self.cross_entropy(output.logits, batch.label)})

    def update(self, batch: Batch, now: Now, stepper: Stepper) -> Answer:
        """Update the weights with one batch: the gradients of the total loss, then one step.

        A method with one learner that overrides neither this nor :meth:`resets` is trained by Lightning's
        automatic optimisation, which does the same.
        """
        answer = self.losses(batch, now)
        stepper.gradients(answer.total)
        if self.resets(now):
            stepper.reset()
        stepper.apply()
        return answer.detached()

    def resets(self, now: Now) -> bool:
        """Whether the optimiser's moments are reset before the step of this update."""
        return False

    def stepped(self, now: Now) -> None:
        """Called after the weights have changed; ``now.step`` counts this update."""

    def validated(self, scores: Mapping[str, float], now: Now) -> None:
        """Called after a validation, with its scores (loss, acc, ...) on the source domains."""

    def finished(self, batches: Iterable[Batch]) -> str | None:
        """Called once after training, before the final evaluation, for methods that make the network then.

        Returns:
            A sentence for the user if the network is not what the method is for; else None.
        """
        return None

    def answering(self) -> Network:
        """The network to save for use; a submodule of this method."""
        return self.model

    @property
    def makes_network(self) -> bool:
        """Whether :meth:`finished` makes the network for use; if not, it is taken from the best epoch."""
        return type(self).finished is not Method.finished

    @property
    def automatic(self) -> bool:
        """Whether this method needs only the default update with one learner, and no reset."""
        return self.one_step and type(self).resets is Method.resets

    @property
    def one_step(self) -> bool:
        """Whether an update is one step of one learner, along the gradient of the losses."""
        return type(self).update is Method.update and list(self.learners()) == [MAIN]

    @property
    def turns(self) -> int:
        """Number of updates after which the kinds of updates repeat: 1 if all are of one kind."""
        return 1

    def unreached(self, steps: int) -> str:
        """What a run of so many updates never comes to, and what to do, in a sentence; empty: nothing."""
        return ""

    # --- what methods share ---------------------------------------------------------------------

    def forward(self, batch: Batch, experts: BlockExperts = "all") -> ModelOutput:
        """Run the network on a batch, with all experts, the shared one alone or one specialist."""
        return self.ask(batch, experts)

    def ask(self, batch: Batch, experts: BlockExperts = "all", **keywords: Any) -> ModelOutput:  # noqa: ANN401
        """Run :attr:`model` on a batch; ``keywords`` are passed to it unchanged."""
        return self.model(batch.image, batch.place, experts=experts, **keywords)

    def cross_entropy(self, logits: Tensor, label: Tensor, reduction: str = "mean") -> Tensor:
        """Cross-entropy over the batch, in float32 or better; () or, with reduction "none", (B,).

        With class weights, a sample's cross-entropy is multiplied by the weight of its class. The mean is
        still over the number of samples, so that it is the same for one process and for several.
        """
        logits = logits if logits.dtype.itemsize > 4 else logits.float()
        smoothing, weights = self.facts.label_smoothing, self.sample_weights(label)
        if weights is None:
            return functional.cross_entropy(logits, label, reduction=reduction, label_smoothing=smoothing)
        each = functional.cross_entropy(logits, label, reduction="none", label_smoothing=smoothing)
        each = each * weights.to(each.dtype)
        return each if reduction == "none" else each.mean()

    def sample_weights(self, label: Tensor) -> Tensor | None:
        """(B,) weights of samples by class, for methods with a loss in closed form; None: all are 1."""
        return None if self.class_weights is None else self.class_weights[label]


def need_domains(facts: Facts, method: str, fewest: int = 2) -> None:
    """Refuse data without enough training domains.

    Raises:
        ConfigError: there are fewer.
    """
    if len(facts.domains) < fewest:
        raise ConfigError(
            f"algorithm: {method} compares domains and needs {fewest} to train on; the data has "
            f"{len(facts.domains)}; use another method, or train on more domains"
        )


def need_places(facts: Facts, method: str) -> None:
    """Refuse data whose training samples, or those of the held-out domain, all have unknown places.

    Raises:
        ConfigError: no such sample has a known place.
    """
    lost = f"sample of the held-out domain {facts.unplaced}" if facts.unplaced else "training sample"
    if facts.unplaced or all(centre is None for centre in facts.centres):
        raise ConfigError(
            f"algorithm: {method} needs to know where images were taken, and no {lost} has a known place; "
            f"give lon and lat, or use another method"
        )
