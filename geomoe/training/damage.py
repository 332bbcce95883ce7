"""Refuse a damaged ``last.ckpt`` before a run resumes: Lightning does not check its own parts of the file."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import torch
from lightning.pytorch import Callback

from geomoe.checkpoint import read
from geomoe.errors import CheckpointError, GeomoeError, one_line
from geomoe.support.bounded import refuse_bomb

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_STATE = ("epoch", "global_step", "optimizer_states", "lr_schedulers", "loops", "callbacks", "epoch_sums")
# What Lightning and torch raise for values that they did not write.
_DAMAGE = (ArithmeticError, AssertionError, AttributeError, LookupError, RuntimeError, TypeError, ValueError)


def steps_done(path: Path) -> int:
    """The number of updates that a run had made when it was saved.

    Raises:
        CheckpointError: the file has no training state, or one of a wrong type.
    """
    state = read(path)
    missing = [name for name in _STATE if name not in state]
    if missing:
        msg = f"{path}: cannot be resumed, it has only weights (no {', '.join(missing)}); train again"
        raise CheckpointError(msg)
    try:
        refuse_bomb({name: value for name, value in state.items() if name != "state_dict"})
    except ValueError as error:
        raise _damaged(path, str(error)) from error
    for name in ("epoch", "global_step"):
        if type(state[name]) is not int or state[name] < 0:
            raise _damaged(path, f"{name}: expected a whole number from 0; got {state[name]!r:.40}")
    return int(state["global_step"])


class Begun(Callback):
    """Records whether a step has been taken, so that the optimiser's state from the file has been used.

    Attributes:
        is_set: whether a step has been taken.
    """

    def __init__(self) -> None:
        self.is_set = False

    def on_train_batch_end(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - Lightning's
        """Record the step."""
        self.is_set = True


@contextlib.contextmanager
def blaming(path: Path | None, begun: Begun) -> Iterator[None]:
    """Until the first step, report errors of Lightning and torch as damage of the resumed file.

    Args:
        path: that file; None: the run starts from the beginning.
        begun: records whether a step has been taken.

    Raises:
        CheckpointError: the file is damaged.
    """
    try:
        yield
    except _DAMAGE as error:
        own = isinstance(error, GeomoeError | torch.OutOfMemoryError)
        if path is None or begun.is_set or own:
            raise
        raise _damaged(path, f"{type(error).__name__}: {one_line(error)}") from error


def _damaged(path: Path, what: str) -> CheckpointError:
    advice = "bring back this run's own, or train again"
    return CheckpointError(f"{path}: its state of the training is damaged ({what}); {advice}")
