"""Machines."""

from innkeeper.machine import BaseMachine, NspawnMachine, QemuMachine
from innkeeper.machine import QemuMachine as Machine
from innkeeper.parts import StartCommand
from innkeeper.parts import StartCommand as NixStartScript
from innkeeper.retrying import retry

__all__ = ["BaseMachine", "Machine", "NixStartScript", "NspawnMachine", "QemuMachine", "StartCommand", "retry"]
