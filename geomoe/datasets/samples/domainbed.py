"""A small PACS, OfficeHome, TerraIncognita or DomainNet in DomainBed's layout, with all known pitfalls.

Folders are those that ``domainbed/scripts/download.py`` makes and torchvision's ImageFolder reads. The
pitfalls:

- the last class is missing in the second domain: an ImageFolder of that domain numbers the classes after it
  differently from the others;
- ``.ipynb_checkpoints`` and ``__MACOSX`` beside the domains and the classes (to DomainBed they are domains),
  ``._x.jpg``, ``.DS_Store``, ``Thumbs.db`` and a text file among the images;
- images of several sizes and colour modes (grey, palette, with transparency), .jpg, .JPG and .png;
- a class with a single image, and one with fewer images than a domain's share of a batch.

Each class has a colour and each domain a pattern, so that a network can learn the classes.
"""

from __future__ import annotations

import colorsys
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

#: Name -> folder, upstream names of the domains, and classes (only the first ones if there are many).
SETS = {
    "pacs": (
        "PACS",
        ("art_painting", "cartoon", "photo", "sketch"),
        ("dog", "elephant", "giraffe", "guitar", "horse", "house", "person"),
    ),
    "officehome": (
        "office_home",
        ("Art", "Clipart", "Product", "Real World"),
        ("Alarm_Clock", "Backpack", "Batteries", "Bed", "Bike"),
    ),
    "terraincognita": (
        "terra_incognita",
        ("location_38", "location_43", "location_46", "location_100"),
        ("bird", "bobcat", "cat", "coyote", "dog", "empty", "opossum", "rabbit", "raccoon", "squirrel"),
    ),
    "domainnet": (
        "domain_net",
        ("clipart", "infograph", "painting", "quickdraw", "real", "sketch"),
        ("aircraft_carrier", "airplane", "alarm_clock", "ambulance", "angel"),
    ),
}
IMAGES = 12  # images of a class in a domain; some classes have fewer
SIDES = ((48, 48), (64, 40), (40, 56))


def write(folder: Path, seed: int = 0, name: str = "pacs") -> None:
    """Write one of the four data sets below ``folder``: a few hundred images of about 50 pixels, 1 MB.

    Args:
        folder: made if it does not exist.
        seed: seed of the pixels.
        name: pacs, officehome, terraincognita or domainnet.
    """
    generator = np.random.default_rng(seed)
    inside, domains, classes = SETS[name]
    root = folder / inside
    for number, domain in enumerate(domains):
        for label, kind in enumerate(classes):
            count = _count(number, label, len(classes))
            for image in range(count):
                hue = label / len(classes)
                _save(root / domain / kind / f"{kind}_{image:04d}", generator, hue, number, image)
    for place in (root, root / domains[0]):
        _leave_junk(place, next((root / domains[0] / classes[0]).glob("*.jpg")))
    (root / domains[-1] / classes[0] / "notes.txt").write_text("not an image\n", encoding="utf-8")
    (root / domains[-1] / classes[0] / "Thumbs.db").write_bytes(b"not an image")


def _count(domain: int, label: int, classes: int) -> int:
    """Number of images of a class in a domain."""
    if domain == 1 and label == classes - 1:
        return 0
    if domain == 0 and label == 1:
        return 1
    return IMAGES - 3 * (label == 2)


def _save(path: Path, generator: np.random.Generator, hue: float, domain: int, image: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    height, width = SIDES[image % len(SIDES)]
    picture = Image.fromarray(_pixels(generator, hue, domain, height, width))
    if image % 6 == 1:
        picture.convert("RGBA").save(f"{path}.png")
    elif image % 6 == 3:
        picture.convert("P", palette=Image.Palette.ADAPTIVE).save(f"{path}.png")
    elif image % 6 == 5:
        picture.convert("L").save(f"{path}.jpg", quality=90)
    else:
        picture.save(f"{path}.{'JPG' if image % 6 == 4 else 'jpg'}", "JPEG", quality=90)


def _pixels(
    generator: np.random.Generator, hue: float, domain: int, height: int, width: int
) -> NDArray[np.uint8]:
    """(height, width, 3): the colour of a class under the stripes of a domain, and noise."""
    colour = np.array(colorsys.hsv_to_rgb(hue, 0.9, 0.9)) * 255
    rows, columns = np.mgrid[:height, :width]
    stripes = np.sin((rows * (domain % 3) + columns * (domain // 3 + 1)) / 2)[..., None] * 30
    noise = generator.normal(0, 10, (height, width, 3))
    return np.clip(colour + stripes + noise, 0, 255).astype(np.uint8)


def _leave_junk(place: Path, image: Path) -> None:
    for name in (".ipynb_checkpoints", "__MACOSX"):
        (place / name / "dog").mkdir(parents=True)
        (place / name / "dog" / f"._{image.name}").write_bytes(b"\x00\x05\x16\x07")
        (place / name / "dog" / image.name).write_bytes(image.read_bytes())
    (place / ".DS_Store").write_bytes(b"\x00\x00\x00\x01Bud1")
    (image.parent / f"._{image.name}").write_bytes(b"\x00\x05\x16\x07")
