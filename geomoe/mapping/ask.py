"""Evaluate the routers of a checkpoint on a grid."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from geomoe.catalogue import CATALOGUE, DEFAULT_METHOD
from geomoe.errors import CheckpointError, ConfigError
from geomoe.inference import Predictor
from geomoe.models.backbones import QUICK, can_hold_experts

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from geomoe.config import RunConfig
    from geomoe.coords import Grid
    from geomoe.models import Network


_MOST_WEIGHTS = 1_000_000_000  # in one table: 4 GB


def check_routes_by_place(predictor: Predictor, where: str) -> None:
    """Refuse a checkpoint that has no expert map.

    Raises:
        CheckpointError: no experts, or routers that see a domain id instead of a place.
    """
    config = predictor.config
    if not predictor.num_experts:
        msg = f"{where}: {config.algorithm} has no experts of places, so there is no expert map"
        raise CheckpointError(f"{msg}; {_advice(config)}")
    if not predictor.model.routes_places:
        msg = (
            f"{where}: the routers of {config.algorithm} read images, not places, so there is no expert map; "
            f"{_advice(config)}"
        )
        raise CheckpointError(msg)
    if config.encoder.name == "domain":
        msg = (
            f"{where}: its routers see domain ids, not places (encoder.name=domain), so there is no map; "
            f"{_advice(config)}"
        )
        raise CheckpointError(msg)


def _advice(config: RunConfig) -> str:
    """How to train a checkpoint with a map on the same data, or that the data has no places, for an error."""
    data, entry = config.data.name, CATALOGUE.get(config.data.name)
    if entry is not None and not entry.places:
        return f"{data} has no places, so no method has a map of it"
    keys = {"algorithm": DEFAULT_METHOD}
    if config.encoder.name == "domain":
        keys["encoder.name"] = "sh"
    if config.model.backbone != QUICK and not can_hold_experts(config.model.backbone):
        keys["model.backbone"] = "vit_tiny_patch16_224"
        if config.model.image_size % 16:
            keys["model.image_size"] = "224"
    flags = " ".join(f"--{key} {value}" for key, value in keys.items())
    return f"give a checkpoint of geomoe train {data} {flags}"


@torch.inference_mode()
def route_grid(model: Network, grid: Grid) -> NDArray[np.float32]:
    """Evaluate the routers in every cell: gate weights (M, H * W, E), with bounded additional memory.

    The two sides of the antimeridian are evaluated separately, so the result is the same as for two grids
    that meet there.

    Args:
        model: a network with MoGE blocks, on any device.
        grid: the cells.

    Raises:
        ConfigError: a network without experts, or more cells than memory holds.
    """
    encoder = model.encoder
    if encoder is None or not model.routes_places:
        msg = f"model: {type(model).__name__} has no experts of places, so there is no expert map"
        raise ConfigError(msg)
    height, width = grid.shape
    shape = (len(model.blocks), height * width, model.num_experts)
    if np.prod(shape, dtype=float) > _MOST_WEIGHTS:
        msg = (
            f"step: {grid.step:g} degrees make {height * width:,} cells, too many for one table; "
            "choose a larger step or a smaller bounding box"
        )
        raise ConfigError(msg)
    weights = np.empty(shape, dtype=np.float32)
    cells = weights.reshape(-1, height, width, model.num_experts)
    for columns, lon in grid.sides():
        for rows, embedding in encoder.embed_grid(lon, grid.lat):
            for block, routing in enumerate(model.route(embedding)):
                part = routing.weights.float().cpu().numpy()
                cells[block, rows, columns] = part.reshape(-1, len(lon), model.num_experts)
    return weights
