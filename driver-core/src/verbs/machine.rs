//! The verbs of machines.

use super::Verb;
use super::table::verb;
use crate::error::DriverError;
use crate::node::Execute;

pub(super) static TABLE: &[Verb] = &[
    // Life
    verb!(Machine start(allow_reboot: Bool = "false") -> Nothing,
        "Starts the machine and returns when the hypervisor runs. Does nothing when it is on.",
        |call, args| call.node()?.start(args.allow_reboot.then_some(true))),
    verb!(Machine connect() -> Nothing,
        "Waits until the guest's root shell answers; starts the machine if it is off.",
        |call, _args| call.node()?.connect()),
    verb!(Machine switch_root() -> Nothing,
        "Leaves the initrd for the real system, where the shell answers in both, and waits for that shell.",
        |call, _args| call.node()?.switch_root()),
    verb!(Machine shutdown() -> Nothing,
        "Powers the guest off from inside and waits until it is off.",
        |call, _args| call.node()?.shutdown()),
    verb!(Machine crash() -> Nothing,
        "Ends the machine as a power failure does.",
        |call, _args| call.node()?.crash()),
    verb!(Machine wait_for_shutdown(timeout: MaybeDuration = "null") -> Nothing,
        "Waits until the machine is off, however that comes about.",
        |call, args| call.node()?.wait_for_shutdown(args.timeout.map(|limit| limit.0))),
    verb!(Machine snapshot(name: Text) -> Nothing needs Snapshots,
    "Keeps the machine as it is, memory and disks, under a name of this run's. Boots it first if it is off; no \
     command may be running.",
    |call, args| call.node()?.snapshot(&args.name)),
    verb!(Machine restore(name: Text) -> Nothing needs Snapshots,
    "Ends the machine if it is on, and lets it go on from a snapshot of its own: memory, disks and commands as they \
     were, the clock set anew.",
    |call, args| call.node()?.restore(&args.name)),
    verb!(Machine is_up() -> Flag,
        "Whether the machine is on and its shell has answered.",
        |call, _args| ready(call.node()?.is_up())),
    verb!(Machine is_on() -> Flag,
        "Whether the machine is on.",
        |call, _args| ready(call.node()?.is_on())),
    // Commands
    verb!(Machine execute(
        command: Text, check_return: Bool = "true", check_output: Bool = "true", timeout: MaybeDuration = "900"
    ) -> StatusAndText,
    "Runs a shell command in the guest and returns its exit status and standard output. After `timeout` \
     the guest ends it, with status 124. Without `check_output` nothing is waited for.",
    |call, args| call.node()?.execute_with(&args.command, Execute {
        check_return: args.check_return,
        check_output: args.check_output,
        timeout: args.timeout.map(|limit| limit.0),
    })),
    verb!(Machine succeed(commands: Texts, timeout: MaybeDuration = "null") -> Text,
        "Runs shell commands one after the other; each must succeed. Returns their standard outputs, joined.",
        |call, args| call.node()?.succeed(&args.commands, args.timeout.map(|limit| limit.0))),
    verb!(Machine fail(commands: Texts, timeout: MaybeDuration = "null") -> Text,
        "Runs shell commands one after the other; each must fail. Returns their standard outputs, joined.",
        |call, args| call.node()?.fail(&args.commands, args.timeout.map(|limit| limit.0))),
    verb!(Machine wait_until_succeeds(command: Text, timeout: Duration = "900") -> Text,
        "Runs a shell command again and again until it succeeds. Returns its last output.",
        |call, args| call.node()?.wait_until_succeeds(&args.command, args.timeout.0)),
    verb!(Machine wait_until_fails(command: Text, timeout: Duration = "900") -> Text,
        "Runs a shell command again and again until it fails. Returns its last output.",
        |call, args| call.node()?.wait_until_fails(&args.command, args.timeout.0)),
    verb!(Machine sleep(secs: MaybeDuration = "null", duration: MaybeDuration = "null") -> Nothing,
    "Lets the guest sleep: its time, not the host's. `secs` is the old name of `duration`.",
    |call, args| {
        let duration = match (args.secs, args.duration) {
            (Some(duration), None) | (None, Some(duration)) => duration.0,
            (Some(_), Some(_)) => {
                return Err(DriverError::usage("sleep() got both 'duration' and 'secs'. Pass only 'duration'"));
            }
            (None, None) => {
                return Err(DriverError::usage("sleep() missing required argument 'duration'"));
            }
        };
        call.node()?.sleep(duration)
    }),
    // Units
    verb!(Machine systemctl(q: Text, user: MaybeText = "null") -> StatusAndText,
        "Runs systemctl with the given arguments, for the manager of `user` if one is named.",
        |call, args| call.node()?.systemctl(&args.q, args.user.as_deref())),
    verb!(Machine wait_for_unit(
        unit: Text, user: MaybeText = "null", timeout: Duration = "900", grace: Duration = "5"
    ) -> Nothing,
    "Waits until a systemd unit is active, or a oneshot service has run. Fails at once when it has failed, \
     and when it has been inactive with no job pending for `grace`.",
    |call, args| {
        let (timeout, grace) = (args.timeout.0, args.grace.0);
        call.node()?.wait_for_unit_with_grace(&args.unit, args.user.as_deref(), timeout, grace)
    }),
    verb!(Machine get_unit_info(unit: Text, user: MaybeText = "null") -> Map,
        "All properties of a systemd unit.",
        |call, args| call.node()?.get_unit_info(&args.unit, args.user.as_deref())),
    verb!(Machine get_unit_property(unit: Text, property: Text, user: MaybeText = "null") -> Text,
        "One property of a systemd unit.",
        |call, args| call.node()?.get_unit_property(&args.unit, &args.property, args.user.as_deref())),
    verb!(Machine require_unit_state(unit: Text, require_state: Text = "\"active\"") -> Nothing,
        "Fails unless a systemd unit is in the given state.",
        |call, args| call.node()?.require_unit_state(&args.unit, &args.require_state)),
    verb!(Machine start_job(jobname: Text, user: MaybeText = "null") -> StatusAndText,
        "Starts a systemd unit; the result is not checked.",
        |call, args| call.node()?.systemctl(&format!("start {}", args.jobname), args.user.as_deref())),
    verb!(Machine stop_job(jobname: Text, user: MaybeText = "null") -> StatusAndText,
        "Stops a systemd unit; the result is not checked.",
        |call, args| call.node()?.systemctl(&format!("stop {}", args.jobname), args.user.as_deref())),
    // Files and ports
    verb!(Machine wait_for_file(filename: Text, timeout: Duration = "900") -> Nothing,
        "Waits until a file exists in the guest.",
        |call, args| call.node()?.wait_for_file(&args.filename, args.timeout.0)),
    verb!(Machine wait_for_open_port(
            port: Integer, addr: Text = "\"localhost\"", timeout: Duration = "900"
        ) -> Nothing,
        "Waits until somebody in the guest listens on a TCP port.",
        |call, args| call.node()?.wait_for_open_port(port(args.port)?, &args.addr, args.timeout.0)),
    verb!(Machine wait_for_closed_port(
            port: Integer, addr: Text = "\"localhost\"", timeout: Duration = "900"
        ) -> Nothing,
        "Waits until nobody in the guest listens on a TCP port.",
        |call, args| call.node()?.wait_for_closed_port(port(args.port)?, &args.addr, args.timeout.0)),
    verb!(Machine wait_for_open_unix_socket(
            addr: Text, is_datagram: Bool = "false", timeout: Duration = "900"
        ) -> Nothing,
        "Waits until somebody in the guest listens on a Unix socket, for streams or for datagrams.",
        |call, args| call.node()?.wait_for_open_unix_socket(&args.addr, args.is_datagram, args.timeout.0)),
    verb!(Machine wait_for_process_exit(pid: Integer, timeout: Duration = "900") -> Nothing,
        "Waits until a process of the guest has ended.",
        |call, args| call.node()?.wait_for_process_exit(pid(args.pid)?, args.timeout.0)),
    verb!(Machine wait_for_journal(
        pattern: Pattern, unit: MaybeText = "null", timeout: Duration = "900"
    ) -> Nothing,
    "Waits until a pattern is found in a line of the guest's journal since its boot: of a unit, or of all.",
    |call, args| call.node()?.wait_for_journal(
        &args.pattern, args.unit.as_deref(), args.timeout.0, call.patterns.as_ref(),
    )),
    verb!(Machine copy_from_host(source: Path, target: Text) -> Nothing,
        "Copies a file or a directory of the host into the guest.",
        |call, args| call.node()?.copy_from_host(&args.source, &args.target)),
    verb!(Machine copy_from_host_via_shell(source: Path, target: Text) -> Nothing,
        "Copies a file of the host into the guest through the shell.",
        |call, args| call.node()?.copy_file_from_host(&args.source, &args.target)),
    verb!(Machine copy_from_machine(source: Text, target_dir: Text = "\"\"") -> Nothing,
        "Copies a file or a directory of the guest into a folder of the result directory.",
        |call, args| call.node()?.copy_from_machine(&args.source, &args.target_dir)),
    // Console and keys; the screen has a table of its own
    verb!(Machine wait_for_console_text(regex: Pattern, timeout: MaybeDuration = "null") -> Nothing,
    "Waits until a pattern is found in what the guest prints on its serial console, and commands on their standard \
     error. The lines up to the match are consumed; they are searched without their line ends.",
    |call, args| call.node()?.wait_for_console_text(
        &args.regex, args.timeout.map(|limit| limit.0), call.patterns.as_ref(),
    )),
    verb!(Machine get_console_log() -> Text,
        "All that the guest has printed on its serial console since the last start, and commands on their standard error.",
        |call, _args| ready(call.node()?.console_log())),
    verb!(Machine send_console(chars: Text) -> Nothing,
        "Types on the guest's serial console.",
        |call, args| call.node()?.send_console(&args.chars)),
    verb!(Machine send_key(key: Text, delay: Duration = "0.01", log: Bool = "true") -> Nothing needs Keyboard,
        "Presses a key or a chord such as `ctrl-alt-delete`, then pauses for `delay`.",
        |call, args| call.node()?.send_key(&args.key, args.delay.0, args.log)),
    verb!(Machine send_chars(chars: Text, delay: Duration = "0.01") -> Nothing needs Keyboard,
        "Types text on a US keyboard, with a pause of `delay` after each key.",
        |call, args| call.node()?.send_chars(&args.chars, args.delay.0)),
    verb!(Machine type_text(text: Text, timeout: Duration = "30", verify: Bool = "true") -> Nothing needs Keyboard,
    "Types text on a US keyboard, and looks before the end of each line that what stands before the cursor of \
     the text console is what was typed. Prompts for passwords and desktops need `verify=False`.",
    |call, args| call.node()?.type_text(&args.text, args.timeout.0, args.verify)),
    verb!(Machine get_tty_text(tty: Text) -> Text,
        "What a virtual terminal of the guest shows.",
        |call, args| call.node()?.get_tty_text(&args.tty)),
    verb!(Machine wait_until_tty_matches(tty: Text, regexp: Pattern, timeout: Duration = "900") -> Nothing,
    "Waits until a pattern is found in what a virtual terminal of the guest shows.",
    |call, args| call.node()?.wait_until_tty_matches(
        &args.tty, &args.regexp, args.timeout.0, call.patterns.as_ref(),
    )),
    verb!(Machine dump_tty_contents(tty: Text) -> Nothing,
        "Puts what a virtual terminal of the guest shows into the guest's journal.",
        |call, args| call.node()?.dump_tty_contents(&args.tty)),
    verb!(Machine send_monitor_command(command: Text) -> Text needs Monitor,
        "Runs a line on the hypervisor's own command line and returns what it printed.",
        |call, args| call.node()?.send_monitor_command(&args.command)),
    // Network
    verb!(Machine block() -> Nothing needs Network,
        "Pulls the cables of the machine's network cards on VLANs.",
        |call, _args| call.node()?.block()),
    verb!(Machine unblock() -> Nothing needs Network,
        "Plugs the cables of the machine's network cards on VLANs in again.",
        |call, _args| call.node()?.unblock()),
    verb!(Machine forward_port(host_port: Integer = "8080", guest_port: Integer = "80") -> Nothing needs Network,
    "Lets connections to a TCP port of the host's loopback through to a port of the guest, by the card that \
     leads outside. Port 0 of the host is one that is free.",
    |call, args| call.node()?.forward_port(port_or_any(args.host_port)?, port(args.guest_port)?)),
    verb!(Machine log(msg: Text) -> Nothing,
        "Adds a line to the log.",
        |call, args| { call.node()?.log(args.msg); ready(()) }),
];

async fn ready<T>(value: T) -> Result<T, DriverError> {
    Ok(value)
}

fn port(number: i64) -> Result<u16, DriverError> {
    u16::try_from(number)
        .ok()
        .filter(|port| *port != 0)
        .ok_or_else(|| DriverError::usage(format!("{number} is not a TCP port (1 to 65535)")))
}

/// Port 0 is for the system to choose.
fn port_or_any(number: i64) -> Result<u16, DriverError> {
    if number == 0 { Ok(0) } else { port(number) }
}

fn pid(number: i64) -> Result<u32, DriverError> {
    i32::try_from(number)
        .ok()
        .and_then(|pid| u32::try_from(pid).ok())
        .filter(|pid| *pid != 0)
        .ok_or_else(|| DriverError::usage(format!("{number} is not a process number")))
}
