"""A small iWildCam in the layout of WILDS 2.0, with all known pitfalls for a reader.

Columns, types and rules are those of ``wilds.datasets.iwildcam_dataset`` and of the script that made the
published table (``create_split.py`` in the WILDS repository): every label, camera and sequence number from
0 on occurs, and ``location_remapped`` is the rank of the raw ``location``. The pitfalls:

- rows in no order, and an unnamed first column that is not the row number;
- raw camera ids that are other cameras' remapped ids: a join by the wrong one finds wrong places;
- cameras without a place, places of cameras that are not in the data;
- classes of ``categories.csv`` that are not used (y = 99999), classes that one split alone has;
- pictures of several widths, one of them without colour.
"""

from __future__ import annotations

import json
import uuid
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from pathlib import Path

FOLDER = "iwildcam_v2.0"
UNUSED = 99999  # label of the classes of categories.csv that no image has
#: Raw camera ids. In order of their numbers they are 0 to 12 of location_remapped.
CAMERAS = {"train": (5, 12, 20, 33, 41, 58, 77, 90), "val": (9, 64), "test": (2, 70, 113)}
#: Raw camera id -> longitude, latitude. 33, 58, 70 and 113 have none; 0, 1 and 551 are not in the data.
PLACES = {
    2: (36.87, 0.38), 5: (36.91, 0.44), 9: (36.70, 0.29), 12: (-89.12, 17.33), 20: (-89.35, 17.61),
    41: (29.41, -2.54), 64: (29.35, -2.62), 77: (-77.02, -2.11), 90: (-59.40, -19.92),
    0: (102.90, 20.10), 1: (29.38, -2.58), 551: (36.80, 0.31),
}  # fmt: skip
#: y, category_id, name. Agouti is only in train, ocelot only in val, tapir only in test.
CLASSES = (
    (0, 0, "empty"), (1, 2, "tayassu pecari"), (2, 6, "mazama americana"), (UNUSED, 7, "homo sapiens"),
    (3, 10, "leopardus pardalis"), (4, 90, "panthera onca"), (UNUSED, 101, "unknown bird"),
    (5, 317, "equus quagga"), (6, 70, "dasyprocta punctata"), (7, 96, "leopardus wiedii"),
    (8, 24, "tapirus bairdii"),
)  # fmt: skip
_LABELS = {
    "train": (0, 1, 2, 3, 4, 5, 6),
    "id_val": (0, 1, 2, 3, 5),
    "id_test": (0, 1, 2, 4, 5),
    "val": (0, 1, 3, 5, 7),
    "test": (0, 2, 4, 5, 8),
}
_SEQUENCES = {"train": 10, "id_val": 3, "id_test": 3, "val": 8, "test": 8}  # bursts of each camera
_HEIGHT = 48


class _Picture(NamedTuple):
    split: str
    location: int
    seq_id: str
    y: int
    datetime: np.datetime64
    image_id: str


def write(folder: Path, seed: int = 0) -> None:
    """Write ``folder/iwildcam_v2.0``: a few hundred pictures, 13 cameras, 9 classes, under 1 MB.

    Args:
        folder: made if it does not exist.
        seed: seed of everything random.
    """
    import pandas as pd

    rng = np.random.default_rng(seed)
    root = folder / FOLDER
    (root / "train").mkdir(parents=True, exist_ok=True)
    pictures = [picture for split in _SEQUENCES for picture in _pictures(split, rng)]
    table = _table(pictures, pd)
    table = table.iloc[rng.permutation(len(table))]
    table.to_csv(root / "metadata.csv")  # the first column, without a name, is the row before the shuffle
    pd.DataFrame(CLASSES, columns=["y", "category_id", "name"]).to_csv(root / "categories.csv", index=False)
    places = {str(key): {"latitude": lat, "longitude": lon} for key, (lon, lat) in PLACES.items()}
    (root / "gps_locations.json").write_text(json.dumps(places), encoding="utf-8")
    (root / "RELEASE_v2.0.txt").write_text("Sample data in the layout of iWildCam 2.0.\n", encoding="utf-8")
    for number, picture in enumerate(pictures):
        image = _draw(picture, rng)
        image = image.convert("L") if number == 0 else image
        image.save(root / "train" / f"{picture.image_id}.jpg", quality=85)


def _pictures(split: str, rng: np.random.Generator) -> list[_Picture]:
    made = []
    labels, cameras = _LABELS[split], CAMERAS.get(split, CAMERAS["train"])  # id_val and id_test: train's
    for place, location in enumerate(cameras):
        for number in range(_SEQUENCES[split]):
            seq_id = _uuid(rng)
            # every label of the split comes, empty pictures (0) most often, as in the real data
            y = labels[(number + place) % len(labels)] if number % 3 else 0
            start = np.datetime64("2013-01-01") + np.timedelta64(
                int(rng.integers(2 * 365 * 86_400_000)), "ms"
            )
            for step in range(int(rng.integers(1, 4))):
                taken = start + np.timedelta64(step, "s")
                made.append(_Picture(split, location, seq_id, y, taken, _uuid(rng)))
    return made


def _table(pictures: list[_Picture], pd: Any) -> Any:  # noqa: ANN401 - pandas, a DataFrame
    locations = np.array([picture.location for picture in pictures])
    sequences = np.array([picture.seq_id for picture in pictures])
    category = {y: number for y, number, _ in CLASSES}
    return pd.DataFrame(
        {
            "split": [picture.split for picture in pictures],
            "location_remapped": np.unique(locations, return_inverse=True)[1],
            "location": locations,
            "sequence_remapped": np.unique(sequences, return_inverse=True)[1],
            "seq_id": sequences,
            "y": [picture.y for picture in pictures],
            "category_id": [category[picture.y] for picture in pictures],
            "datetime": [str(picture.datetime).replace("T", " ") for picture in pictures],
            "filename": [f"{picture.image_id}.jpg" for picture in pictures],
            "image_id": [picture.image_id for picture in pictures],
        }
    )


def _draw(picture: _Picture, rng: np.random.Generator) -> Any:  # noqa: ANN401 - a PIL image
    """Draw the background of the camera and the blob of the class; night pictures are darker."""
    from PIL import Image

    width = int(rng.integers(60, 86))
    local = np.random.default_rng(picture.location)
    pixels = local.integers(60, 150, size=3) + rng.normal(0, 8, size=(_HEIGHT, width, 3))
    if picture.y:
        look = np.random.default_rng(1000 + picture.y)
        top, left, size = int(rng.integers(0, 24)), int(rng.integers(0, 30)), 14 + picture.y
        pixels[top : top + size, left : left + size] = look.integers(0, 256, size=3)
    hour = int(str(picture.datetime)[11:13])
    return Image.fromarray((pixels * (1.0 if 6 <= hour < 18 else 0.5)).clip(0, 255).astype(np.uint8))


def _uuid(rng: np.random.Generator) -> str:
    return str(uuid.UUID(bytes=rng.bytes(16), version=4))
