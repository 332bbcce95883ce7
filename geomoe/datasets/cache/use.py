"""Where the cache of a data set lies, and putting it to use."""

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
    """Where the cache of a data set's images lies: below GEOMOE_CACHE, else the system's cache folder.

    Protocols over the same images, such as fmow-lao, share one cache; another size has another one.
    """
    entry = CATALOGUE.get(name)
    source = entry.source or name if entry else name
    key = hashlib.sha256(data.image_key.encode()).hexdigest()[:12]
    return cache_folder() / "images" / f"{source}-{key}-{data.image_size or 'full'}px"


def use_cache(name: str, data: LabelledImages) -> None:
    """Let a split read its images from the cache, if one was made.

    Raises:
        DataError: there is one, and it is damaged.
    """
    path = cache_path(name, data)
    if not (data.cacheable and (path / INDEX).is_file()):
        return
    cache = ImageCache(path)
    covered = int((cache.positions(data.rows) >= 0).sum())
    log.info("%s %s: %d of %d images come from the cache %s", name, data.split, covered, len(data), path)
    data.cached = cache
