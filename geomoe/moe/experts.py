"""The bank of specialists: slightly different copies of a feed-forward network."""

from __future__ import annotations

import copy

import torch
from torch import nn

from geomoe.errors import ConfigError


def copy_experts(ffn: nn.Module, num_experts: int, noise: float = 0.02) -> nn.ModuleList:
    """Copy a feed-forward network once for each expert and make the copies differ.

    Copies without noise give the network's own output whatever the gates are, but they also get the
    same gradients up to their gates, and their CKA is 1; a little noise breaks this symmetry.

    Args:
        ffn: the network to copy; it is not changed, and shares nothing with the copies.
        num_experts: E, number of copies.
        noise: standard deviation of the Gaussian noise on each weight tensor, relative to the standard
            deviation of that tensor's entries; tensors of equal entries (biases of 0) are not changed.

    Returns:
        E independent networks.

    Raises:
        ConfigError: num_experts below 1 or negative noise.
    """
    if num_experts < 1:
        raise ConfigError(f"num_experts: expected at least 1; got {num_experts}")
    if not noise >= 0:
        raise ConfigError(f"expert_noise: expected 0 or more; got {noise}")
    experts = nn.ModuleList(copy.deepcopy(ffn) for _ in range(num_experts))
    if noise > 0:
        with torch.no_grad():
            for weight in experts.parameters():
                if weight.numel() > 1:
                    weight.add_(torch.randn_like(weight) * (noise * weight.std()))
    return experts
