//! The loop: waits for the port, for processes and for their pipes, and does what is due.

use std::io;
use std::os::fd::AsFd as _;
use std::time::Instant;

use agent_protocol::message::{Command, End, RequestId, Stream, Watch};
use agent_protocol::{Broken, Link, Role, ToGuest, ToHost, VERSION};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

use crate::bash::Bash;
use crate::card;
use crate::console::Console;
use crate::direct::Direct;
use crate::entry::Inherited;
use crate::kept::Kept;
use crate::lane::Lane;
use crate::port::Port;
use crate::priority::Priority;
use crate::request::{Request, Way};
use crate::warm::{REST, Warm};
use crate::watch::Watches;

/// Bytes that wait for the port, at most, before outputs are read on.
const BACKLOG: usize = 128 << 10;

/// The number of a request of the agent's own: none of a driver's, which count from 1.
const OWN: RequestId = RequestId::MAX;

/// The agent's state.
#[derive(Debug)]
pub(crate) struct Server {
    port: Port,
    link: Link,
    /// What the link gave to write and the port has not taken.
    unsent: Vec<u8>,
    lane: Option<Lane>,
    began: Instant,
    bash: Bash,
    warm: Warm,
    direct: Direct,
    requests: Vec<Request>,
    /// Those whose end is told.
    over: Vec<Request>,
    /// When the last one ended.
    busy_at: Instant,
    watches: Watches,
    priority: Priority,
    kept: Kept,
    console: Console,
    /// The driver wants the shell back.
    leaves: bool,
}

/// What can be waited for.
#[derive(Debug, Clone, Copy)]
enum Event {
    Port,
    Lane,
    Warm,
    Process,
    Output(RequestId, Stream),
    Input(RequestId),
    Kept(usize),
    Watch(RequestId),
    Console,
}

impl Server {
    pub(crate) fn new(port: Port, inherited: Inherited) -> io::Result<Self> {
        Ok(Self {
            port,
            link: Link::new(Role::Guest, 0),
            unsent: Vec::new(),
            lane: None,
            began: Instant::now(),
            bash: Bash::new(inherited)?,
            warm: Warm::new(),
            direct: Direct::new(),
            requests: Vec::new(),
            over: Vec::new(),
            busy_at: Instant::now(),
            watches: Watches::default(),
            priority: Priority::new(),
            kept: Kept::default(),
            console: Console::open(),
            leaves: false,
        })
    }

    /// Serves until the driver wants the shell back or the port is gone.
    pub(crate) fn serve(mut self) -> io::Result<()> {
        loop {
            let step = self.step();
            if step.is_ok() && !self.leaves {
                continue;
            }
            self.end_all();
            self.warm.kill();
            // The shell is one of many.
            self.priority.raise(false);
            step?;
            return Err(self.bash.take_over(self.port.give_back()?.as_deref()));
        }
    }

    fn step(&mut self) -> io::Result<()> {
        self.take_messages();
        self.tick_requests();
        self.look_at_watches();
        let is_said = self.write()?;
        self.write_lane();
        // The driver need not wait for this.
        for request in self.over.drain(..) {
            self.busy_at = Instant::now();
            request.close(&mut self.kept);
        }
        if self.leaves {
            return Ok(());
        }
        if is_said {
            self.prepare();
        }
        self.port.reopen();
        // Commands, and the copies that they make, take their turn with all others.
        self.priority.raise(self.requests.is_empty() && !self.watches.is_empty());
        let mut kept = Vec::new();
        for (event, flags) in self.wait()? {
            match event {
                Event::Kept(place) => kept.push(place),
                _ => self.handle(event, flags)?,
            }
        }
        self.kept.pass_on(&kept, &mut self.console);
        Ok(())
    }

    /// Prepares for commands to come.
    fn prepare(&mut self) {
        let is_idle = self.requests.is_empty();
        self.warm.start(&self.bash, is_idle);
        if is_idle
            && self.warm.is_settled()
            && let Some(running) = self.direct.go_on(&self.bash)
        {
            self.requests.push(Request::new(OWN, Way::Own, &Direct::command(), running));
        }
    }

    /// Writes what is due. Says whether all of it is written.
    fn write(&mut self) -> io::Result<bool> {
        if self.unsent.is_empty() {
            self.unsent = self.link.outgoing(self.began.elapsed());
        }
        if !self.unsent.is_empty() {
            let count = self.port.write(&self.unsent)?;
            self.unsent.drain(..count);
        }
        Ok(self.unsent.is_empty())
    }

    /// Whether more may be said that way.
    fn has_room(&self, way: Way) -> bool {
        match way {
            Way::Link => self.link.backlog() < BACKLOG,
            Way::Lane => self.lane.as_ref().is_some_and(Lane::has_room),
            Way::Own => true,
        }
    }

    /// Waits until something happens or is due.
    fn wait(&self) -> io::Result<Vec<(Event, PollFlags)>> {
        let mut events = Vec::new();
        let mut files = Vec::new();
        let mut add = |event, file, flags| {
            events.push(event);
            files.push(PollFd::from_borrowed_fd(file, flags));
        };
        if let Some((input, output)) = self.port.files() {
            add(Event::Port, input, PollFlags::IN);
            if !self.unsent.is_empty() {
                add(Event::Port, output, PollFlags::OUT);
            }
        }
        if let Some(process) = self.warm.process() {
            add(Event::Warm, process.as_fd(), PollFlags::IN);
        }
        if let Some(lane) = &self.lane {
            let behind = if lane.is_behind() { PollFlags::OUT } else { PollFlags::empty() };
            add(Event::Lane, lane.port(), PollFlags::IN | behind);
        }
        for request in &self.requests {
            if let Some(process) = request.process() {
                add(Event::Process, process.as_fd(), PollFlags::IN);
            }
            let may_print = self.has_room(request.way);
            for (stream, output) in [(Stream::Stdout, &request.stdout), (Stream::Stderr, &request.stderr)] {
                if may_print && request.may_print() && !output.is_done() {
                    add(Event::Output(request.id, stream), output.pipe().as_fd(), PollFlags::IN);
                }
            }
            if let Some(pipe) = request.thirst() {
                add(Event::Input(request.id), pipe.as_fd(), PollFlags::OUT);
            }
        }
        for (id, file, flags) in self.watches.files(|way| self.has_room(way)) {
            add(Event::Watch(id), file, flags);
        }
        match self.console.full() {
            Some(console) => add(Event::Console, console.as_fd(), PollFlags::OUT),
            None => {
                for (place, pipe) in self.kept.pipes().iter().enumerate() {
                    add(Event::Kept(place), pipe.as_fd(), PollFlags::IN);
                }
            }
        }
        match poll(&mut files, self.time_left().as_ref()) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        let happened = events.into_iter().zip(files.iter().map(PollFd::revents));
        Ok(happened.filter(|(_, flags)| !flags.is_empty()).collect())
    }

    /// The time until something is due.
    fn time_left(&self) -> Option<Timespec> {
        // Before the port has taken what the link said, it cannot say more, and no bash is started ahead.
        let is_said = self.unsent.is_empty();
        let link = self.link.wake_at().filter(|_| is_said).map(|at| self.began + at);
        let warm = self.warm.wake_at().filter(|_| is_said);
        let requests = self.requests.iter().filter_map(Request::wake_at).min();
        let watches = self.watches.wake_at(|way| self.has_room(way));
        let due = [link, requests, watches, warm, self.port.wake_at()];
        let due = due.into_iter().flatten().min()?;
        Timespec::try_from(due.saturating_duration_since(Instant::now())).ok()
    }

    fn handle(&mut self, event: Event, flags: PollFlags) -> io::Result<()> {
        match event {
            Event::Port if flags.intersects(PollFlags::IN | PollFlags::HUP | PollFlags::ERR) => {
                let bytes = self.port.read()?;
                self.link.receive(&bytes, self.began.elapsed());
            }
            Event::Lane => {
                let read = self.lane.as_mut().map_or(Ok(()), Lane::read);
                let obeyed = read.and_then(|()| self.take_lane_messages());
                if let Err(error) = obeyed {
                    self.close_lane(&error);
                }
            }
            // Written at the next step, as the end of a process is looked for.
            Event::Port | Event::Process | Event::Kept(_) => {}
            Event::Warm => self.warm.ended(),
            Event::Output(id, stream) => {
                let Some(request) = self.requests.iter_mut().find(|request| request.id == id) else {
                    return Ok(());
                };
                if !flags.intersects(PollFlags::IN) {
                    request.hang_up(stream);
                    return Ok(());
                }
                let (way, bytes) = (request.way, request.read(stream));
                if !bytes.is_empty() {
                    self.send_by(way, &ToHost::Output { id, stream, bytes });
                }
            }
            Event::Input(id) => self.pour(id),
            Event::Watch(id) => self.watches.ready(id, flags),
            Event::Console => self.console.flush(),
        }
        Ok(())
    }

    fn take_messages(&mut self) {
        while let Some(bytes) = self.link.message() {
            // A driver of another version says so in its first message, which all versions can read.
            if let Ok(message) = agent_protocol::from_bytes(&bytes) {
                self.obey(message, Way::Link);
            }
        }
        // Silence may end: the driver, or the whole guest, may have been stopped for a while.
        if !matches!(self.link.broken(), None | Some(Broken::Silent(_))) {
            self.end_all();
            self.link = Link::new(Role::Guest, 0);
        }
        // What others have written into the port is no concern of the guest's.
        drop(self.link.stray());
    }

    fn take_lane_messages(&mut self) -> io::Result<()> {
        while let Some(message) = self.lane.as_mut().map_or(Ok(None), Lane::message)? {
            self.obey(message, Way::Lane);
        }
        Ok(())
    }

    fn write_lane(&mut self) {
        if let Err(error) = self.lane.as_mut().map_or(Ok(()), Lane::write) {
            self.close_lane(&error);
        }
    }

    fn open_lane(&mut self, token: u64) {
        // The kernel opens such a port only once at a time.
        self.lane = None;
        let opened = Lane::open(token);
        let problem = opened.as_ref().err().map(io::Error::to_string);
        self.lane = opened.ok();
        self.send(&ToHost::Lane { problem });
    }

    /// The driver learns that what it asked on the lane is lost.
    fn close_lane(&mut self, problem: &io::Error) {
        self.lane = None;
        let by_lane: Vec<_> = self.requests.extract_if(.., |request| request.way == Way::Lane).collect();
        for request in by_lane {
            request.kill();
        }
        self.watches.remove_by_lane();
        self.send(&ToHost::Lane { problem: Some(problem.to_string()) });
    }

    fn obey(&mut self, message: ToGuest, way: Way) {
        match message {
            ToGuest::Hello { version: _ } => {
                self.end_all();
                self.send(&ToHost::Hello { version: VERSION });
            }
            ToGuest::Run { id, command } => self.run(id, way, &command),
            ToGuest::Input { id, bytes } => {
                let Some(place) = self.place(id) else { return };
                match self.requests[place].give(&bytes) {
                    Ok(()) => self.pour(id),
                    Err(reason) => {
                        self.requests.swap_remove(place).kill();
                        self.send_by(way, &ToHost::Ended { id, end: End::Failed { reason } });
                    }
                }
            }
            ToGuest::Grant { id, bytes } => {
                if let Some(place) = self.place(id) {
                    self.requests[place].grant(bytes);
                }
            }
            ToGuest::Cancel { id } => {
                if let Some(place) = self.place(id) {
                    self.requests.swap_remove(place).kill();
                }
                self.watches.remove(id);
            }
            ToGuest::Leave => self.leaves = true,
            ToGuest::Watch { id, watch } => self.watch(id, way, &watch),
            ToGuest::Lane { token } => self.open_lane(token),
            ToGuest::Card { id, card } => {
                let end = match card::set_up(&card) {
                    Ok(()) => End::Exited { status: 0, held_by: Vec::new() },
                    Err(reason) => End::Failed { reason },
                };
                self.send(&ToHost::Ended { id, end });
            }
        }
    }

    fn place(&self, id: RequestId) -> Option<usize> {
        self.requests.iter().position(|request| request.id == id)
    }

    fn run(&mut self, id: RequestId, way: Way, command: &Command) {
        let script = &command.script;
        let bash_waits = !command.stdin && self.has_rested();
        let started = if self.place(id).is_some() {
            Err(io::Error::other("there is such a request already"))
        } else if script.contains(&0) {
            Err(io::Error::other("the command holds a NUL byte"))
        } else if let Some(running) = self.direct.start(command, bash_waits, &self.bash) {
            Ok(running)
        } else {
            let waiting = if command.stdin { None } else { self.warm.run(script) };
            waiting.map_or_else(|| self.bash.run(script, command.stdin), Ok)
        };
        self.warm.defer();
        match started {
            Ok(running) => self.requests.push(Request::new(id, way, command, running)),
            Err(error) => {
                self.send_by(way, &ToHost::Ended { id, end: End::Failed { reason: error.to_string() } });
            }
        }
    }

    /// Whether there is a bash that waits, and most likely time enough to start the next one before it is needed.
    fn has_rested(&self) -> bool {
        self.requests.is_empty() && self.warm.is_waiting() && self.busy_at.elapsed() >= REST
    }

    fn watch(&mut self, id: RequestId, way: Way, watch: &Watch) {
        if let Err(reason) = self.watches.add(id, way, watch) {
            self.send_by(way, &ToHost::Ended { id, end: End::Failed { reason } });
        }
    }

    fn pour(&mut self, id: RequestId) {
        let Some(place) = self.place(id) else { return };
        let bytes = self.requests[place].pour();
        if bytes > 0 {
            self.send_by(self.requests[place].way, &ToHost::Taken { id, bytes });
        }
    }

    /// Looks after times and ends.
    fn tick_requests(&mut self) {
        let mut place = 0;
        while place < self.requests.len() {
            self.requests[place].tick();
            match self.requests[place].end() {
                Some(end) => {
                    let request = self.requests.swap_remove(place);
                    self.send_by(request.way, &ToHost::Ended { id: request.id, end });
                    self.over.push(request);
                }
                None => place += 1,
            }
        }
    }

    /// Tells what has changed.
    fn look_at_watches(&mut self) {
        let mut watches = std::mem::take(&mut self.watches);
        for (way, message) in watches.look(|way| self.has_room(way)) {
            self.send_by(way, &message);
        }
        self.watches = watches;
    }

    fn end_all(&mut self) {
        self.lane = None;
        self.direct.interrupt();
        self.watches = Watches::default();
        for request in self.requests.drain(..) {
            request.kill();
        }
    }

    fn send(&mut self, message: &ToHost) {
        self.send_by(Way::Link, message);
    }

    fn send_by(&mut self, way: Way, message: &ToHost) {
        if way == Way::Own {
            return self.direct.take(message);
        }
        // None of the messages can fail to be encoded.
        if let Ok(bytes) = agent_protocol::to_bytes(message) {
            match (way, &mut self.lane) {
                (Way::Lane, Some(lane)) => lane.send(&bytes),
                // Who asked there has been told that it is closed.
                (Way::Lane, None) => {}
                _ => self.link.send(&bytes),
            }
        }
    }
}
