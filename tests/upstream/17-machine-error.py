# machines:
from test_driver.errors import MachineError


def give_up():
    raise MachineError("the machine is no good")


with subtest("gives up"):
    give_up()
