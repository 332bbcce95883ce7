"""The errors that geomoe raises on purpose.

Each is also a subclass of a builtin error, so that ``except ValueError`` keeps working. Each message is
one line (:class:`ConfigFaultsError`: one for each fault): what is wrong, where, the value found, and what to
do about it. The command line prints it to stderr for any :class:`GeomoeError`, with exit status 2.
"""


class GeomoeError(Exception):
    """Base class of every error that geomoe raises on purpose."""


class ConfigError(GeomoeError, ValueError):
    """A configuration has an unknown key, a wrong type or an impossible combination."""


class ConfigFaultsError(ConfigError):
    """Several faults of a configuration, each on a line of its own; names in them cannot break lines."""


class InputError(GeomoeError, ValueError):
    """An argument of a function has a wrong shape, type or range."""


class OptionError(InputError, TypeError):
    """A call has an option that its function does not have, or one of another type or out of its range."""


class CoordinateError(GeomoeError, ValueError):
    """A coordinate is half missing, infinite or off the Earth."""


class DataError(GeomoeError, ValueError):
    """A data file exists but cannot be used: it is corrupt, truncated or inconsistent."""


class OverBudgetError(DataError):
    """An image is valid but too large to be read: it exceeds the stated budget of one image."""


class DatasetNotFoundError(GeomoeError, FileNotFoundError):
    """The data of a data set is not in the expected place."""


class DownloadError(GeomoeError, OSError):
    """A file cannot be fetched: downloads are off, no source, no network, or the wrong file was received."""


class CheckpointError(GeomoeError, ValueError):
    """A checkpoint or weights file is missing, corrupt, of another program or of another model."""


class DependencyNotFoundError(GeomoeError, ImportError):
    """An optional dependency is needed but not installed; the message has the install command."""


class OutputError(GeomoeError, OSError):
    """A result cannot be written to the requested place."""


class DivergedError(GeomoeError, FloatingPointError):
    """A training loss has become NaN or infinite."""


def one_line(error: BaseException, most: int = 200) -> str:
    """The message of another library's error in one line of at most ``most`` characters; else its type."""
    text = "".join(letter if letter >= " " else " " for letter in str(error))  # no control characters
    text = " ".join(text.split())
    return (text if len(text) <= most else f"{text[: most - 4]} ...") or type(error).__name__
