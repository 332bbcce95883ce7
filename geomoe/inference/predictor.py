"""Prediction with a trained network: raw images and places in, classes and routings out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch

from geomoe.build import build_network
from geomoe.checkpoint import load_checkpoint, load_weights
from geomoe.coords import check_lonlat
from geomoe.errors import ConfigError, CoordinateError, InputError, one_line
from geomoe.support.text import counted
from geomoe.types import UNKNOWN_DOMAIN, Batch, BlockExperts, ModelOutput, Place, Routing

if TYPE_CHECKING:
    from collections.abc import Sequence
    from os import PathLike

    from numpy.typing import ArrayLike
    from torch import Tensor

    from geomoe.config import RunConfig
    from geomoe.encoders.base import LocationEncoder
    from geomoe.models import Network


class Prediction(NamedTuple):
    """The prediction for a batch of images.

    Attributes:
        labels: (B,) int64 class ids.
        names: the B class names of these ids.
        probabilities: (B, C) softmax of the class scores; each row sums to 1.
        routings: one :class:`geomoe.Routing` for each MoGE block; empty without experts.
    """

    labels: Tensor
    names: list[str]
    probabilities: Tensor
    routings: tuple[Routing, ...]


class Predictor:
    """A trained network in evaluation mode, with everything needed for prediction.

    Made by :func:`load`.

    Attributes:
        config: the run's configuration.
        info: plain facts stored with the weights: classes, domains, bands, mean, std, ...
        model: the network.
        device: device of the network.
    """

    def __init__(self, model: Network, config: RunConfig, info: dict[str, Any], device: str) -> None:
        self.config, self.info = config, info
        self.device = _device(device)
        self.model = model.to(self.device).eval().requires_grad_(False)
        shape = (1, -1, 1, 1)
        self._mean = torch.tensor(info["mean"], dtype=torch.float32, device=self.device).reshape(shape)
        self._std = torch.tensor(info["std"], dtype=torch.float32, device=self.device).reshape(shape)

    @property
    def encoder(self) -> LocationEncoder | None:
        """The location encoder, or None when the network ignores places."""
        return self.model.encoder

    @property
    def classes(self) -> list[str]:
        """Class names, by class id."""
        return list(self.info["classes"])

    @property
    def domains(self) -> list[str]:
        """Domain (region) names, by domain id."""
        return list(self.info["domains"])

    @property
    def num_experts(self) -> int:
        """Specialists in each MoGE block; 0 for a network without experts."""
        return self.model.num_experts

    @property
    def blocks(self) -> tuple[int, ...]:
        """Numbers of the MoGE blocks, counted from 0; empty for a network without experts."""
        return self.model.blocks

    def check_experts(self, experts: BlockExperts) -> BlockExperts:
        """Return ``experts`` if this network supports them.

        Raises:
            ConfigError: ``experts`` is not "all", "shared" or the number of an existing expert (or a
                tuple of these, one for each MoGE block), or the network has no experts.
        """
        if isinstance(experts, tuple):
            if len(experts) != len(self.blocks):
                blocks = len(self.blocks)
                msg = f"experts: expected one choice for each of {blocks} MoGE blocks; got {experts!r}"
                raise ConfigError(msg)
            for choice in experts:
                self.check_experts(choice)
            return experts
        if isinstance(experts, str) and experts == "all":
            return experts
        number = isinstance(experts, int) and not isinstance(experts, bool)
        if not number and experts != "shared":
            msg = f"experts: expected 'all', 'shared' or the number of an expert; got {experts!r}"
            raise ConfigError(msg)
        if not self.num_experts:
            name = self.config.algorithm
            msg = f"experts: {name} has no experts of places; use experts='all', not {experts!r}"
            raise ConfigError(msg)
        if not number and not self.model.has_shared:
            name = self.config.algorithm
            msg = f"experts: {name} has no shared expert; use experts='all' or a number, not {experts!r}"
            raise ConfigError(msg)
        if number and not 0 <= int(experts) < self.num_experts:
            msg = f"experts: this checkpoint has experts 0 to {self.num_experts - 1}; got {experts}"
            raise ConfigError(msg)
        return experts

    def predict(
        self,
        image: ArrayLike | Tensor,
        lonlat: ArrayLike | Tensor | None = None,
        experts: BlockExperts = "all",
        *,
        domain: ArrayLike | Tensor | None = None,
    ) -> Prediction:
        """Classify a batch of images.

        Args:
            image: (B, bands, height, width) raw values as in the data set (0 to 255, not scaled),
                of any real dtype; normalised here with the training set's mean and std.
            lonlat: (B, 2) degrees, longitude first; a (NaN, NaN) row or omitted ``lonlat`` means that
                the place is unknown.
            experts: "all" (MoGE), "shared" (MoGE-SE: only the shared expert) or the number of the
                specialist that processes every image; a tuple: one choice for each MoGE block.
            domain: (B,) domain ids, used only by the domain id encoder; default: unknown.

        Raises:
            InputError: the image batch has a wrong shape, band count or size, or is not finite.
            CoordinateError: places are invalid, or their number differs from that of the images.
            ConfigError: the network does not have these experts.
        """
        pixels = self._check_image(image)
        places = self._check_places(lonlat, len(pixels))
        place = Place.of(torch.from_numpy(places), self._check_domain(domain, len(pixels)))
        output = self.forward(pixels, place, experts=experts)
        probabilities = output.logits.float().softmax(dim=1)
        labels = probabilities.argmax(dim=1)
        names = [self.classes[label] for label in labels.tolist()]
        return Prediction(labels, names, probabilities, output.routings)

    @torch.inference_mode()
    def forward(
        self,
        image: Tensor,
        place: Place,
        *,
        experts: BlockExperts = "all",
        cka_tokens: int | None = None,
    ) -> ModelOutput:
        """Run the network on checked input; everything is moved to the predictor's device.

        Args:
            image: (B, bands, height, width) raw values.
            place: places of the images, with or without fixed features (:meth:`with_features`).
            experts: "all", "shared" or the number of one specialist.
            cka_tokens: also return every expert's output on this many tokens of each image.
        """
        self.check_experts(experts)
        batch = self._batch(image, place)
        return self.model(batch.image, batch.place, experts=experts, cka_tokens=cka_tokens)

    @torch.inference_mode()
    def forward_many(
        self, image: Tensor, place: Place, choices: Sequence[BlockExperts]
    ) -> dict[BlockExperts, ModelOutput]:
        """Like :meth:`forward`, for several choices of experts; shared parts are computed once."""
        choices = [self.check_experts(choice) for choice in choices]
        batch = self._batch(image, place)
        return self.model.forward_many(batch.image, choices, batch.place)

    @torch.inference_mode()
    def forward_places(self, image: Tensor, places: Sequence[Place]) -> list[ModelOutput]:
        """Like :meth:`forward`, at several places of each image; shared parts are computed once."""
        moved = [place.to(self.device) for place in places]
        return self.model.forward_places(self.normalise(image), moved)

    def _batch(self, image: Tensor, place: Place) -> Batch:
        """Return raw images and places as a batch on the predictor's device, without labels."""
        image = self.normalise(image)
        index = torch.arange(len(image), device=self.device)
        return Batch(image, torch.full_like(index, -1), place.to(self.device), index)

    def normalise(self, image: Tensor) -> Tensor:
        """Normalise (B, bands, height, width) raw values as in training, on the predictor's device."""
        return (image.to(self.device, torch.float32) - self._mean) / self._std

    def with_features(self, place: Place) -> Place:
        """Return the places on the predictor's device, with the fixed features of the encoder, if any."""
        place = place.to(self.device)
        return place if self.encoder is None else place._replace(features=self.encoder.feature_table(place))

    def _check_image(self, image: ArrayLike | Tensor) -> Tensor:
        pixels = _as_tensor(image, "image")
        bands, size = len(self.info["mean"]), self.config.model.image_size
        if pixels.ndim != 4 or tuple(pixels.shape[1:]) != (bands, size, size):
            msg = f"image: expected shape (B, {bands}, {size}, {size}), raw values; got {tuple(pixels.shape)}"
            raise InputError(msg)
        if pixels.is_complex() or not pixels.isfinite().all():
            msg = f"image: expected finite real numbers; got NaN, infinity or complex ({pixels.dtype})"
            raise InputError(msg)
        return pixels

    def _check_places(self, lonlat: ArrayLike | Tensor | None, count: int) -> np.ndarray:
        if lonlat is None:
            return np.full((count, 2), np.nan)
        values = lonlat
        if isinstance(lonlat, torch.Tensor):
            values = lonlat.detach().cpu()
            values = (values.double() if lonlat.is_floating_point() else values).numpy()
        places = check_lonlat(values).lonlat
        if len(places) != count:
            msg = f"lonlat: expected one place for each of the {counted(count, 'image')}; got {len(places)}"
            raise CoordinateError(msg)
        return places

    def _check_domain(self, domain: ArrayLike | Tensor | None, count: int) -> Tensor:
        if domain is None:
            return torch.full((count,), UNKNOWN_DOMAIN, dtype=torch.int64)
        ids = _as_tensor(domain, "domain")
        if ids.shape != (count,) or ids.is_floating_point() or ids.is_complex() or ids.dtype == torch.bool:
            msg = f"domain: expected {count} integer ids; got {ids.dtype} of shape {tuple(ids.shape)}"
            raise InputError(msg)
        ids = ids.to(torch.int64)
        if ((ids < UNKNOWN_DOMAIN) | (ids >= len(self.domains))).any():
            msg = f"domain: expected ids from -1 (unknown) to {len(self.domains) - 1}; got {ids.tolist()}"
            raise InputError(msg)
        return ids


def _as_tensor(values: ArrayLike | Tensor, name: str) -> Tensor:
    """Convert numbers to a tensor; torch rejects numpy arrays with negative strides or swapped bytes."""
    if isinstance(values, torch.Tensor):
        return values
    try:
        array = np.asarray(values)
        return torch.from_numpy(np.ascontiguousarray(array, array.dtype.newbyteorder("=")))
    except (TypeError, ValueError) as error:
        msg = f"{name}: expected an array of numbers; {one_line(error)}"
        raise InputError(msg) from error


def load(path: str | PathLike[str], device: str = "auto") -> Predictor:
    """Load a checkpoint of geomoe for prediction. Nothing in the file is executed.

    Args:
        path: a ``.ckpt`` file written by ``geomoe train``.
        device: auto (a GPU if there is one), cpu, cuda, cuda:1, ...

    Raises:
        CheckpointError: the file is missing, not a geomoe checkpoint, corrupt or of another model.
        ConfigError: the device does not exist.
    """
    checkpoint = load_checkpoint(path)
    _device(device)  # refuse a wrong device before the network is built
    with torch.random.fork_rng(devices=[]):  # the initial random weights are replaced anyway
        model = build_network(checkpoint.config, checkpoint.info)
    load_weights(model, checkpoint.network, path)
    return Predictor(model, checkpoint.config, checkpoint.info, device)


def _device(name: str) -> torch.device:
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.zeros(1, device=device).cpu()  # also refuses "meta", which has no values
    except (RuntimeError, AssertionError, NotImplementedError, TypeError) as error:
        msg = f"device: cannot use {name!r} here ({str(error).splitlines()[0]}); try auto or cpu"
        raise ConfigError(msg) from error
    return device
