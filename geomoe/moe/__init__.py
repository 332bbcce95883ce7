"""Mixtures of experts: routers of places and of tokens, expert banks, layers. Tensors only."""

from __future__ import annotations

from geomoe.moe.experts import copy_experts
from geomoe.moe.layer import MoGELayer, MoGEResult, Plan, check_experts
from geomoe.moe.router import ROUTERS, CosineRouter, LinearRouter, Router, create_router
from geomoe.moe.stacked import StackedFFN, StackedLinear
from geomoe.moe.token_layer import OrthogonalMoELayer, TokenMoELayer
from geomoe.moe.token_router import CosineTokenRouter, TokenRouter, TopAnyRouter

__all__ = [
    "ROUTERS",
    "CosineRouter",
    "CosineTokenRouter",
    "LinearRouter",
    "MoGELayer",
    "MoGEResult",
    "OrthogonalMoELayer",
    "Plan",
    "Router",
    "StackedFFN",
    "StackedLinear",
    "TokenMoELayer",
    "TokenRouter",
    "TopAnyRouter",
    "check_experts",
    "copy_experts",
    "create_router",
]
