"""QEMU's protocol."""

from innkeeper.qmp import QMPAPIError, QMPSession

__all__ = ["QMPAPIError", "QMPSession"]
