"""The allowed range of each number in a configuration; others are typos, or too large for any machine.

The same limits apply to flags of verbs, to files, and to the configuration inside a checkpoint.
"""

from __future__ import annotations

from typing import Any

from geomoe.support.options import Range

MOST_SEED = 2**32 - 1  # some functions of numpy and torch accept no larger one
MOST_WORKERS = 1024
MOST_BATCH = 1_000_000
MOST_SIDE = 8192  # pixels: also the largest side of an image that is read whole
MOST_DEGREE = 256  # spherical harmonics: 65,536 features of each place
MOST_EPOCHS = 1_000_000
MOST_STEPS = 10**12  # updates
MOST_RUNS = 100_000  # of a bench, and so of its seeds and its trials
MOST_RESAMPLES = 1_000_000  # of each interval
MOST_SILENCE = 10_000_000  # seconds (116 days) after which a run of another process is taken over
MOST_OPTION = 10**9  # any whole number of a method's options

_WIDTHS = Range(at_least=1, at_most=65_536)
_SEEDS = Range(at_least=0, at_most=MOST_SEED)
_SHARE = Range(at_least=0, at_most=1)
_BELOW_ONE = Range(at_least=0, below=1)
_NOISE = Range(at_least=0, at_most=1e6)

#: Key -> allowed numbers; for a list, the allowed numbers of each entry.
LIMITS: dict[str, Range] = {
    "seed": _SEEDS,
    "data.split_seed": _SEEDS,
    "data.batch_size": Range(at_least=1, at_most=MOST_BATCH),
    "data.num_workers": Range(at_least=0, at_most=MOST_WORKERS),
    "data.bands": Range(at_least=1, at_most=65_535),
    "data.groups_per_batch": Range(at_least=0, at_most=MOST_BATCH),
    "data.batches_per_epoch": Range(at_least=0, at_most=10**9),
    "data.num_environments": Range(at_least=1, at_most=10_000),
    "data.num_domains": Range(at_least=1, at_most=10**6),
    "data.budget": Range(at_least=1, at_most=10**12),
    "data.split_version": Range(at_least=1, at_most=1000),
    "data.split_buffer_km": Range(at_least=0, at_most=20_040),
    "model.image_size": Range(at_least=1, at_most=MOST_SIDE),
    "model.patch_size": Range(at_least=1, at_most=MOST_SIDE),
    "model.mlp_ratio": Range(above=0, at_most=1024),
    "model.moge_blocks": Range(at_most=1000),
    "model.num_experts": Range(at_least=1, at_most=1024),
    "model.top_k": Range(at_least=1, at_most=1024),
    "model.gamma": _SHARE,
    "model.drop_path": _BELOW_ONE,
    "model.expert_dropout": _BELOW_ONE,
    "model.expert_noise": _NOISE,
    "encoder.out_dim": _WIDTHS,
    "encoder.hidden_dim": _WIDTHS,
    "encoder.capsules": Range(at_least=0, at_most=2),
    "encoder.legendre_polys": Range(at_least=1, at_most=MOST_DEGREE),
    "encoder.finest_km": Range(at_least=0.01, at_most=20_015),
    "encoder.noise": _NOISE,
    "loss.label_smoothing": _BELOW_ONE,
    "optimizer.lr": Range(above=0, at_most=1e6),
    "optimizer.weight_decay": Range(at_least=0, at_most=1e6),
    "optimizer.warmup": _SHARE,
    "optimizer.layer_decay": Range(above=0, at_most=1),
    "optimizer.probe_epochs": Range(at_least=0, at_most=MOST_EPOCHS),
    "loss.effective_beta": _SHARE,
    "trainer.patience": Range(at_least=0, at_most=MOST_EPOCHS),
    "trainer.min_delta": Range(at_least=0, at_most=1e9),
    "trainer.max_steps": Range(at_least=0, at_most=MOST_STEPS),
    "trainer.max_epochs": Range(at_least=1, at_most=MOST_EPOCHS),
    "trainer.devices": Range(at_least=-1, at_most=4096),
    "trainer.num_nodes": Range(at_least=1, at_most=65_536),
    "trainer.accumulate_grad_batches": Range(at_least=1, at_most=10**6),
    "trainer.gradient_clip": Range(at_least=0, at_most=1e12),
    "trainer.checkpoint_every_n_steps": Range(at_least=0, at_most=10**12),
    "trainer.threads": Range(at_least=0, at_most=1024),
}


def wrong_number(key: str, value: Any) -> str:  # noqa: ANN401 - any configuration value
    """The rule that a value of a key breaks, such as ``must be at least 1; got 0``; empty if none."""
    limits = LIMITS[key]
    for one in value if isinstance(value, tuple) else (value,):
        if one not in limits:
            return f"{limits}; got {one}"
    return ""


def wrong_option(value: Any) -> str:  # noqa: ANN401 - any value of a method's option
    """The rule for all options that a whole number of a method's option breaks; empty if none."""
    limits = Range(at_most=MOST_OPTION)
    return "" if not isinstance(value, int) or value in limits else f"{limits}; got {value}"
