"""Save a network that was trained in the user's own loop, so that every verb can use it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch
from torch import nn

from geomoe.build import build_network
from geomoe.catalogue import DEFAULT_METHOD
from geomoe.checkpoint import Info, load_weights, save_checkpoint
from geomoe.config.load import from_dict
from geomoe.coords import check_lonlat
from geomoe.datasets.training_places import thin_places
from geomoe.errors import CheckpointError, ConfigError, InputError, one_line
from geomoe.inference.predictor import Predictor
from geomoe.models import Network
from geomoe.moe import CosineRouter
from geomoe.support.plain import from_plain
from geomoe.support.text import counted

if TYPE_CHECKING:
    from collections.abc import Sequence
    from os import PathLike

    from numpy.typing import ArrayLike

    from geomoe.config import RunConfig
    from geomoe.models import MoGEViT
    from geomoe.moe import MoGELayer

NAMED = "trained by `geomoe train`, it has checkpoints already"
CLOSE = 1e-4  # largest difference of scores between a network and its copy, relative to the largest score


def save(
    model: MoGEViT,
    path: str | PathLike[str],
    *,
    classes: Sequence[str],
    mean: Sequence[float],
    std: Sequence[float],
    lonlat: ArrayLike | None = None,
    name: str = "own",
) -> Path:
    """Save a network made with :func:`geomoe.add_moge` as a checkpoint of geomoe.

    The checkpoint holds the names and sizes from which the network is rebuilt, and its weights. Before it is
    written, the network is rebuilt once, and both networks must give the same scores. :func:`geomoe.load`,
    ``geomoe map-experts --no-points`` and ``geomoe predict`` accept the file.

    Args:
        model: a result of ``add_moge``, with a backbone made by ``timm.create_model`` and an encoder made by
            ``geomoe.create_encoder``.
        path: a ``.ckpt`` file; it is written completely or not at all.
        classes: names of the C classes, by id.
        mean: (bands,) mean of each band, in raw values: the network's input is ``(raw - mean) / std``.
        std: (bands,) standard deviation of each band, in raw values.
        lonlat: (N, 2) lonlat degrees of the training places, for distances to them; default: none are stored.
        name: name of the data, for titles and messages.

    Returns:
        The path.

    Raises:
        InputError: another kind of network, numbers of classes or bands that differ from the network's, or
            a network that cannot be rebuilt from names.
        CoordinateError: places that are not degrees.
        OutputError: the file cannot be written.
    """
    _check_own(model)
    info = _info(model, name, classes, mean, std)
    info["places"] = thin_places(np.empty((0, 2)) if lonlat is None else check_lonlat(lonlat).lonlat)
    from_plain(Info, info)
    if len(info["classes"]) != model.backbone.num_classes:
        names = counted(len(info["classes"]), "name")
        msg = f"classes: the network has {model.backbone.num_classes}; got {names}"
        raise InputError(msg)
    config = _config(model, info)
    _check_rebuilt(model, config, info)
    return save_checkpoint(path, model, config, info)


def predictor_of(model: MoGEViT, name: str = "own") -> Predictor:
    """Make a predictor from a network that has no checkpoint; the names of its classes are numbers.

    Raises:
        InputError: another kind of network, or one whose backbone or encoder has no name.
    """
    _check_own(model)
    bands = _bands(model)
    classes = [str(number) for number in range(model.backbone.num_classes)]
    info = _info(model, name, classes, [0.0] * bands, [1.0] * bands)
    return Predictor(model, _config(model, info), info, str(next(model.parameters()).device))


def _check_own(model: nn.Module) -> None:
    if not (isinstance(model, Network) and model.routes_places):
        raise InputError(
            f"model: expected what geomoe.add_moge returns; got {type(model).__name__}; if it was {NAMED}"
        )


def _info(
    model: MoGEViT, name: str, classes: Sequence[str], mean: Sequence[float], std: Sequence[float]
) -> dict[str, Any]:
    """The facts of a network for its checkpoint."""
    info: dict[str, Any] = {
        "name": name,
        "classes": [str(one) for one in classes],
        "domains": [],
        "bands": _bands(model),
        "mean": [float(value) for value in mean],
        "std": [float(value) for value in std],
        "image_size": _side(model.backbone.patch_embed.img_size),
    }
    return info | ({"encoder": model.encoder.architecture} if model.encoder.architecture else {})


def _config(model: MoGEViT, info: dict[str, Any]) -> RunConfig:
    """The configuration that rebuilds a network."""
    backbone, layer = model.backbone, cast("MoGELayer", next(iter(model.layers.values())))
    known = getattr(backbone, "pretrained_cfg", None)  # timm's: a dictionary or a PretrainedCfg
    known = known if isinstance(known, dict) else vars(known) if known is not None else {}
    architecture = known.get("architecture")
    if not architecture:
        raise InputError("model: its backbone has no name; make it with timm.create_model")
    if not model.encoder.recipe:
        raise InputError("model: its encoder has no name; make it with geomoe.create_encoder")
    recipe = {key: value for key, value in model.encoder.recipe.items() if value is not None}
    return from_dict(
        {
            "algorithm": DEFAULT_METHOD,
            "data": {"name": "folder", "held_out": None},
            "encoder": recipe,
            "model": {
                "backbone": architecture,
                "image_size": info["image_size"],
                "patch_size": _side(backbone.patch_embed.patch_size),
                "moge_blocks": list(model.blocks),
                "num_experts": model.num_experts,
                "top_k": model.top_k,
                "router": "cosine" if isinstance(layer.router, CosineRouter) else "linear",
                "gamma": float(layer.shared_weight.detach()),
                "learn_gamma": layer.learn_gamma,
                "expert_dropout": model.expert_dropout,
            },
        },
        check=False,
    )


def _check_rebuilt(model: MoGEViT, config: RunConfig, info: dict[str, Any]) -> None:
    """Rebuild the network and compare its scores with those of the original.

    Raises:
        InputError: it cannot be rebuilt, or answers differently.
    """
    state = model.state_dict()
    first = next(model.parameters())
    training = model.training
    try:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            copy = build_network(config, info)
            image = torch.randn(2, info["bands"], info["image_size"], info["image_size"])
        load_weights(copy, state, "model")
        copy = copy.to(first).eval()
        lonlat = torch.tensor([[10.0, 50.0], [float("nan")] * 2], dtype=torch.float64, device=first.device)
        with torch.no_grad():
            own = model.eval()(image.to(first), lonlat).logits
            other = copy(image.to(first), lonlat).logits
    except (CheckpointError, ConfigError) as error:
        msg = f"model: it cannot be rebuilt from its names: {one_line(error)}"
        raise InputError(msg) from error
    finally:
        model.train(training)
    apart = float((own - other).abs().max() / own.abs().max().clamp(min=1e-6))
    if not apart <= CLOSE:
        msg = (
            f"model: rebuilt from its names ({config.model.backbone}, {config.encoder.name}) it answers "
            f"differently (by {apart:.2g}); make the backbone without further options of timm.create_model"
        )
        raise InputError(msg)


def _bands(model: MoGEViT) -> int:
    return next(
        part for part in model.backbone.patch_embed.modules() if isinstance(part, nn.Conv2d)
    ).in_channels


def _side(size: Any) -> int:  # noqa: ANN401 - timm's (height, width)
    """The side of a square.

    Raises:
        InputError: not a square, or unknown.
    """
    if not size or len(set(size)) != 1:
        raise InputError(f"model: expected a backbone for square images; got {size}")
    return int(size[0])
