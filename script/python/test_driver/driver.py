"""The run."""

from innkeeper.driver import Driver
from innkeeper.symbols import variable_name as pythonize_name

__all__ = ["Driver", "pythonize_name"]
