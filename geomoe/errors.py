"""The errors that geomoe raises on purpose.

Each one is also a builtin, so that ``except ValueError`` keeps working, and each message is one
line: what is wrong, where, the value that was found, and what to do about it. The command line
turns any :class:`GeomoeError` into that line on stderr and exit status 2.
"""


class GeomoeError(Exception):
    """Base class of every error that geomoe raises on purpose."""


class ConfigError(GeomoeError, ValueError):
    """A configuration has an unknown key, a wrong type or an impossible combination."""


class InputError(GeomoeError, ValueError):
    """An argument of a function has a wrong shape, type or range."""


class CoordinateError(GeomoeError, ValueError):
    """A coordinate is half missing, infinite or off the Earth."""


class DataError(GeomoeError, ValueError):
    """A data file is there but cannot be used: corrupt, truncated or inconsistent."""


class DatasetNotFoundError(GeomoeError, FileNotFoundError):
    """The data of a data set is not where it was looked for."""


class DownloadError(GeomoeError, OSError):
    """A file cannot be fetched: switched off, no source, no network, or another file came."""


class CheckpointError(GeomoeError, ValueError):
    """A checkpoint or weights file is missing, foreign, corrupt or of another model."""


class DependencyNotFoundError(GeomoeError, ImportError):
    """An optional dependency is needed for what was asked; the message has the install command."""


class OutputError(GeomoeError, OSError):
    """A result cannot be written where it was asked to go."""


class DivergedError(GeomoeError, FloatingPointError):
    """A training loss has become NaN or infinite."""


def one_line(error: BaseException, most: int = 200) -> str:
    """What another library's error says, in one line of at most ``most`` characters; else its type."""
    text = "".join(letter if letter >= " " else " " for letter in str(error))  # no zero bytes on a terminal
    text = " ".join(text.split())
    return (text if len(text) <= most else f"{text[: most - 4]} ...") or type(error).__name__
