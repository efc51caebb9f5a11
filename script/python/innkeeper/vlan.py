"""The VLANs of a script. Their verbs come from the driver's table."""

import pathlib

from . import verbs


class VLan:
    """A VLAN of the run."""

    def __init__(self, description):
        self.nr = description["nr"]
        self.socket_dir = pathlib.Path(description["socket_dir"])
        self.tap_name = description["tap_name"]
        self.pid = description["pid"]

    def __repr__(self):
        return "<Vlan Nr. %d>" % self.nr


def add_verbs(connection, table):
    """Gives VLANs their verbs."""
    for verb in table:
        if verb["target"] == "vlan":
            setattr(VLan, verb["name"], verbs.function(connection, verb))
