"""Verbs in processes of their own, slowed down so that they can be killed in the middle."""

from __future__ import annotations

import time

from geomoe.cli import main
from geomoe.datasets.cache import make as make_cache
from geomoe.datasets.folder import reader
from geomoe.inference import files


def slowly(function, seconds):
    """The same function, which waits first."""
    return lambda *given: (time.sleep(seconds), function(*given))[1]


def predict(words):
    """``geomoe predict``, a tenth of a second for each batch."""
    files._ask = slowly(files._ask, 0.1)
    main(words)


def cache(words):
    """``geomoe data cache`` of a folder in chunks of 16 images, each of which takes its time."""
    make_cache.CHUNK = 16
    reader.load_image = slowly(reader.load_image, 0.05)
    main(words)
