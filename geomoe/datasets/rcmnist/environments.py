"""The environments of Rotated-Colored MNIST: turns, colours, noise, and which of them train.

Source: MESSI, arXiv 2606.25665, appendix C.2 (Algorithm 3, equations 59 to 61) and C.3 (the protocol of a
fixed budget, equations 62 and 63).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from torchvision.transforms.v2 import InterpolationMode
from torchvision.transforms.v2.functional import rotate

from geomoe.errors import ConfigError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from geomoe.datasets.rcmnist.idx import Digits

ROTATION_STEP = 45  # degrees between rows of the grid of environments (appendix C.2)
COLOUR_STEP = 0.1  # between the colour flip probabilities of a row
COLOURS = round(1 / COLOUR_STEP)  # environments in a row: C of equation 60
MOST = 360 // ROTATION_STEP * COLOURS  # one more would be a full turn: the first environment again
LABEL_NOISE = 0.25
VAL_PART = 5  # one of 5 samples of a source domain is for model selection, as in DomainBed
POOL_SEED = 0  # of the shuffle and the noise: all runs and methods see the same environments


class Environment(NamedTuple):
    """One environment of the grid: its name, turn in degrees, and probability that colour is flipped."""

    name: str
    degrees: int
    flip: float


class Rendering(NamedTuple):
    """Samples of one environment or several, before the two channels are made.

    Attributes:
        grey: (n, 28, 28) uint8 digits, turned.
        row: (n,) int64 position of the digit in MNIST, training file first.
        label: (n,) int64: 1 for digits 0 to 4, a quarter of them flipped.
        colour: (n,) int64 channel that is kept.
        domain: (n,) int64 number of the environment.
    """

    grey: NDArray[np.uint8]
    row: NDArray[np.int64]
    label: NDArray[np.int64]
    colour: NDArray[np.int64]
    domain: NDArray[np.int64]


def grid(size: int) -> tuple[Environment, ...]:
    """The first ``size`` environments, row by row: ten colours, then the next turn (equation 60).

    Raises:
        ConfigError: more than there are different ones (80).
    """
    if not 1 <= size <= MOST:
        msg = (
            f"data.num_environments: expected 1 to {MOST}: steps of {ROTATION_STEP} degrees make a full turn "
            f"after {MOST}; got {size}"
        )
        raise ConfigError(msg)
    turns = [(ROTATION_STEP * (e // COLOURS), e % COLOURS / COLOURS) for e in range(size)]
    return tuple(Environment(f"{degrees}deg-p{flip:.1f}", degrees, flip) for degrees, flip in turns)


def slices(total: int, size: int) -> list[NDArray[np.int64]]:
    """Disjoint shares of a shuffled pool, one for each environment: every ``size``-th digit.

    The slice is that of DomainBed's ColoredMNIST and RotatedMNIST (``[e::E]``); Algorithm 3 says split_env.
    """
    order = np.random.default_rng(POOL_SEED).permutation(total)
    return [order[e::size] for e in range(size)]


def render(
    digits: Digits, rows: NDArray[np.int64], number: int, environment: Environment, take: slice
) -> Rendering:
    """Some samples of one environment (equations 59 and 61).

    Args:
        digits: MNIST.
        rows: (n,) which digits the environment has.
        number: of the environment; the noise of each sample is a function of it and of the pool's seed,
            whatever is taken.
        environment: how far its digits are turned, and how often its colour is flipped.
        take: which of the n samples to render.
    """
    draws = np.random.default_rng((POOL_SEED, number)).random((2, len(rows)))
    label = (digits.digit[rows] < 5) ^ (draws[0] < LABEL_NOISE)
    colour = label ^ (draws[1] < environment.flip)
    row = rows[take]
    return Rendering(
        grey=turn(digits.images[row], environment.degrees),
        row=row,
        label=label[take].astype(np.int64),
        colour=colour[take].astype(np.int64),
        domain=np.full(len(row), number, dtype=np.int64),
    )


def turn(images: NDArray[np.uint8], degrees: int) -> NDArray[np.uint8]:
    """Turn images (n, 28, 28) counter-clockwise about their centre, bilinear, black outside."""
    if degrees % 360 == 0:
        return images
    tensor = torch.from_numpy(np.array(images))[:, None]
    return rotate(tensor, degrees, InterpolationMode.BILINEAR)[:, 0].numpy()


def choose_sources(size: int, target: int, num_domains: int | None, seed: int) -> tuple[int, ...]:
    """Draw the source environments (appendix C.3): without replacement, never the target.

    Args:
        size: E, environments altogether.
        target: number of the held-out one.
        num_domains: K_s; None: all but the target.
        seed: number of the subset; the draw is a function of it and of K_s.

    Raises:
        ConfigError: more sources than environments.
    """
    candidates = [e for e in range(size) if e != target]
    count = len(candidates) if num_domains is None else num_domains
    if not 1 <= count <= len(candidates):
        msg = f"data.num_domains: {size} environments without the target leave {len(candidates)}; got {count}"
        raise ConfigError(msg)
    drawn = np.random.default_rng((seed, count)).choice(candidates, count, replace=False)
    return tuple(sorted(map(int, drawn)))


def train_part(samples: int, budget: int | None, domains: int) -> slice:
    """Which samples of a source environment train: all behind its validation part, or floor(B / K_s).

    Args:
        samples: of the environment.
        budget: B; None: all that there are.
        domains: K_s.

    Raises:
        ConfigError: the environments cannot fill the budget, which would then not be fixed.
    """
    first = samples // VAL_PART
    if budget is None:
        return slice(first, samples)
    each = budget // domains
    if not 1 <= each <= samples - first:
        msg = (
            f"data.budget: {domains} source domains of {samples - first} training samples each can fill "
            f"{domains} to {domains * (samples - first)}; got {budget}"
        )
        raise ConfigError(msg)
    return slice(first, first + each)
