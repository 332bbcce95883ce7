"""Write the tables of docs/theory.md and its figures.

python -m tools.theory [--page docs/theory.md] [--figures docs/images]
"""

from __future__ import annotations

import argparse
from pathlib import Path

from tools.theory.figures import draw
from tools.theory.page import filled

DOCS = Path(__file__).parents[2] / "docs"


def main() -> None:
    """Compute everything; a few seconds on one core."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    page, images = DOCS / "theory.md", DOCS / "images"
    parser.add_argument("--page", type=Path, default=page, help="file to write (default: %(default)s)")
    parser.add_argument("--figures", type=Path, default=images, help="folder (default: %(default)s)")
    args = parser.parse_args()
    args.page.write_text(filled(args.page.read_text(encoding="utf-8")), encoding="utf-8")
    print(args.page, *draw(args.figures), sep="\n")


if __name__ == "__main__":
    main()
