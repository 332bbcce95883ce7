"""``python -m geomoe`` is ``geomoe``."""

import sys

from geomoe.cli import main

if __name__ == "__main__":
    sys.exit(main())
