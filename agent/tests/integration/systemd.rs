//! The conversation with systemd: its messages, however malformed, and a unit as a manager tells of it.

#[path = "../../src/systemd/connection.rs"]
mod connection;
#[path = "../../src/systemd/message.rs"]
mod message;
#[path = "../../src/systemd/unit.rs"]
mod unit;

use std::io::{Read as _, Write as _};
use std::os::unix::net::{UnixListener, UnixStream};

use agent_protocol::message::UnitState;
use rustix::event::PollFlags;

use connection::Connection;
use message::{Kind, Message, Value, take};
use unit::Unit;

const ROOT: &str = "/org/freedesktop/systemd1";
const MANAGER: &str = "org.freedesktop.systemd1.Manager";
const PROPERTIES: &str = "org.freedesktop.DBus.Properties";

/// Values for a message, written as D-Bus has them.
#[derive(Debug, Clone, Default)]
struct Body(Vec<u8>);

impl Body {
    fn align(mut self, to: usize) -> Self {
        self.0.resize(self.0.len().next_multiple_of(to), 0);
        self
    }

    fn number(self, number: u32) -> Self {
        let mut body = self.align(4);
        body.0.extend(number.to_le_bytes());
        body
    }

    fn long(self, number: u64) -> Self {
        let mut body = self.align(8);
        body.0.extend(number.to_le_bytes());
        body
    }

    fn text(self, text: &str) -> Self {
        let mut body = self.number(u32::try_from(text.len()).expect("as the test has it"));
        body.0.extend(text.as_bytes());
        body.0.push(0);
        body
    }

    fn signature(mut self, signature: &str) -> Self {
        self.0.push(u8::try_from(signature.len()).expect("as the test has it"));
        self.0.extend(signature.as_bytes());
        self.0.push(0);
        self
    }

    /// A variant: `s:text`, `u:number`, `i:number`, `t:number`, `b:number` or `job:number`.
    fn variant(self, value: &str) -> Self {
        let (kind, value) = value.split_once(':').expect("as the test has it");
        let number = || value.parse::<u32>().expect("as the test has it");
        match kind {
            "s" => self.signature("s").text(value),
            "t" => self.signature("t").long(number().into()),
            "job" => self.signature("(uo)").align(8).number(number()).text("/"),
            kind => self.signature(kind).number(number()),
        }
    }

    fn properties(self, properties: &[(&str, &str)]) -> Self {
        let body = self.number(0);
        let length_at = body.0.len() - 4;
        let mut body = body.align(8);
        let start = body.0.len();
        for (name, value) in properties {
            body = body.align(8).text(name).variant(value);
        }
        let length = u32::try_from(body.0.len() - start).expect("as the test has it");
        body.0[length_at..length_at + 4].copy_from_slice(&length.to_le_bytes());
        body
    }

    /// The whole message: its kind, and the fields that are texts and the serial that it answers.
    fn message(self, kind: u8, texts: &[(u8, &str)], answers: u32) -> Vec<u8> {
        let mut head = Self(vec![b'l', kind, 0, 1]);
        head = head.number(u32::try_from(self.0.len()).expect("as the test has it")).number(1).number(0);
        for (code, text) in texts {
            head = head.align(8);
            head.0.push(*code);
            head = head.signature("s").text(text);
        }
        if answers != 0 {
            head = head.align(8);
            head.0.push(5);
            head = head.signature("u").number(answers);
        }
        let fields = u32::try_from(head.0.len() - 16).expect("as the test has it");
        head.0[12..16].copy_from_slice(&fields.to_le_bytes());
        let mut bytes = head.align(8).0;
        bytes.extend(self.0);
        bytes
    }

    fn signal(self, path: &str, interface: &str, member: &str) -> Vec<u8> {
        self.message(4, &[(1, path), (2, interface), (3, member)], 0)
    }
}

/// A manager with one unit, `x.service`.
struct Manager {
    socket: UnixStream,
    incoming: Vec<u8>,
    asked: Vec<String>,
    unit: Vec<(&'static str, String)>,
    is_loaded: bool,
    jobs: u32,
}

impl Manager {
    fn new() -> (Self, Connection) {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("private");
        let listener = UnixListener::bind(&path).expect("a socket");
        let connection = Connection::open(&path).expect("a manager that listens");
        let (socket, _) = listener.accept().expect("a connection");
        socket.set_nonblocking(true).expect("a socket that does not wait");
        let unit = [
            ("Id", "s:x.service"),
            ("ActiveState", "s:inactive"),
            ("Job", "job:0"),
            ("ConditionResult", "b:0"),
            ("Type", "s:oneshot"),
            ("RemainAfterExit", "b:0"),
            ("Result", "s:success"),
            ("ExecMainExitTimestampMonotonic", "t:0"),
            ("ExecMainStatus", "i:0"),
        ];
        let unit = unit.map(|(name, value)| (name, value.to_owned())).to_vec();
        let manager =
            Self { socket, incoming: Vec::new(), asked: Vec::new(), unit, is_loaded: true, jobs: 0 };
        (manager, connection)
    }

    fn send(&mut self, bytes: &[u8]) {
        self.socket.write_all(bytes).expect("as the test has it");
    }

    /// Answers what was asked.
    fn serve(&mut self) {
        let mut bytes = [0; 4096];
        while let Ok(count @ 1..) = self.socket.read(&mut bytes) {
            self.incoming.extend(&bytes[..count]);
        }
        if self.incoming.starts_with(b"\0AUTH EXTERNAL ") {
            let begin =
                self.incoming.windows(7).position(|part| part == b"BEGIN\r\n").expect("as the test has it");
            self.incoming.drain(..begin + 7);
            self.send(b"OK 0123456789abcdef0123456789abcdef\r\n");
        }
        while !self.incoming.is_empty() {
            let call = self.incoming.clone();
            let serial = u32::from_le_bytes(call[8..12].try_into().expect("as the test has it"));
            assert!(matches!(take(&mut self.incoming), Ok(Some(Message { kind: Kind::Call, .. }))));
            let text = String::from_utf8_lossy(&call[..call.len() - self.incoming.len()]).into_owned();
            let is_unit = text.contains("/unit/x_2eservice");
            let answer = if text.contains("GetUnit") && !self.is_loaded {
                Body::default().message(3, &[(4, "org.freedesktop.systemd1.NoSuchUnit")], serial)
            } else if text.contains("GetAll") && is_unit {
                let all: Vec<_> = self.unit.iter().map(|(name, value)| (*name, value.as_str())).collect();
                Body::default().properties(&all[..4]).message(2, &[], serial)
            } else if text.contains("NJobs") {
                Body::default().variant(&format!("u:{}", self.jobs)).message(2, &[], serial)
            } else if let Some((_, value)) = self.unit.iter().find(|(name, _)| text.contains(name) && is_unit)
            {
                Body::default().variant(value).message(2, &[], serial)
            } else if text.contains("Subscribe") || text.contains("GetUnit") {
                Body::default().text("/").message(2, &[], serial)
            } else {
                Body::default().message(3, &[(4, "org.freedesktop.DBus.Error.UnknownObject")], serial)
            };
            self.asked.push(text);
            self.send(&answer);
        }
    }

    /// The unit changes, and that is told.
    fn change(&mut self, interface: &str, changes: &[(&'static str, &str)]) {
        for (name, value) in changes {
            let property =
                self.unit.iter_mut().find(|(property, _)| property == name).expect("as the test has it");
            property.1 = (*value).to_owned();
        }
        let interface = format!("org.freedesktop.systemd1.{interface}");
        let body = Body::default().text(&interface).properties(changes).number(0);
        self.send(&body.signal(&format!("{ROOT}/unit/x_2eservice"), PROPERTIES, "PropertiesChanged"));
    }

    fn signal(&mut self, member: &str, body: Body) {
        self.send(&body.signal(ROOT, MANAGER, member));
    }
}

/// Lets both talk until they have nothing to say.
fn talk(manager: &mut Manager, connection: &mut Connection, unit: &mut Unit) -> Result<(), String> {
    for _ in 0..8 {
        if connection.flags().contains(PollFlags::OUT) {
            connection.send().expect("as the test has it");
        }
        manager.serve();
        connection.receive().expect("as the test has it");
        while let Some(message) = connection.message().expect("as the test has it") {
            unit.take(&message, connection)?;
        }
    }
    Ok(())
}

#[test]
fn a_unit_is_followed_from_its_job_to_its_end() {
    let (mut manager, mut connection) = Manager::new();
    let mut unit = Unit::new("x.service", &mut connection);
    assert_eq!(unit.state(), None);
    talk(&mut manager, &mut connection, &mut unit).unwrap();
    let mut expected = UnitState {
        active: "inactive".to_owned(),
        once: true,
        result: "success".to_owned(),
        ..UnitState::default()
    };
    assert_eq!(unit.state(), Some(expected.clone()));

    manager.jobs = 1;
    manager.signal("JobNew", Body::default().number(7).text("/job/7").text("x.service"));
    manager.signal("JobNew", Body::default().number(8).text("/job/8").text("other.service"));
    manager.change("Unit", &[("ActiveState", "s:activating"), ("ConditionResult", "b:1")]);
    talk(&mut manager, &mut connection, &mut unit).unwrap();
    expected.active = "activating".to_owned();
    (expected.has_job, expected.jobs, expected.conditions_met) = (true, true, true);
    assert_eq!(unit.state(), Some(expected.clone()));

    // It ends, and nobody needs it any more.
    manager.jobs = 0;
    manager.change("Service", &[("ExecMainExitTimestampMonotonic", "t:12345")]);
    manager.change("Unit", &[("ActiveState", "s:inactive")]);
    manager.signal("JobRemoved", Body::default().number(7).text("/job/7").text("x.service").text("done"));
    manager.is_loaded = false;
    manager.signal("UnitRemoved", Body::default().text("x.service").text("/x"));
    manager.asked.clear();
    talk(&mut manager, &mut connection, &mut unit).unwrap();
    expected.active = "inactive".to_owned();
    (expected.has_job, expected.jobs, expected.has_run) = (false, false, true);
    assert_eq!(unit.state(), Some(expected.clone()));
    assert!(!manager.asked.iter().any(|call| call.contains("GetAll")), "that would load it again");

    // It fails, and somebody resets that: the result is a success again.
    manager.change("Service", &[("ExecMainStatus", "i:1"), ("Result", "s:success")]);
    talk(&mut manager, &mut connection, &mut unit).unwrap();
    expected.has_run = false;
    assert_eq!(unit.state(), Some(expected.clone()));
}

#[test]
fn a_reload_of_the_manager_changes_nothing() {
    let (mut manager, mut connection) = Manager::new();
    manager.unit[1].1 = "s:activating".to_owned();
    let mut unit = Unit::new("x.service", &mut connection);
    talk(&mut manager, &mut connection, &mut unit).unwrap();
    let before = unit.state();
    manager.signal("Reloading", Body::default().number(1));
    manager.signal("UnitRemoved", Body::default().text("x.service").text("/x"));
    manager.is_loaded = false;
    talk(&mut manager, &mut connection, &mut unit).unwrap();
    assert_eq!(unit.state(), before);
    manager.is_loaded = true;
    manager.unit[1].1 = "s:active".to_owned();
    manager.signal("UnitNew", Body::default().text("x.service").text("/x"));
    manager.signal("Reloading", Body::default().number(0));
    talk(&mut manager, &mut connection, &mut unit).unwrap();
    assert_eq!(unit.state().unwrap().active, "active");
}

#[test]
fn a_unit_that_the_manager_refuses_is_an_error() {
    let (mut manager, mut connection) = Manager::new();
    let mut unit = Unit::new("y@.service", &mut connection);
    let problem = talk(&mut manager, &mut connection, &mut unit).unwrap_err();
    assert!(problem.contains("`y@.service` (org.freedesktop.DBus.Error.UnknownObject)"), "{problem}");
}

#[test]
fn whoever_does_not_greet_is_no_manager() {
    for greeting in [&b"REJECTED EXTERNAL\r\n"[..], &[b'x'; 4096]] {
        let (mut manager, mut connection) = Manager::new();
        manager.send(greeting);
        connection.receive().unwrap();
        assert!(connection.message().is_err());
    }
}

#[test]
fn properties_of_all_types_are_read_or_skipped() {
    let mut list = Body::default().text("Names").signature("as").number(0);
    let length_at = list.0.len() - 4;
    let start = list.0.len();
    list = list.text("a").text("b");
    let length = u32::try_from(list.0.len() - start).unwrap();
    list.0[length_at..length_at + 4].copy_from_slice(&length.to_le_bytes());
    let list = list.align(8).text("NJobs").variant("u:3");
    let mut bytes = Body::default().number(u32::try_from(list.0.len()).unwrap()).align(8);
    bytes.0.extend(list.0);
    let message = take(&mut bytes.message(2, &[], 9)).unwrap().unwrap();
    assert_eq!(message.kind, Kind::Return(9));
    let properties = message.body().properties().unwrap();
    assert_eq!(properties, [("Names".to_owned(), Value::Other), ("NJobs".to_owned(), Value::Number(3))]);
}

#[test]
fn what_is_malformed_is_refused_and_harms_nothing() {
    let whole = Body::default().text("i").properties(&[("A", "s:b"), ("J", "job:1"), ("T", "t:5")]);
    let whole = whole.signal("/o", PROPERTIES, "PropertiesChanged");
    let read = |bytes: &[u8]| {
        let mut bytes = bytes.to_vec();
        while let Ok(Some(message)) = take(&mut bytes) {
            let mut body = message.body();
            let _ = (body.text(), body.properties(), message.body().variant(0), message.body().number());
        }
    };
    for end in 0..whole.len() {
        assert_eq!(take(&mut whole[..end].to_vec()), Ok(None), "cut at {end}");
    }
    // Each byte with each value.
    for place in 0..whole.len() {
        for value in 0..=u8::MAX {
            let mut changed = whole.clone();
            changed[place] = value;
            read(&changed);
        }
    }
    // Much too long, and nested without end.
    for place in [4, 12] {
        let mut long = whole.clone();
        long[place..place + 4].copy_from_slice(&u32::MAX.to_le_bytes());
        assert!(take(&mut long).is_err());
    }
    let variants = (0..1000).fold(Body::default(), |body, _| body.signature("v"));
    assert_eq!(take(&mut variants.message(2, &[], 1)).unwrap().unwrap().body().variant(0), None);
    for signature in ["a".repeat(200), "(".repeat(200), "()".to_owned(), "a{".to_owned(), String::new()] {
        let body = Body::default().signature(&signature).number(0).number(0).number(0);
        assert_eq!(
            take(&mut body.message(2, &[], 1)).unwrap().unwrap().body().variant(0),
            None,
            "{signature}"
        );
    }
}
