"""SWAD against the paper's algorithm 1, written out with every weight vector kept."""

import numpy as np
import pytest
import torch
from torch.nn.utils import parameters_to_vector

from geomoe.algorithms import Now
from tests.kinds import long_after


def literal(segments, losses, converge, tolerance, ratio):
    """The mean of the weights from the start to the end of the valley; by lists.

    Args:
        segments: for each validation the weight vectors before it.
        losses: of each validation.
    """
    start = end = threshold = None
    for number in range(len(losses)):
        if start is None:
            window = losses[max(number - converge + 1, 0) : number + 1]
            if len(window) == converge and int(np.argmin(window)) == 0:
                start, threshold = number - converge + 1, np.mean(window) * (1 + ratio)
        elif number - tolerance + 1 >= 0 and min(losses[number - tolerance + 1 : number + 1]) > threshold:
            end = number - tolerance
            break
    if start is None:
        return np.mean(segments[-1], axis=0)
    chosen = segments[start : (len(losses) if end is None else end + 1)]
    return np.mean([weights for segment in chosen for weights in segment], axis=0)


CASES = {
    "no valley": [5, 4, 3, 2, 1],
    "a valley without an end": [3, 1, 1.1, 1.2, 1.1, 1.2, 1.0],
    "at once": [1, 2, 3, 4],
    "a valley that ends": [3, 1, 1.1, 1.2, 1.3, 5, 5, 5, 5, 5, 5, 5, 1],
    "a long one that ends": [1, 1.1, 1.2, *[1.1] * 9, *[9] * 8, 1, 1, 1],
    "it looks like the end, but is not": [1, 1.1, 1.2, 9, 9, 9, 1.1, 9, 9, 9, 9],
    "too short": [2, 1],
}


@pytest.mark.slow
@pytest.mark.parametrize("windows", long_after(2, [(3, 6), (3, 2), (1, 1), (2, 4), (4, 3)]))
@pytest.mark.parametrize("case", CASES)
def test_the_average_is_that_of_the_valley(case, windows, make):
    compare(make, CASES[case], *windows, seed=0)


@pytest.mark.slow
@pytest.mark.parametrize(
    "seed", [*range(6), *(pytest.param(seed, marks=pytest.mark.long) for seed in range(6, 20))]
)
def test_random_losses(seed, make):
    generator = np.random.default_rng(seed)
    losses = generator.choice([1.0, 1.1, 1.3, 2.0, 4.0], generator.integers(2, 16)).tolist()
    compare(make, losses, *generator.integers(1, 6, 2).tolist(), seed=seed)


def compare(make, losses, converge, tolerance, seed):
    method = make("swad", converge=converge, tolerance=tolerance, ratio=0.3).train().double()
    generator = torch.Generator().manual_seed(seed)
    segments = []
    for number, loss in enumerate(losses):
        kept = []
        for _ in range(2 + number % 2):  # segments of different lengths
            with torch.no_grad():
                for value in method.inner.parameters():
                    value += 0.1 * torch.randn(value.shape, generator=generator, dtype=value.dtype)
            method.stepped(Now(0, 1, 0))
            kept.append(parameters_to_vector(method.inner.model.parameters()).detach().numpy().copy())
        segments.append(kept)
        method.validated({"loss": loss}, Now(0, 1, 0))
    told = method.finished([])
    windows = [losses[first : first + converge] for first in range(len(losses) - converge + 1)]
    assert (told is None) == any(window[0] == min(window) for window in windows)
    if told is not None:
        assert told.startswith(f"swad: found no valley in {len(losses)} validation")
    found = parameters_to_vector(method.answering().parameters()).numpy()
    want = literal(segments, losses, converge, tolerance, 0.3)
    np.testing.assert_allclose(found, want, rtol=1e-6, atol=1e-6)


def test_batch_norms_are_measured_anew(make, make_batch):
    """On an affine copy of one input, the running statistics are those of the training batches."""
    method = make("swad", norm_batches=3).train()
    batches = [make_batch(16) for _ in range(5)]
    with torch.no_grad():
        for _ in range(2):
            method.stepped(Now(0, 1, 0))
    method.validated({"loss": 1.0}, Now(0, 1, 0))
    method.finished(iter(batches))
    norms = [part for part in method.answering().modules() if isinstance(part, torch.nn.BatchNorm2d)]
    assert norms
    first = norms[0]
    inputs = []
    hook = first.register_forward_pre_hook(lambda module, given: inputs.append(given[0]))
    method.answering().train()
    statistics = first.running_mean.clone()
    with torch.no_grad():
        for batch in batches[:3]:
            method.answering()(batch.image, batch.place)
    hook.remove()
    want = torch.stack([value.mean(dim=(0, 2, 3)) for value in inputs]).mean(dim=0)
    torch.testing.assert_close(statistics, want)


def test_what_is_judged_during_training_is_the_inner_network(make, make_batch, stepper):
    method = make("swad").train()
    steps, batch = stepper(method), make_batch(8)
    method.update(batch, Now(0, 9, 0), steps)
    assert steps.applied == ["main"]
    with torch.no_grad():
        method.eval()
        assert torch.equal(method(batch).logits, method.inner(batch).logits)
        assert not torch.equal(method(batch).logits, method.answering()(batch.image, batch.place).logits)
