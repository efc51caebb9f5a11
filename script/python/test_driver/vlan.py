"""VLANs."""

from innkeeper.vlan import VLan

__all__ = ["VLan"]
