"""The cost of experts for tokens: a training step compared with ERM's, and a layer with literal loops.

Run ``python -m benchmarks.token_experts [--rounds 7] [--size 96] [--batch 32]``. The contestants take turns
in one process with one thread; times are medians of processor time.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Callable

import torch
from timm.layers import Mlp
from torch import Tensor

from benchmarks.side_by_side import interleave, verdict
from geomoe.algorithms import Facts, Method, Now, method_class
from geomoe.build import build_network
from geomoe.config import ModelConfig, RunConfig
from geomoe.moe import CosineTokenRouter, StackedFFN, TokenMoELayer
from geomoe.types import Batch, Place

METHODS_SHOWN = ("erm", "gmoe", "omoe", "dynmoe", "moge", "moge_messi", "gmoe_sagm", "sagm")
METHODS_SHOWN += ("film_le", "le_mlp", "le_token", "moge_le")  # what location can do, wherever moge is shown
CLASSES, BLOCKS = 10, (8, 10)
STEP_BAR, LOOP_BAR = 1.25, 10.0
WIDTH = 192


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=7, help="measured rounds (default: %(default)s)")
    parser.add_argument("--size", type=int, default=96, help="pixels on a side (default: %(default)s)")
    parser.add_argument("--batch", type=int, default=32, help="images (default: %(default)s)")
    args = parser.parse_args()
    torch.set_num_threads(1)
    steps(args.rounds, args.size, args.batch)
    layer(args.rounds, args.batch * ((args.size // 16) ** 2 + 1))


def steps(rounds: int, size: int, images: int) -> None:
    """A step of each method on DeiT-Ti/16 with Adam."""
    place = Place.of(torch.rand(images, 2, dtype=torch.float64) * 80, torch.arange(images) % 4)
    batch = Batch(
        torch.randn(images, 3, size, size), torch.arange(images) % CLASSES, place, torch.arange(images)
    )
    cases = {name: _step(name, size, batch) for name in METHODS_SHOWN}
    medians = {name: statistics.median(found) for name, found in interleave(cases, rounds).items()}
    print(f"training step, DeiT-Ti/16, {images} images of {size} px; ERM {medians['erm']:.2f} s")
    for name, value in medians.items():
        print(f"  {name:12} {value / medians['erm']:.2f} x erm")
    verdict("gmoe over erm", medians["gmoe"] / medians["erm"], STEP_BAR)


def _step(name: str, size: int, batch: Batch) -> Callable[[], object]:
    model = ModelConfig(backbone="deit_tiny_patch16_224", image_size=size, moge_blocks=BLOCKS)
    config = RunConfig(algorithm=name, model=model)
    info = {"classes": list(map(str, range(CLASSES))), "domains": list("abcd"), "bands": 3}
    facts = Facts(CLASSES, (0, 1, 2, 3), (1, 1, 1, 1), 4)
    kind = method_class(name)
    options = kind.Options(**config.options[name])
    method = kind(options, lambda: build_network(config, info), facts).train()
    stepper = _Stepper(method)
    return lambda: method.update(batch, Now(1, 100, 0), stepper)


class _Stepper:
    """Adam on one learner, without schedule, precision or ranks."""

    def __init__(self, method: Method) -> None:
        self.parameters = [value for value in method.parameters() if value.requires_grad]
        self.optimizer = torch.optim.Adam(self.parameters, lr=1e-5, fused=True)

    def gradients(self, loss: Tensor, learner: str = "main", *, samples: int | None = None) -> None:
        """Add the gradients."""
        loss.backward()

    def gathered(self, learner: str = "main") -> list[Tensor]:
        """Copy the gradients."""
        return [
            torch.zeros_like(value) if value.grad is None else value.grad.clone() for value in self.parameters
        ]

    def apply(self, learner: str = "main") -> None:
        """Take a step."""
        self.optimizer.step()
        self.optimizer.zero_grad()

    def reset(self, learner: str = "main") -> None:
        """Reset the moments."""
        self.optimizer.state.clear()

    def replay(self) -> torch.random.fork_rng:  # type: ignore[valid-type]
        """Restore the generator afterwards."""
        return torch.random.fork_rng(devices=[])


def layer(rounds: int, tokens: int) -> None:
    """One layer of GMoE, forward and backward, beside a loop over tokens and every expert on all tokens."""
    experts = StackedFFN(Mlp(WIDTH, 4 * WIDTH), 6)
    ours = TokenMoELayer(experts, CosineTokenRouter(WIDTH, 6, capacity=0, noise=0))
    x = torch.randn(1, tokens, WIDTH, requires_grad=True)
    ffn = Mlp(WIDTH, 4 * WIDTH)

    def loop() -> Tensor:
        routing = ours.router(x[0])
        rows = []
        for number, chosen in enumerate(routing.chosen.tolist()):
            expert = chosen.index(True)
            rows.append(experts.alone(x[0, number : number + 1], expert) * routing.weights[number, expert])
        return torch.cat(rows)

    def masked() -> Tensor:
        routing = ours.router(x[0])
        each = experts.everywhere(x[0])
        return (each * routing.weights.T[:, :, None]).sum(dim=0)

    found: dict[str, Callable[[], Tensor]] = {
        "ours": lambda: ours(x).y[0],
        "loop over tokens": loop,
        "all experts, masked": masked,
        "dense FFN": lambda: ffn(x[0]),
    }
    gap = max((found["ours"]() - found[name]()).abs().max().item() for name in ("loop over tokens",))
    cases = {name: (lambda one=one: one().sum().backward()) for name, one in found.items()}
    medians = {name: statistics.median(times) for name, times in interleave(cases, rounds).items()}
    print(f"one layer, {tokens} tokens of {WIDTH}, forward and backward; values differ by {gap:.1e} at most")
    for name, value in medians.items():
        print(f"  {name:20} {value / medians['ours']:.2f} x ours")
    verdict(
        "loop over tokens over ours", medians["loop over tokens"] / medians["ours"], LOOP_BAR, at_least=True
    )


if __name__ == "__main__":
    main()
