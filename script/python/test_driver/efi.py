"""Variables of the firmware."""

from innkeeper.efi import EfiGuid, EfiVariable

__all__ = ["EfiGuid", "EfiVariable"]
