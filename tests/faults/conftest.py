"""The world that each test of this folder does harm to."""

from __future__ import annotations

from support.world import ring, world

__all__ = ["ring", "world"]
