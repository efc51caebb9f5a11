"""Conditions that have to hold meanwhile."""

from innkeeper.errors import PollingConditionError
from innkeeper.polling import PollingCondition

__all__ = ["PollingCondition", "PollingConditionError"]
