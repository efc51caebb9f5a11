"""Conditions that are looked at again and again while the script does something else."""

import time

from . import durations, errors, retrying

_INTERVAL_S = 2.0


class PollingCondition:
    """One condition, with the time of its last evaluation."""

    def __init__(self, condition, logger, seconds_interval=_INTERVAL_S, description=None):
        self.condition = condition
        self.logger = logger
        self.seconds_interval = seconds_interval
        self.description = str(description or condition.__doc__ or condition.__name__)
        self.last_called = float("-inf")
        self.entry_count = 0

    def check(self, force=False):
        """Whether it holds; without ``force`` it is not looked at before its interval is over."""
        if self.entered or not (force or self.overdue):
            return True
        with self, self.logger.nested("Checking polling condition %r" % self.description):
            if self.last_called > float("-inf"):
                self.logger.info("Time since last: %.2fs" % (time.monotonic() - self.last_called))
            else:
                self.logger.info("(not called yet)")
            try:
                holds = self.condition()
            except Exception:
                holds = False
            holds = holds is None or bool(holds)
            word = "succeeded" if holds else "failed"
            self.logger.info("Polling condition %s: %s" % (word, self.description))
            return holds

    def maybe_raise(self):
        """Raises unless it holds."""
        if not self.check():
            raise errors.PollingConditionError("Polling condition failed: %s" % self.description)

    @property
    def overdue(self):
        """Whether its interval is over."""
        return self.last_called + self.seconds_interval < time.monotonic()

    @property
    def entered(self):
        """Whether it is being evaluated: its own commands do not evaluate it again."""
        return self.entry_count > 0

    def __enter__(self):
        self.entry_count += 1

    def __exit__(self, *_error):
        self.entry_count -= 1
        self.last_called = time.monotonic()


class Poll:
    """What the decorator returns: ``with condition:``, or ``condition.wait()``."""

    def __init__(self, driver, condition):
        self._driver = driver
        self.condition = condition

    def __enter__(self):
        self._driver.polling_conditions.append(self.condition)

    def __exit__(self, *_error):
        ended = self._driver.polling_conditions.pop()
        assert ended is self.condition

    def wait(self, timeout_seconds=None, timeout=None):
        """Waits until the condition holds."""
        logger, description = self._driver.logger, self.condition.description

        def holds(last):
            if last:
                logger.info("Last chance for %s" % description)
            held = self.condition.check(force=True)
            if not held and not last:
                logger.info("(%s failure not fatal yet)" % description)
            return held

        with logger.nested("waiting for %s" % description):
            retrying.retry(holds, timeout_seconds, timeout)


def decorator(driver):
    """The global ``polling_condition``, bare or with arguments."""

    def polling_condition(fun_=None, *, seconds_interval=None, interval=None, description=None):
        if interval is not None and seconds_interval is not None:
            raise TypeError("polling_condition() got both 'interval' and 'seconds_interval' arguments."
                            " Pass only 'interval'")
        given = interval if interval is not None else seconds_interval
        seconds = _INTERVAL_S if given is None else durations.seconds(given, "polling_condition")

        def decorate(function):
            return Poll(driver, PollingCondition(function, driver.logger, seconds, description))

        return decorate if fun_ is None else decorate(fun_)

    return polling_condition
