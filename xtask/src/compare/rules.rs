//! What differs on purpose: a rule takes it out of what both have said. The reasons are in docs/compatibility.md, most
//! of them under 4.1 and 4.3.

use super::said::Said;

/// What begins each line of an error in a log.
const MARK: &str = "!!! ";
const TRACEBACK: &str = "Traceback (most recent call last):";

/// Takes a difference out; says whether there was one.
type Rule = fn(&mut Said, &mut Said) -> bool;

const RULES: &[(&str, Rule)] = &[
    ("the words of a wait in vain", in_vain),
    ("looks that come sooner", sooner),
    ("machines that start at once", at_once),
    ("lines of the switch", switch),
    ("steps of the network", cables),
    ("greetings that are heard sooner", greetings),
    ("the steps of a copy", copies),
    ("the seconds of sleep()", seconds),
    ("the name of what is killed", killed),
    ("the clean-up after a time-out", after_time_out),
    ("how an exception is told", exceptions),
    ("the mark before errors", marks),
];

/// Takes out all that is meant to differ, and returns its names.
pub(super) fn apply(upstream: &mut Said, ours: &mut Said) -> Vec<&'static str> {
    names(upstream, ours);
    RULES.iter().filter(|(_, rule)| rule(upstream, ours)).map(|(name, _)| *name).collect()
}

/// The names that each run begins with: upstream's VLANs are in the order of a set, which is never the same; and of
/// general names ours has those of all generations.
fn names(upstream: &mut Said, ours: &mut Said) {
    for line in [&mut *upstream, &mut *ours].into_iter().filter_map(|said| said.printed.get_mut(2)) {
        let mut vlans: Vec<&str> = line.trim().trim_end_matches(',').split(", ").collect();
        vlans.sort_unstable();
        *line = vlans.join(", ");
    }
    let Some((theirs, own)) = upstream.printed.get_mut(3).zip(ours.printed.get_mut(3)) else { return };
    let all: Vec<&str> = own.trim().split(", ").collect();
    if theirs.trim().split(", ").all(|name| all.contains(&name)) {
        own.clone_from(theirs);
    }
}

/// Seconds instead of tries, and what was awaited and seen.
fn in_vain(upstream: &mut Said, ours: &mut Said) -> bool {
    ours.log.retain(|line| !line.trim_start_matches(MARK).starts_with("waited for "));
    let mut changed = false;
    for line in upstream.log.iter_mut().chain(&mut ours.log) {
        if let Some(at) = line.find("action timed out after ") {
            line.truncate(at + "action timed out".len());
            changed = true;
        }
    }
    changed
}

/// How often a condition is looked at in vain: what comes again at once is the same look.
fn sooner(upstream: &mut Said, ours: &mut Said) -> bool {
    let looks = |said: &Said| said.log.iter().filter(|line| line.starts_with("Checking polling")).count();
    let differs = looks(upstream) != looks(ours);
    if differs {
        once(&mut upstream.log);
        once(&mut ours.log);
    }
    differs
}

/// Removes what is the same as the lines just before it.
fn once(lines: &mut Vec<String>) {
    for length in 1..=8 {
        let mut at = length;
        while at + length <= lines.len() {
            if lines[at - length..at] == lines[at..at + length] {
                lines.drain(at..at + length);
            } else {
                at += 1;
            }
        }
    }
}

/// `start_all()` starts machines at the same time, today's NixOS driver does, too: the order of their lines is open.
fn at_once(upstream: &mut Said, ours: &mut Said) -> bool {
    let mut differs = false;
    let starts = |lines: &[String]| {
        let begin = lines.iter().position(|line| line == "start all VMs")? + 1;
        let end = lines.iter().position(|line| line.starts_with("(finished: start all VMs"))?;
        Some(begin..end)
    };
    if let Some((one, other)) = starts(&upstream.log).zip(starts(&ours.log)) {
        differs = upstream.log[one.clone()] != ours.log[other.clone()];
        upstream.log[one].sort();
        ours.log[other].sort();
    }
    differs
}

/// The switch is a part of the driver: it says nothing of its own end, has no tap device unless it is asked for one,
/// and its sockets are in a folder of the run.
fn switch(upstream: &mut Said, ours: &mut Said) -> bool {
    let before = upstream.log.len() + ours.log.len();
    upstream
        .log
        .retain(|line| !line.starts_with("creating tap interface ") && !line.starts_with("vde_switch: "));
    ours.log.retain(|line| !line.starts_with("the seed of the networks' faults is "));
    for line in upstream.log.iter_mut().chain(&mut ours.log).filter(|line| line.starts_with("running vlan "))
    {
        line.truncate(line.find("; ctl ").unwrap_or(line.len()));
    }
    before != upstream.log.len() + ours.log.len()
}

/// `block()`, `unblock()` and `forward_port()` are steps.
fn cables(_: &mut Said, ours: &mut Said) -> bool {
    let before = ours.log.len();
    let headings = ["pulling the network's plug", "plugging the network in", "forwarding port "];
    ours.log.retain(|line| !headings.iter().any(|heading| line.contains(heading)));
    before != ours.log.len()
}

/// The NixOS driver does not listen to a shell before it waits for it.
fn greetings(upstream: &mut Said, ours: &mut Said) -> bool {
    let heard = |said: &Said| -> Vec<(usize, String)> {
        let lines = said.log.iter().cloned().enumerate();
        lines.filter(|(_, line)| line.contains(": Guest shell says: ")).collect()
    };
    let texts = |heard: &[(usize, String)]| {
        let mut texts: Vec<String> = heard.iter().map(|(_, line)| line.clone()).collect();
        texts.sort();
        texts
    };
    let (theirs, own) = (heard(upstream), heard(ours));
    let differs = theirs != own && texts(&theirs) == texts(&own);
    if differs {
        for said in [upstream, ours] {
            said.log.retain(|line| !line.contains(": Guest shell says: "));
        }
    }
    differs
}

/// Files go through the agent or the shell instead of by commands through the shared folder.
fn copies(upstream: &mut Said, ours: &mut Said) -> bool {
    let is_copy = |line: &String| {
        let step = line.split_once(": ").map_or("", |(_, step)| step).trim_start_matches("(finished: ");
        [
            "must succeed: mkdir -p ",
            "must succeed: cp -r ",
            "must succeed: echo -n ",
            "copying ",
            "copied ",
            "output: ",
        ]
        .iter()
        .any(|start| step.starts_with(start))
    };
    let differs = ours.log.iter().any(|line| line.contains(": copying "));
    if differs {
        upstream.log.retain(|line| !is_copy(line));
        ours.log.retain(|line| !is_copy(line));
    }
    differs
}

/// `sleep 1.0`, as today's NixOS driver has it, for `sleep 1`.
fn seconds(upstream: &mut Said, ours: &mut Said) -> bool {
    let mut changed = false;
    for line in &mut ours.log {
        if line.contains("must succeed: sleep ") && !upstream.log.contains(line) {
            *line = line.replace(".0", "");
            changed = true;
        }
    }
    changed
}

/// `kill machine NAME (pid N)`.
fn killed(_: &mut Said, ours: &mut Said) -> bool {
    let mut changed = false;
    for line in &mut ours.log {
        if let Some((_, pid)) = line.strip_prefix("kill machine ").and_then(|rest| rest.split_once(" (pid "))
        {
            *line = format!("kill machine (pid {pid}");
            changed = true;
        }
    }
    changed
}

/// The NixOS driver ends itself then; two of its threads release its machines.
fn after_time_out(upstream: &mut Said, ours: &mut Said) -> bool {
    let at = |said: &Said| said.log.iter().position(|line| line.starts_with("timeout reached;"));
    let both = at(upstream).zip(at(ours));
    if let Some((one, other)) = both {
        upstream.log.truncate(one + 1);
        ours.log.truncate(other + 1);
    }
    both.is_some()
}

/// Python's own traceback at the very end, or one through the driver's files, where ours tells the script's frames
/// before the clean-up; and ours tells what led to an exception. The exception itself must be the same.
fn exceptions(upstream: &mut Said, ours: &mut Said) -> bool {
    let Some(theirs) = block(&upstream.log) else { return words(upstream, ours) };
    let Some(own) = block(&ours.log) else { return false };
    if upstream.log[theirs.clone()] == ours.log[own.clone()] {
        return false;
    }
    let lines = |lines: &[String]| -> Vec<String> {
        let plain = lines.iter().map(|line| line.trim_start_matches(MARK).to_owned());
        // The last traceback's message.
        let all: Vec<String> = plain.collect();
        let last = all.iter().rposition(|line| line == TRACEBACK).unwrap_or(0);
        let message = all[last..].iter().skip(1).skip_while(|line| line.starts_with("  ") || line.is_empty());
        let name =
            |line: &String| match line.strip_prefix("test_driver.").and_then(|rest| rest.split_once('.')) {
                Some((_, name)) => name.to_owned(),
                None => line.clone(),
            };
        message.map(name).collect()
    };
    let (said, told) = (lines(&upstream.log[theirs.clone()]), lines(&ours.log[own.clone()]));
    let is_same = match (said.first(), told.first()) {
        // Python words it by the function's own name.
        (Some(said), Some(told)) if said.starts_with("TypeError: ") => told.starts_with("TypeError: "),
        // A bare assertion is explained.
        (Some(said), Some(told)) if said == "AssertionError" => told.starts_with("AssertionError: assert "),
        (Some(said), Some(told)) => told.starts_with(said.as_str()),
        _ => false,
    };
    if is_same {
        upstream.log.drain(theirs);
        ours.log.drain(own);
    }
    is_same
}

/// What `sys.exit("words")` says: after the clean-up, or before it.
fn words(upstream: &mut Said, ours: &mut Said) -> bool {
    let [.., cleanup, words] = upstream.log.as_slice() else { return false };
    let at = ours.log.iter().position(|line| line.trim_start_matches(MARK) == words);
    let Some(at) = at.filter(|_| cleanup.starts_with("(finished: cleanup")) else { return false };
    ours.log.remove(at);
    upstream.log.pop();
    true
}

/// Where the last failure is told: the lines from its first traceback on that belong together.
fn block(lines: &[String]) -> Option<std::ops::Range<usize>> {
    if let Some(plain) = lines.iter().position(|line| line == TRACEBACK) {
        return Some(plain..lines.len());
    }
    let end = lines.iter().rposition(|line| line.starts_with(MARK))? + 1;
    let is_told = |line: &String| line.strip_prefix(MARK).is_some_and(|line| !line.starts_with("Test \""));
    let start = lines[..end].iter().rposition(|line| !is_told(line)).map_or(0, |before| before + 1);
    // Above it may be the further lines of another error.
    let traceback = lines[start..end].iter().position(|line| line.trim_start_matches(MARK) == TRACEBACK);
    let start = start + traceback.unwrap_or(0);
    (start < end).then_some(start..end)
}

/// `!!! ` also before the second line of an error, and before what `log.error()` says.
fn marks(upstream: &mut Said, ours: &mut Said) -> bool {
    let mut changed = false;
    for line in &mut ours.log {
        if let Some(plain) = line.strip_prefix(MARK)
            && !upstream.log.contains(line)
            && upstream.log.iter().any(|theirs| theirs == plain)
        {
            *line = plain.to_owned();
            changed = true;
        }
    }
    changed
}
