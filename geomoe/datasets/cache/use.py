"""Locate the cache of a data set and attach it."""

from __future__ import annotations

import hashlib
import logging
from pathlib import Path
from typing import TYPE_CHECKING

from geomoe.catalogue import CATALOGUE
from geomoe.datasets.cache.pixels import INDEX, ImageCache
from geomoe.support.files import cache_folder

if TYPE_CHECKING:
    from geomoe.datasets.base import LabelledImages

log = logging.getLogger(__name__)


def cache_path(name: str, data: LabelledImages) -> Path:
    """Return the folder of a data set's image cache, in GEOMOE_CACHE or the system's cache folder.

    If this version has no cache, one that an earlier version made for the same files is used.
    Protocols over the same images, such as fmow-lao, share one cache; each image size has its own.
    """
    paths = [_path(name, data, key) for key in (data.image_key, *data.earlier_image_keys)]
    return next((path for path in paths if (path / INDEX).is_file()), paths[0])


def _path(name: str, data: LabelledImages, image_key: str) -> Path:
    entry = CATALOGUE.get(name)
    source = entry.source or name if entry else name
    key = hashlib.sha256(image_key.encode()).hexdigest()[:12]
    return cache_folder() / "images" / f"{source}-{key}-{data.image_size or 'full'}px"


def use_cache(name: str, data: LabelledImages) -> None:
    """Make a split read its images from the cache, if one exists.

    Raises:
        DataError: the cache is damaged.
    """
    path = cache_path(name, data)
    if not (data.cacheable and (path / INDEX).is_file()):
        return
    cache = ImageCache(path)
    covered = int((cache.positions(data.rows) >= 0).sum())
    log.info("%s %s: %d of %d images come from the cache %s", name, data.split, covered, len(data), path)
    data.cached = cache
