"""The world that each test of this folder does harm to."""

from __future__ import annotations

from tipbox_world import ring, world

__all__ = ["ring", "world"]
