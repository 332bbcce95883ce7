"""Print the tables of docs/bluemarble.md and draw its picture.

python -m tools.describe_bluemarble [--split-seed 0] [--picture docs/images/bluemarble.png]
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from geomoe.datasets.bluemarble.crops import open_crops, read_image
from geomoe.datasets.bluemarble.index import (
    BLOCK_DEGREES,
    CLASSES,
    CROP,
    REGIONS,
    SPLIT_SEEDS,
    SPLIT_SHARES,
    load_index,
)

COLOURS = {"train": (0, 114, 178), "val": (240, 228, 66), "test": (213, 94, 0)}  # Okabe and Ito
MAP_WIDTH, SCALE, COLUMNS = 1080, 1.5, 3
LABELS = 190  # pixels for class names


def main() -> None:
    """Print the tables and, on request, draw the picture."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--split-seed", type=int, default=0, choices=SPLIT_SEEDS, help="which declared split")
    parser.add_argument("--picture", type=Path, help="PNG to write")
    args = parser.parse_args()
    print(class_table(args.split_seed), region_table(), sep="\n\n")
    if args.picture is not None:
        picture = Image.fromarray(np.concatenate([draw_map(args.split_seed), draw_crops()]))
        # 80 colours keep a photograph of this size under 300 kB.
        picture.quantize(80, dither=Image.Dither.NONE).save(args.picture, optimize=True)
        print(f"\n{args.picture}: {args.picture.stat().st_size:,} bytes")


def class_table(split_seed: int) -> str:
    """Samples of each class and region in train / val / test, as Markdown."""
    index = load_index()
    lines = [
        f"| train / val / test, split seed {split_seed} | " + " | ".join(REGIONS) + " | all |",
        "|---" * (len(REGIONS) + 2) + "|",
    ]
    split = index.split[:, split_seed]
    for label, name in enumerate((*CLASSES, "**all**")):
        rows = index.label == label if label < len(CLASSES) else np.ones(len(index.label), dtype=bool)
        cells = [
            " / ".join(str(int((rows & here & (split == part)).sum())) for part in range(len(SPLIT_SHARES)))
            for here in (*(index.region == region for region in range(len(REGIONS))), rows)
        ]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def region_table() -> str:
    """Blocks of each region in train / val / test under each declared split, as Markdown."""
    index = load_index()
    lines = ["| blocks | " + " | ".join(REGIONS) + " |", "|---" * (len(REGIONS) + 1) + "|"]
    for seed in SPLIT_SEEDS:
        cells = []
        for region in range(len(REGIONS)):
            here = index.region == region
            parts = [here & (index.split[:, seed] == part) for part in range(len(SPLIT_SHARES))]
            cells.append(" / ".join(str(len(np.unique(index.block[part]))) for part in parts))
        lines.append(f"| split seed {seed} | " + " | ".join(cells) + " |")
    totals = [str(len(np.unique(index.block[index.region == region]))) for region in range(len(REGIONS))]
    lines.append("| all | " + " | ".join(totals) + " |")
    return "\n".join(lines)


def draw_map(split_seed: int) -> np.ndarray:
    """The image with a frame around every block in the colour of its split, (H, W, 3)."""
    index = load_index()
    image = Image.fromarray(read_image()).resize((MAP_WIDTH, MAP_WIDTH // 2), Image.Resampling.LANCZOS)
    draw, per_degree = ImageDraw.Draw(image), MAP_WIDTH / 360
    side = BLOCK_DEGREES * per_degree
    for block in np.unique(index.block):
        part = int(index.split[index.block == block][0, split_seed])
        row, column = divmod(int(block), 360 // BLOCK_DEGREES)
        box = [column * side + 1, row * side + 1, (column + 1) * side - 2, (row + 1) * side - 2]
        draw.rectangle(box, outline=tuple(COLOURS.values())[part], width=2)
    for k, (name, colour) in enumerate(COLOURS.items()):
        draw.rectangle([12, 380 + 24 * k, 26, 394 + 24 * k], outline=colour, width=3)
        draw.text((34, 379 + 24 * k), f"{name} blocks", fill=(255, 255, 255), font=_font())
    return np.asarray(image)[int(15 * per_degree) : int(152 * per_degree)]


def draw_crops() -> np.ndarray:
    """Crops of every class (rows) in every region (columns), (H, W, 3)."""
    index, pixels = load_index(), open_crops().pixels
    tile = int(CROP * SCALE) + 4
    width = (MAP_WIDTH - LABELS) // len(REGIONS)
    canvas = Image.new("RGB", (MAP_WIDTH, 30 + tile * len(CLASSES)), (255, 255, 255))
    draw = ImageDraw.Draw(canvas)
    for region, name in enumerate(REGIONS):
        draw.text((LABELS + region * width, 8), name, fill=(0, 0, 0), font=_font())
    for label, name in enumerate(CLASSES):
        draw.text((6, 30 + label * tile + 16), name, fill=(0, 0, 0), font=_font())
        for region in range(len(REGIONS)):
            rows = np.flatnonzero((index.label == label) & (index.region == region))
            for k, i in enumerate(rows[np.linspace(0, len(rows) - 1, min(COLUMNS, len(rows))).astype(int)]):
                crop = Image.fromarray(pixels[i].transpose(1, 2, 0)).resize(
                    (tile - 4, tile - 4), Image.Resampling.NEAREST
                )
                canvas.paste(crop, (LABELS + region * width + k * tile, 30 + label * tile))
    return np.asarray(canvas)


def _font() -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(14)


if __name__ == "__main__":
    main()
