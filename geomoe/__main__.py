"""``geomoe``, and ``python -m geomoe``."""

import sys


def main() -> int:
    """Run the command of this process; Ctrl-C while Python still reads the program is no traceback."""
    try:
        from geomoe.cli import main as command
    except KeyboardInterrupt:
        sys.stderr.write("geomoe: interrupted\n")
        return 130
    return command()


if __name__ == "__main__":
    sys.exit(main())
