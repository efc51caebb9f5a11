"""The machines of a script. Their verbs come from the driver's table."""

import pathlib

from . import verbs


class BaseMachine:
    """A machine of the run."""

    def __init__(self, connection, description):
        self._connection = connection
        self.name = description["name"]
        self.state_dir = pathlib.Path(description["state_dir"])
        self.out_dir = pathlib.Path(description["out_dir"])

    def __repr__(self):
        return "<%s %r>" % (type(self).__name__, self.name)

    @property
    def booted(self):
        """Whether the machine is on."""
        return self.is_on()

    @property
    def connected(self):
        """Whether the machine is on and its shell has answered."""
        return self.is_up()

    def nested(self, msg, attrs=None):
        """A context manager: what happens inside is shown under ``msg``."""
        return self._connection.scope("step", msg, self.name)


class QemuMachine(BaseMachine):
    """A virtual machine of the run."""


def add_verbs(connection, table):
    """Gives machines their verbs."""
    for verb in table:
        if verb["target"] == "machine":
            setattr(QemuMachine, verb["name"], verbs.function(connection, verb))
