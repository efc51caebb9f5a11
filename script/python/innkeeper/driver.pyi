# The run, for type checkers.
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from threading import Timer
from typing import Any

from innkeeper.debug import DebugAbstract
from innkeeper.log import Log
from innkeeper.machine import BaseMachine, Duration, NspawnMachine, QemuMachine
from innkeeper.polling import Poll, PollingCondition
from innkeeper.vlan import VLan

class Driver:
    config: Any
    tests: str
    out_dir: Path
    logger: Log
    debug: DebugAbstract
    interactive: bool
    keep_machine_state: bool
    vlans: list[VLan]
    machines_qemu: list[QemuMachine]
    machines_nspawn: list[NspawnMachine]
    polling_conditions: list[PollingCondition]
    race_timer: Timer
    vhost_vsock: Any
    @property
    def machines(self) -> list[QemuMachine]: ...
    def start_all(self) -> None: ...
    def join_all(self) -> None: ...
    def test_script(self) -> None: ...
    def run_tests(self) -> None: ...
    def subtest(self, name: str) -> AbstractContextManager[None]: ...
    def create_machine(
        self,
        start_command: str | dict[str, Any],
        *,
        name: str | None = ...,
        keep_machine_state: bool = ...,
        keep_vm_state: bool = ...,
    ) -> QemuMachine: ...
    def serial_stdout_on(self) -> None: ...
    def serial_stdout_off(self) -> None: ...
    def check_polling_conditions(self) -> None: ...
    def polling_condition(
        self,
        fun_: Callable[[], object] | None = ...,
        *,
        seconds_interval: Duration | None = ...,
        interval: Duration | None = ...,
        description: str | None = ...,
    ) -> Any: ...
    def dump_machine_ssh(self) -> None: ...
    def terminate_test(self) -> None: ...
    def test_symbols(self) -> dict[str, Any]: ...
