"""The cost of MESSI's losses: all pairs of domains at once, compared with loops over pairs and POT's solvers.

Run ``python -m benchmarks.messi [--rounds 31] [--loops 3] [--device cuda]``; POT is compared if it is
installed (``pip install pot``). The contestants take turns in one process with one thread. Times are medians,
on a CPU of processor time, which other load on the machine disturbs least. Bars are on ratios measured in the
same run.
"""

from __future__ import annotations

import argparse
import importlib
import platform
import statistics
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from benchmarks.side_by_side import interleave, verdict
from geomoe.losses import ClassPairs, grouped_mmd, grouped_sinkhorn
from geomoe.losses.sinkhorn import squared_distances
from geomoe.models.messi import ExpertHead

EXPERTS, WIDTH, EPSILON, ITERATIONS = 6, 384, 0.05, 50
SCALES = (1.0, 2.0, 4.0, 8.0, 16.0)
LOOP_BAR, MMD_BAR, POT_BAR, OT_STEP_BAR, MMD_STEP_BAR = 60.0, 100.0, 1.0, 1.25, 1.15
VALUE_BAR, GRADIENT_BAR = 1e-5, 1e-4
MASK = 1e6  # POT has no masks, so entries outside a problem get this cost


class Case(NamedTuple):
    """A batch of some data set's shape: its labels and domains, and how many classes there are."""

    label: Tensor
    domain: Tensor
    classes: int


def cases(device: str = "cpu") -> dict[str, Case]:
    """Batches as the paper draws them."""

    def even(domains: int, each: int, classes: int) -> Case:
        label = torch.randint(classes, (domains * each,))
        return Case(label.to(device), torch.arange(domains * each, device=device) // each, classes)

    tail = 1 / torch.arange(1, 183).float() ** 1.2
    cameras = torch.multinomial(tail, 32, replacement=True)
    return {
        "PACS": even(3, 32, 7),
        "DomainNet": even(5, 32, 345),
        "iWildCam": Case(cameras.to(device), torch.arange(32, device=device) // 8, 182),
    }


# --- the loss as it is written, group by group ---------------------------------------------------


def groups(case: Case, features: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """P and Q of every expert, class and pair of domains."""
    for table in features:
        for kind in case.label.unique().tolist():
            here = case.domain[case.label == kind].unique().tolist()
            for place, one in enumerate(here):
                for two in here[place + 1 :]:
                    of_class = case.label == kind
                    yield table[of_class & (case.domain == one)], table[of_class & (case.domain == two)]


def costs(p: Tensor, q: Tensor) -> Tensor:
    """Squared distances of two clouds."""
    return (p[:, None] - q[None]).square().sum(dim=2)


def loop_transport(case: Case, features: Tensor) -> Tensor:
    """Equation 6 with all weights 1; the gradient goes through the iterations."""
    total = features.new_zeros(())
    for p, q in groups(case, features):
        cost = costs(p, q)
        eps = EPSILON * cost.detach().mean()
        log_a, log_b = -torch.tensor(float(len(p))).log(), -torch.tensor(float(len(q))).log()
        f, g = cost.new_zeros(len(p)), cost.new_zeros(len(q))
        for _ in range(ITERATIONS):
            f = -eps * torch.logsumexp((g[None] - cost) / eps + log_b, dim=1)
            g = -eps * torch.logsumexp((f[:, None] - cost) / eps + log_a, dim=0)
        log_plan = (f[:, None] + g[None] - cost) / eps + log_a + log_b
        plan = log_plan.exp()
        total = total + (plan * cost).sum() + eps * (plan * (log_plan - log_a - log_b)).sum()
    return total


def loop_mmd(case: Case, features: Tensor) -> Tensor:
    """Equation 51 with all weights 1."""
    total = features.new_zeros(())
    rows = case.label.numel()
    units = [2 * (t - t.mean(0)).square().sum().detach() / (rows - 1) for t in features]
    count = sum(1 for _ in groups(case, features[:1]))
    for number, (p, q) in enumerate(groups(case, features)):
        unit = units[number // max(count, 1)]

        def kernel(x: Tensor, y: Tensor, unit: Tensor = unit) -> Tensor:
            distance = costs(x, y)
            return torch.stack([(-distance / (2 * s * unit)).exp() for s in SCALES]).mean(dim=0).mean()

        total = total + kernel(p, p) + kernel(q, q) - 2 * kernel(p, q)
    return total


# --- POT -------------------------------------------------------------------------------------------


def pot_loop(ot: Any, case: Case, features: Tensor) -> Tensor:
    """POT's Sinkhorn in the log domain, problem by problem; the plan is a constant."""
    total = features.new_zeros(())
    for p, q in groups(case, features):
        cost = costs(p, q)
        eps = float(EPSILON * cost.detach().mean())
        a, b = p.new_full((len(p),), 1 / len(p)), q.new_full((len(q),), 1 / len(q))
        plan = ot.bregman.sinkhorn_log(
            a, b, cost.detach(), max(eps, 1e-12), numItermax=ITERATIONS, stopThr=0.0, warn=False
        )
        total = total + (plan * cost).sum()
    return total


def pot_batch(ot_batch: Any, pairs: ClassPairs, features: Tensor) -> Tensor:
    """POT's batched solver on all problems at once, padded like ours, including problems with only one plan.

    POT uses one regularisation strength for all problems, so the costs are brought to one scale before.
    """
    size = len(pairs.cell)
    rows, columns = padded(pairs, pairs.first), padded(pairs, pairs.second)
    valid = (rows < size)[:, :, None] & (columns < size)[:, None, :]
    where = torch.where(valid, rows[:, :, None] * size + columns[:, None, :], 0)
    cost = squared_distances(features).flatten(1)[:, where] * valid
    mean = cost.detach().sum(dim=(2, 3)) / valid.sum(dim=(1, 2))
    scaled = (cost / mean[:, :, None, None].clamp(min=1e-12)).flatten(0, 1)
    mask = valid.repeat(len(features), 1, 1)
    given = torch.where(mask, scaled, MASK).detach()
    a = (rows < size).float() + 1e-30
    b = (columns < size).float() + 1e-30
    a, b = (m / m.sum(dim=1, keepdim=True) for m in (a, b))
    plan = ot_batch.solve_batch(
        given, reg=EPSILON, a=a.repeat(len(features), 1), b=b.repeat(len(features), 1),
        max_iter=ITERATIONS, tol=0.0, method="log_sinkhorn", grad="detach",
    ).plan  # fmt: skip
    return (plan.view_as(cost) * mask.view_as(cost) * cost).sum()


def padded(pairs: ClassPairs, side: Tensor) -> Tensor:
    """(G, largest) samples of one side of each pair, padded by B."""
    size = len(pairs.cell)
    table = side.new_full((len(pairs.sizes), int(pairs.sizes.max())), size)
    for cell in range(len(pairs.sizes)):
        own = (pairs.cell == cell).nonzero().flatten()
        table[cell, : len(own)] = own
    return table[side]


# --- what is measured ------------------------------------------------------------------------------


def both_ways(loss: Callable[[Tensor], Tensor], features: Tensor) -> Callable[[], Tensor]:
    """Forward and backward; the gradient is left in ``features.grad``."""

    def run() -> Tensor:
        features.grad = None
        value = loss(features)
        value.backward()
        return value.detach()

    return run


def ours_transport(case: Case) -> Callable[[Tensor], Tensor]:
    """The batched loss, grouping included."""

    def loss(features: Tensor) -> Tensor:
        pairs = ClassPairs.of(case.label, case.domain)
        ones = features.new_ones(EXPERTS, len(pairs.first))
        return grouped_sinkhorn(features, pairs, ones, epsilon=EPSILON, iterations=ITERATIONS).value

    return loss


def ours_mmd(case: Case) -> Callable[[Tensor], Tensor]:
    """The batched loss, grouping included."""

    def loss(features: Tensor) -> Tensor:
        pairs = ClassPairs.of(case.label, case.domain)
        return grouped_mmd(features, pairs, features.new_ones(EXPERTS, len(pairs.first)))

    return loss


def difference(case: Case, features: Tensor) -> tuple[float, float]:
    """Relative error of value and gradient against the loop in float64."""
    value, slope = both_ways(ours_transport(case), features)(), features.grad
    exact = features.detach().double().requires_grad_()
    want = both_ways(lambda x: loop_transport(case, x), exact)()
    assert slope is not None
    assert exact.grad is not None
    off = (slope.double() - exact.grad).norm() / exact.grad.norm()
    return abs(value.double() - want).item() / want.item(), off.item()


def paired(times: dict[str, list[float]], slow: str, fast: str) -> float:
    """Median of the ratio within each round."""
    return statistics.median(a / b for a, b in zip(times[slow], times[fast], strict=True))


def losses_alone(name: str, case: Case, rounds: int, loops: int, pot: tuple[Any, Any] | None) -> None:
    """One batch: the losses forward and backward against loops and POT."""
    device = case.label.device.type
    features = torch.randn(EXPERTS, len(case.label), WIDTH, device=device).requires_grad_()
    pairs = ClassPairs.of(case.label, case.domain)
    print(f"{name}: {EXPERTS * len(pairs.first)} problems, {EXPERTS * len(pairs.free)} of them not forced")
    fast = {"OT": ours_transport(case), "MMD": ours_mmd(case)}
    slow: dict[str, Callable[[Tensor], Tensor]] = {
        "OT loop": lambda x: loop_transport(case, x),
        "MMD loop": lambda x: loop_mmd(case, x),
    }
    if pot is not None:
        fast["POT batch"] = lambda x: pot_batch(pot[1], pairs, x)
        slow["POT loop"] = lambda x: pot_loop(pot[0], case, x)
    times = interleave({way: both_ways(loss, features) for way, loss in fast.items()}, rounds, device)
    times |= interleave({way: both_ways(loss, features) for way, loss in slow.items()}, loops, device)
    seconds = {way: statistics.median(values) for way, values in times.items()}
    print("  " + ", ".join(f"{way} {1e3 * value:.2f} ms" for way, value in seconds.items()))
    print(f"  MMD's own loop / batched MMD: {seconds['MMD loop'] / seconds['MMD']:.1f}")
    verdict("OT: loop / batched", seconds["OT loop"] / seconds["OT"], LOOP_BAR, at_least=True)
    verdict("OT's loop / batched MMD", seconds["OT loop"] / seconds["MMD"], MMD_BAR, at_least=True)
    value, slope = difference(case, features)
    verdict("OT: relative error of the value against the float64 loop", value, VALUE_BAR)
    verdict("OT: relative error of the gradient against the float64 loop", slope, GRADIENT_BAR)
    if pot is None:
        print("  POT is not installed: not compared")
        return
    verdict("POT's loop / batched OT", seconds["POT loop"] / seconds["OT"], POT_BAR, at_least=True)
    verdict("POT's batched solver / batched OT", paired(times, "POT batch", "OT"), POT_BAR, at_least=True)


def head_steps(name: str, case: Case, rounds: int, loops: int) -> None:
    """A training step of the head alone, on features of the backbone that were computed before."""
    device = case.label.device.type
    u = torch.randn(len(case.label), WIDTH, device=device)

    def stepper(term: Callable[[Tensor], Tensor] | None) -> Callable[[], None]:
        torch.manual_seed(0)
        head, classifier = ExpertHead(WIDTH, EXPERTS).to(device), nn.Linear(WIDTH, case.classes).to(device)
        optimizer = torch.optim.Adam([*head.parameters(), *classifier.parameters()], lr=3e-5, fused=True)

        def step() -> None:
            optimizer.zero_grad()
            mixed, each, _ = head(u)
            loss = functional.cross_entropy(classifier(mixed), case.label)
            if term is not None:
                loss = loss + 0.01 * term(each)
            loss.backward()
            optimizer.step()

        return step

    ways = {"ERM": stepper(None), "OT": stepper(ours_transport(case)), "MMD": stepper(ours_mmd(case))}
    times = interleave(ways, rounds, device)
    print(f"{name}: ERM step of the head {1e3 * statistics.median(times['ERM']):.2f} ms")
    slow = {way: stepper(term) for way, term in (("ERM", None), ("OT", lambda x: loop_transport(case, x)))}
    looped = paired(interleave(slow, loops, device), "OT", "ERM")
    print(f"  with the literal loop over groups, OT step / ERM step: {looped:.1f}")
    verdict("OT step / ERM step", paired(times, "OT", "ERM"), OT_STEP_BAR)
    verdict("MMD step / ERM step", paired(times, "MMD", "ERM"), MMD_STEP_BAR)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=31, help="of what takes milliseconds")
    parser.add_argument("--loops", type=int, default=3, help="rounds of what takes seconds")
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    try:
        pot = importlib.import_module("ot"), importlib.import_module("ot.batch")
    except ImportError:
        pot = None
    version = f", POT {pot[0].__version__}" if pot else ""
    where = torch.cuda.get_device_name() if arguments.device == "cuda" else platform.machine()
    sizes = f"{EXPERTS} experts of width {WIDTH}, eps {EPSILON} of the mean cost, {ITERATIONS} iterations"
    print(f"{sizes}, 1 thread, torch {torch.__version__}{version}, {where}\n")
    print("forward + backward of the loss alone")
    for name, case in cases(arguments.device).items():
        losses_alone(name, case, arguments.rounds, arguments.loops, pot)
    print("\na step of the head alone: router, experts, classifier, fused Adam")
    for name, case in cases(arguments.device).items():
        head_steps(name, case, arguments.rounds, arguments.loops)


if __name__ == "__main__":
    main()
