"""The environments of Rotated-Colored MNIST: rotation, colour, noise, and the choice of sources.

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
MOST = 360 // ROTATION_STEP * COLOURS  # the next would be a full turn, equal to the first environment
LABEL_NOISE = 0.25
VAL_PART = 5  # one in 5 samples of a source domain is for model selection, as in DomainBed
POOL_SEED = 0  # seed of the shuffle and the noise: all runs and methods see the same environments


class Environment(NamedTuple):
    """One environment of the grid: name, rotation in degrees, and colour flip probability."""

    name: str
    degrees: int
    flip: float


class Rendering(NamedTuple):
    """Samples of one or several environments, before the two channels are made.

    Attributes:
        grey: (n, 28, 28) uint8 rotated digits.
        row: (n,) int64 position of the digit in MNIST, training file first.
        label: (n,) int64: 1 for digits 0 to 4, a quarter of them flipped.
        colour: (n,) int64 channel that holds the digit.
        domain: (n,) int64 number of the environment.
    """

    grey: NDArray[np.uint8]
    row: NDArray[np.int64]
    label: NDArray[np.int64]
    colour: NDArray[np.int64]
    domain: NDArray[np.int64]


def grid(size: int) -> tuple[Environment, ...]:
    """Return the first ``size`` environments, row by row: ten colours for each rotation (equation 60).

    Raises:
        ConfigError: ``size`` exceeds the number of different environments (80).
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
    """Return disjoint parts of a shuffled pool, one for each environment: every ``size``-th digit.

    This is the slice of DomainBed's ColoredMNIST and RotatedMNIST (``[e::E]``); Algorithm 3 says split_env.
    """
    order = np.random.default_rng(POOL_SEED).permutation(total)
    return [order[e::size] for e in range(size)]


def render(
    digits: Digits, rows: NDArray[np.int64], number: int, environment: Environment, take: slice
) -> Rendering:
    """Render samples of one environment (equations 59 and 61).

    Args:
        digits: MNIST.
        rows: (n,) rows of the environment's digits.
        number: number of the environment; the noise of each sample depends only on it and the pool's seed,
            not on ``take``.
        environment: rotation and colour flip probability.
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
    """Rotate images (n, 28, 28) counter-clockwise about their centre: bilinear, black outside."""
    if degrees % 360 == 0:
        return images
    tensor = torch.from_numpy(np.array(images))[:, None]
    return rotate(tensor, degrees, InterpolationMode.BILINEAR)[:, 0].numpy()


def choose_sources(size: int, target: int, num_domains: int | None, seed: int) -> tuple[int, ...]:
    """Draw the source environments (appendix C.3): without replacement, never the target.

    Args:
        size: E, total number of environments.
        target: number of the held-out environment.
        num_domains: K_s; None: all except the target.
        seed: number of the subset; the draw depends only on it and K_s.

    Raises:
        ConfigError: there are more sources than environments.
    """
    candidates = [e for e in range(size) if e != target]
    count = len(candidates) if num_domains is None else num_domains
    if not 1 <= count <= len(candidates):
        msg = f"data.num_domains: {size} environments without the target leave {len(candidates)}; got {count}"
        raise ConfigError(msg)
    drawn = np.random.default_rng((seed, count)).choice(candidates, count, replace=False)
    return tuple(sorted(map(int, drawn)))


def train_part(samples: int, budget: int | None, domains: int) -> slice:
    """Return the training samples of a source: all after its validation part, or floor(B / K_s).

    Args:
        samples: number of samples of the environment.
        budget: B; None: no limit.
        domains: K_s.

    Raises:
        ConfigError: the environments are too small for the budget, so it would not be fixed.
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
