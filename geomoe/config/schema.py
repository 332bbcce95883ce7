"""The typed configuration of a run: every key that a file, a flag or the environment can set.

These are plain frozen dataclasses without torch, so the command line reads them in milliseconds. They are
used up to :mod:`geomoe.build`, which passes plain arguments to networks, encoders and methods.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from geomoe.catalogue import DEFAULT_METHOD
from geomoe.config.methods import resolved


@dataclass(frozen=True)
class DataConfig:
    """Which data, which protocol, how it is batched.

    Args:
        name: data set; see the table in geomoe.datasets.
        root: folder of the data; default: GEOMOE_CACHE, else the system's cache folder.
        held_out: region left out of training and of model selection, e.g. Asia; none: all train.
        split_seed: which of the declared train/val/test splits.
        batch_size: samples in a step, on each device; none: 64, or all that train where they are fewer.
        num_workers: processes that load batches (0: the main process, best for cached data).
        augment: what is done to training images; never to coordinates.
        metadata: table of your own samples (folder): filename, label, and optional lon, lat, domain, split;
            of the cameras' places (iwildcam), none: no places.
        bands: which bands of a raster, counted from 1; none: all of them.
        protocol: named split rule of the data set; none: its official one.
        domain_by: what a domain is, where a data set can be grouped in several ways; none: its own choice.
        groups_per_batch: domains in a batch, each with the same number of images; 0: shuffled, not grouped.
        batches_per_epoch: batches between validations where they are grouped; 0: as many as the data fills.
        num_environments: environments that a synthetic data set is cut into; none: its own number.
        num_domains: source domains that train; none: all of them.
        budget: training images altogether, shared among the source domains; none: all of them.
        train_domains: source domains that train and select, e.g. Europe,Africa; none: all not held out.
        allow_vrt: read .vrt files too, which name other files; these have to lie in data.root.
        split_version: rule of a split that is made: 2 keeps neighbours together, 1 is that of geomoe 0.1.
        split_buffer_km: training images within so many km of a test image are left out; 0: none.
        safe_csv: quote text in the CSVs beside the table and of the run that a spreadsheet would run.
        columns: columns of the table that have other names, such as filename=image, label=class.
    """

    name: str = "bluemarble"
    root: str | None = None
    held_out: str | None = None
    split_seed: int = 0
    batch_size: int | None = 128
    num_workers: int = 0
    augment: Literal["none", "flips", "flips_rotations", "domainbed", "wilds_weak", "wilds_randaugment"] = (
        "flips_rotations"
    )
    metadata: str | None = None
    bands: tuple[int, ...] = ()
    protocol: str | None = None
    domain_by: str | None = None
    groups_per_batch: int = 0
    batches_per_epoch: int = 0
    num_environments: int | None = None
    num_domains: int | None = None
    budget: int | None = None
    train_domains: tuple[str, ...] = ()
    allow_vrt: bool = False
    split_version: int = 2
    split_buffer_km: float = 0.0
    safe_csv: bool = False
    columns: tuple[str, ...] = ()


@dataclass(frozen=True)
class EncoderConfig:
    """The location encoder phi(lon, lat), for the router and for ERM+LE.

    Args:
        name: encoder; see the table in geomoe.encoders; auto: one that fits the extent of the data.
        out_dim: width of the location embedding.
        hidden_dim: width of the hidden layer of the trainable head.
        legendre_polys: L of the spherical harmonics: degrees 0 to L-1, L*L features; none: by the extent.
        finest_km: half the shortest wave of fourier in km; none: an eighth of the extent.
        weights: pretrained weights: a local file, or hf:NAME to ask the hub.
        capsules: which of GeoCLIP's frequency capsules (0: lowest frequency, 1, 2).
        noise: standard deviation of Gaussian noise on the standardised features, in training.
        freeze: keep pretrained weights fixed.
    """

    name: str = "sh"
    out_dim: int = 64
    hidden_dim: int = 128
    legendre_polys: int | None = 10
    finest_km: float | None = None
    weights: str | None = None
    capsules: tuple[int, ...] = (0,)
    noise: float = 0.0
    freeze: bool = True


@dataclass(frozen=True)
class ModelConfig:
    """The network.

    Args:
        backbone: vit_quick (4 blocks, conv stem), mnist_cnn or any timm network; moge: ViT, DeiT, BEiT, Eva.
        image_size: pixels on a side.
        patch_size: pixels on a side of a patch; none: the backbone's own.
        weights: pretrained backbone: none, timm (by name, downloads), torchgeo:NAME or a local file.
        init_from: geomoe checkpoint to start the backbone from (upcycling).
        drop_path: stochastic depth.
        mlp_ratio: hidden width of every MLP divided by that of the tokens, for plain vision transformers;
            none: the backbone's own.
        moge_blocks: blocks whose FFN becomes MoGE, or the experts of gmoe, omoe, dynmoe, counted from 0.
        num_experts: experts in each such block; MoGE's shared expert is not counted.
        top_k: specialists of MoGE that answer for a sample.
        router: cosine (codebook and temperature) or linear.
        gamma: weight of the shared expert.
        learn_gamma: learn gamma for each block, starting from the value above.
        expert_noise: noise on the copied experts, relative to each weight's standard deviation.
        expert_dropout: share of the samples that see the shared expert alone, in training.
    """

    backbone: str = "vit_quick"
    image_size: int = 32
    patch_size: int | None = None
    weights: str | None = None
    init_from: str | None = None
    drop_path: float = 0.0
    mlp_ratio: float | None = None
    moge_blocks: tuple[int, ...] = (2, 3)
    num_experts: int = 6
    top_k: int = 3
    router: Literal["cosine", "linear"] = "cosine"
    gamma: float = 0.5
    learn_gamma: bool = False
    expert_noise: float = 0.02
    expert_dropout: float = 0.0


@dataclass(frozen=True)
class LossConfig:
    """What the loss of every method shares; a method's own options are in a section of its name.

    Args:
        label_smoothing: label smoothing of the cross-entropy.
        class_weights: weights of classes in the training loss: none, balanced, or by effective numbers.
        effective_beta: beta of effective: 0 gives the weights of none, 1 those of balanced.
    """

    label_smoothing: float = 0.0
    class_weights: Literal["none", "balanced", "effective"] = "none"
    effective_beta: float = 0.999


@dataclass(frozen=True)
class OptimizerConfig:
    """How weights are updated: AdamW (through timm's factory), warm-up, cosine.

    Args:
        name: any optimiser name of timm.optim.create_optimizer_v2.
        lr: peak learning rate.
        weight_decay: not applied to biases and norms.
        warmup: share of the steps spent warming up.
        schedule: what the learning rate does after that.
        layer_decay: factor on the learning rate from each layer of the backbone to the one below; 1: none.
        probe_epochs: epochs at the start in which the backbone is frozen (a linear probe first).
    """

    name: str = "adamw"
    lr: float = 1e-3
    weight_decay: float = 0.05
    warmup: float = 0.05
    schedule: Literal["cosine", "constant"] = "cosine"
    layer_decay: float = 1.0
    probe_epochs: int = 0


@dataclass(frozen=True)
class TrainerConfig:
    """Options of Lightning's trainer.

    Args:
        max_epochs: passes over the training data.
        max_steps: updates of the whole run, which may end within a pass; 0: max_epochs decides.
        precision: 32-true, bf16-mixed or 16-mixed.
        accelerator: auto, cpu, gpu, ...
        devices: how many, or auto.
        num_nodes: machines.
        strategy: auto, ddp, ...
        accumulate_grad_batches: batches in an optimiser step.
        gradient_clip: largest gradient norm; 0: no clipping.
        checkpoint_every_n_steps: save last.ckpt also within an epoch; 0: at its end only.
        select: validation metric whose best epoch is kept; source regions only.
        patience: epochs without improvement of that metric after which the run ends; 0: never.
        min_delta: an improvement is a change by more than this.
        threads: CPU threads for torch; 0: torch's own choice.
        loggers: csv, tensorboard, wandb.
        compile: torch.compile the network.
    """

    max_epochs: int = 12
    max_steps: int = 0
    precision: str = "32-true"
    accelerator: str = "auto"
    devices: int | str = "auto"
    num_nodes: int = 1
    strategy: str = "auto"
    accumulate_grad_batches: int = 1
    gradient_clip: float = 0.0
    checkpoint_every_n_steps: int = 0
    select: Literal["val_acc", "val_mean_region_acc", "val_worst_region_acc", "val_macro_f1", "val_loss"] = (
        "val_acc"
    )
    patience: int = 0
    min_delta: float = 0.0
    threads: int = 0
    loggers: tuple[str, ...] = ("csv", "tensorboard")
    compile: bool = False


@dataclass(frozen=True)
class RunConfig:
    """One training run.

    Args:
        algorithm: training method; see the table in docs/methods.md.
        around: methods that wrap it, the outermost last (sagm, swad).
        seed: seed of weights, batches and augmentation.
        output: folder that holds all runs.
        run_name: name of this run; default: built from the held-out region and the seed.
        data: which data, which protocol, how it is batched.
        model: the network.
        encoder: the location encoder.
        loss: what the loss of every method shares.
        optimizer: how weights are updated.
        trainer: options of Lightning's trainer.
        options: the options of the methods in use, by method; in files each is a section of its name.
    """

    algorithm: str = DEFAULT_METHOD
    around: tuple[str, ...] = ()
    seed: int = 0
    output: str = "runs"
    run_name: str | None = None
    data: DataConfig = field(default_factory=DataConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    encoder: EncoderConfig = field(default_factory=EncoderConfig)
    loss: LossConfig = field(default_factory=LossConfig)
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    trainer: TrainerConfig = field(default_factory=TrainerConfig)
    options: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Complete the options of the methods in use by their defaults."""
        object.__setattr__(self, "options", resolved(self.methods, self.options))

    @property
    def methods(self) -> tuple[str, ...]:
        """The methods in use: the algorithm, then its wrappers."""
        return (self.algorithm, *self.around)

    def as_dict(self) -> dict[str, Any]:
        """Nested plain dict (tuples become lists), as written to config.yaml and checkpoints."""
        plain = _plain(asdict(self))
        options = plain.pop("options")
        return {**plain, **{method: given for method, given in options.items() if given}}


def _plain(value: Any) -> Any:  # noqa: ANN401 - any configuration value
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value
