"""Search spaces of a bench: which settings are drawn for each trial, and by which sampler.

Trial 0 is the unchanged configuration, for every method; all methods have the same number of trials. The
default space is a rule, so that it applies to every method: learning rate and weight decay, and each option
of the method that is a number other than 0, around its default.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from geomoe.config.keys import Setting
from geomoe.config.methods import options_of
from geomoe.errors import DependencyNotFoundError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from geomoe.config import RunConfig

Sampler = Literal["random", "optuna"]
FACTORS = {"optimizer.lr": 10**0.5, "optimizer.weight_decay": 10.0}
FACTOR = 10.0  # a method's options are searched within this factor of their defaults


@dataclass(frozen=True)
class Span:
    """Numbers from ``low`` to ``high``, both included; with ``log``, evenly on a logarithmic scale."""

    low: float
    high: float
    log: bool = False
    whole: bool = False

    def draw(self, generator: np.random.Generator) -> float | int:
        """Draw one number."""
        if self.whole and not self.log:
            return int(generator.integers(int(self.low), int(self.high) + 1))
        low, high = (math.log(self.low), math.log(self.high)) if self.log else (self.low, self.high)
        drawn = float(generator.uniform(low, high))
        value = min(max(math.exp(drawn) if self.log else drawn, self.low), self.high)
        return round(value) if self.whole else float(f"{value:.6g}")


@dataclass(frozen=True)
class Choice:
    """One of several values, all equally likely."""

    values: tuple[Any, ...]

    def draw(self, generator: np.random.Generator) -> Any:  # noqa: ANN401 - a value of a configuration
        """Draw one value."""
        return self.values[int(generator.integers(len(self.values)))]


Space = dict[str, Span | Choice]


def default_space(config: RunConfig) -> Space:
    """Numbers around those of a configuration, evenly on a logarithmic scale within their allowed ranges.

    The learning rate is within a factor of the square root of 10, the weight decay and every number among the
    method's options within a factor of 10. An option that is 0 is off and stays 0.
    """
    around = {"optimizer.lr": config.optimizer.lr, "optimizer.weight_decay": config.optimizer.weight_decay}
    for method in config.methods:
        for name, value in config.options[method].items():
            if isinstance(value, float):
                around[f"{method}.{name}"] = value
    found: Space = {}
    for key, value in around.items():
        factor = FACTORS.get(key, FACTOR)
        low, high = value / factor, value * factor
        section, _, name = key.partition(".")
        if section != "optimizer":
            low, high = _within(options_of(section)[name].range, low, high)
        if 0 < low < high:
            found[key] = Span(low, high, log=True)
    return found


def _within(allowed: Any, low: float, high: float) -> tuple[float, float]:  # noqa: ANN401 - a Range
    """The part of a span that an option allows; the span stays a thousandth away from excluded bounds."""
    if allowed.at_least is not None:
        low = max(low, allowed.at_least)
    if allowed.above is not None:
        low = max(low, allowed.above * 1.001)
    if allowed.at_most is not None:
        high = min(high, allowed.at_most)
    if allowed.below is not None:
        high = min(high, allowed.below * 0.999)
    return low, high


def draw(space: Mapping[str, Span | Choice], where: Sequence[int | str]) -> list[Setting]:
    """Draw the settings of one trial.

    Args:
        space: key -> its possible values.
        where: label, held-out domain, seed and trial: the same ones give the same settings on every machine.
    """
    generator = np.random.default_rng(_seed(where))
    source = "drawn for " + ", ".join(map(str, where))
    return [Setting(key, one.draw(generator), source, text=False) for key, one in sorted(space.items())]


def ask_optuna(
    space: Mapping[str, Span | Choice],
    where: Sequence[int | str],
    earlier: Sequence[tuple[Mapping[str, Any], float | None]],
) -> list[Setting]:
    """Let Optuna's TPE sampler propose the settings of one trial, after the earlier ones.

    Args:
        space: key -> its possible values.
        where: as for :func:`draw`; it seeds the sampler.
        earlier: settings and score (higher is better; None: the trial failed) of the trials so far.

    Raises:
        DependencyNotFoundError: optuna is not installed.
    """
    optuna = import_optuna()
    kinds = {key: _distribution(optuna, one) for key, one in sorted(space.items())}
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(direction="maximize", sampler=optuna.samplers.TPESampler(seed=_seed(where)))
    for values, score in earlier:
        inside = {key: values[key] for key in kinds if key in values and _is_in(space[key], values[key])}
        if len(inside) == len(kinds):
            state = optuna.trial.TrialState.FAIL if score is None else optuna.trial.TrialState.COMPLETE
            study.add_trial(
                optuna.trial.create_trial(params=inside, distributions=kinds, value=score, state=state)
            )
    trial = study.ask(kinds)
    source = "proposed by optuna for " + ", ".join(map(str, where))
    return [Setting(key, trial.params[key], source, text=False) for key in kinds]


def import_optuna() -> Any:  # noqa: ANN401 - a module
    """Return the package optuna.

    Raises:
        DependencyNotFoundError: optuna is not installed.
    """
    try:
        import optuna
    except ImportError as error:
        msg = "sampler: optuna is not installed; pip install 'geomoe[optuna]', or choose the sampler random"
        raise DependencyNotFoundError(msg) from error
    return optuna


def _distribution(optuna: Any, one: Span | Choice) -> Any:  # noqa: ANN401 - optuna's classes
    kinds = optuna.distributions
    if isinstance(one, Choice):
        return kinds.CategoricalDistribution(one.values)
    if one.whole:
        return kinds.IntDistribution(int(one.low), int(one.high), log=one.log)
    return kinds.FloatDistribution(one.low, one.high, log=one.log)


def _is_in(one: Span | Choice, value: Any) -> bool:  # noqa: ANN401 - a value of a configuration
    return value in one.values if isinstance(one, Choice) else one.low <= value <= one.high


def _seed(where: Sequence[int | str]) -> int:
    """A 32-bit seed for Optuna."""
    return int.from_bytes(hashlib.sha256("\n".join(map(str, where)).encode()).digest()[:4], "big")
