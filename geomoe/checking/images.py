"""Open images of a data set once, and collect their shapes and the unreadable ones."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np
from torch.utils.data import Dataset

from geomoe.datasets.cache.make import Sources, gather
from geomoe.datasets.cache.pixels import Unreadable
from geomoe.errors import DataError
from geomoe.support.workers import open_loader

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

    from geomoe.datasets.base import LabelledImages

CHUNK = 64  # images that one process opens before it reports


class _Looks(Dataset[Any]):
    """Chunks of images: reading an item opens one chunk and returns shapes and unreadable images."""

    def __init__(self, sources: Sources, chosen: NDArray[np.int64]) -> None:
        self.sources, self.chosen = sources, chosen

    def __getitem__(self, number: int) -> tuple[Counter[str], list[Unreadable]]:
        shapes: Counter[str] = Counter()
        bad: list[Unreadable] = []
        for k in self.chosen[number * CHUNK : (number + 1) * CHUNK]:
            data = self.sources.parts[self.sources.part[k]]
            try:
                image = data.load_image(int(self.sources.place[k]))
                kind = data.type_of(int(self.sources.place[k])) or str(image.dtype).removeprefix("torch.")
            except DataError as error:
                bad.append(Unreadable(int(self.sources.rows[k]), str(error)))
                continue
            shapes[" x ".join(map(str, image.shape)) + f" {kind}"] += 1
        return shapes, bad


def open_images(
    parts: Mapping[str, LabelledImages],
    images: int | None,
    workers: int,
    tell: Callable[[int, int], None],
) -> tuple[int, dict[str, int], list[Unreadable]]:
    """Open each image once; return their number, their shapes and the unreadable ones.

    Data sets with images in memory were read and checked completely when they were opened.
    """
    files = [data for data in parts.values() if data.cacheable]
    if not files or images == 0:
        return 0, {}, []
    sources = gather(files)
    count = len(sources.rows) if images is None else min(images, len(sources.rows))
    chosen = np.unique(np.linspace(0, len(sources.rows) - 1, count).round().astype(np.int64))
    numbers = list(range(-(-len(chosen) // CHUNK)))
    loader = open_loader(
        _Looks(sources, chosen),
        batch_size=None,
        sampler=numbers,
        num_workers=min(workers, len(numbers)),
        tensors=0,
        collate_fn=_as_it_is,
    )
    shapes: Counter[str] = Counter()
    unreadable: list[Unreadable] = []
    for number, (some, bad) in enumerate(loader, start=1):
        shapes += some
        unreadable += bad
        tell(min(number * CHUNK, len(chosen)), len(chosen))
    return len(chosen), dict(shapes.most_common()), sorted(unreadable)


def _as_it_is(result: Any) -> Any:  # noqa: ANN401 - whatever a chunk returns
    return result
