# machines:
# Exceptions of the driver's own, as scripts raise and catch them.
from test_driver.errors import MachineError, RequestedAssertionFailed

for kind in (MachineError, RequestedAssertionFailed, ValueError):
    try:
        raise kind("words")
    except Exception as error:
        print(type(error).__name__, error, isinstance(error, AssertionError))


def wrap():
    try:
        int("x")
    except ValueError as error:
        raise RequestedAssertionFailed("not a number\nby far") from error


wrap()
