"""Mixture of geographical experts: routers, expert banks, the MoGE layer. Tensors only."""

from __future__ import annotations

from geomoe.moe.experts import copy_experts
from geomoe.moe.layer import MoGELayer, MoGEResult, Plan, check_experts
from geomoe.moe.router import ROUTERS, CosineRouter, LinearRouter, Router, create_router

__all__ = [
    "ROUTERS",
    "CosineRouter",
    "LinearRouter",
    "MoGELayer",
    "MoGEResult",
    "Plan",
    "Router",
    "check_experts",
    "copy_experts",
    "create_router",
]
