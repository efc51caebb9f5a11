"""The VLANs of a script. Their verbs come from the driver's table."""

import pathlib

from . import verbs


class VLan:
    """A VLAN of the run."""

    def __init__(self, description, is_old=False):
        # A text under NixOS 25.11 and before, where it is an argument of the command line.
        self.nr = str(description["nr"]) if is_old else description["nr"]
        self.socket_dir = pathlib.Path(description["socket_dir"])
        self.tap_name = description["tap_name"]
        self.pid = description["pid"]

    def __repr__(self):
        return "<Vlan Nr. %s>" % self.nr


def add_verbs(connection, table):
    """Gives VLANs their verbs."""
    for verb in table:
        if verb["target"] == "vlan":
            setattr(VLan, verb["name"], verbs.function(connection, verb))
