"""How many processes may run at once: cores, and file handles for those that read images."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from geomoe.errors import ConfigError
from geomoe.support.text import counted

if TYPE_CHECKING:
    from torch.utils.data import DataLoader, Dataset

SAMPLE_TENSORS = 12  # tensors in a batch of samples: image, label, place and so on
SPARE = 48  # handles for images, sockets and libraries, in each process
_PIPES = 6  # handles of a process's pipes
_AHEAD = 2  # results that each process makes ahead of time (torch's prefetch_factor)


def usable_cores() -> int:
    """Cores that this process may use, which may be fewer than the machine has."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def open_loader(
    data: Dataset[Any],
    *,
    num_workers: int,
    tensors: int,
    **options: Any,  # noqa: ANN401 - passed on to torch
) -> DataLoader[Any]:
    """A loader of torch whose processes have enough file handles; without them torch would wait forever.

    Args:
        data: what is loaded.
        num_workers: number of processes that read; 0: this process.
        tensors: number of tensors in one result of a process; each is passed through its own file handle.
        options: those of :class:`torch.utils.data.DataLoader`.

    Raises:
        ConfigError: the system allows too few handles.
    """
    from torch.utils.data import DataLoader

    check_handles(num_workers, tensors)
    return DataLoader(data, num_workers=num_workers, **options)


def check_handles(workers: int, tensors: int) -> None:
    """Refuse more processes than there are file handles for, and ask for those that are allowed.

    Args:
        workers: number of processes; 0: none.
        tensors: number of tensors in one result.

    Raises:
        ConfigError: the limit of the system (``ulimit -n``) is too low.
    """
    if not workers:
        return
    try:
        import resource
    except ImportError:  # Windows, which has no such limit
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    each = _PIPES + _AHEAD * tensors
    need = _open_now() + SPARE + tensors + workers * each
    if soft == resource.RLIM_INFINITY or soft >= need:
        return
    if hard == resource.RLIM_INFINITY or hard >= need:
        resource.setrlimit(resource.RLIMIT_NOFILE, (need, hard))
        return
    enough = max((hard - need) // each + workers, 0)
    use = f"at most {counted(enough, 'process')}" if enough else "no other process (0)"
    raise ConfigError(
        f"num_workers: {counted(workers, 'process needs', 'processes need')} {need:,} file handles and "
        f"{hard:,} are allowed (ulimit -n); raise the limit, or use {use}"
    )


def _open_now() -> int:
    """Number of file handles that this process has open."""
    for folder in ("/proc/self/fd", "/dev/fd"):
        try:
            return len(os.listdir(folder))
        except OSError:
            continue
    return SPARE
