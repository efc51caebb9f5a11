"""Breakpoints."""

from innkeeper.debug import Debug, DebugAbstract, DebugNop

__all__ = ["Debug", "DebugAbstract", "DebugNop"]
