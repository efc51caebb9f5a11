//! One unit, followed by what its manager tells: asked for once, kept up to date by signals. A unit that
//! nobody needs is unloaded by the manager, and loaded again for whoever asks; so nothing here asks for a
//! unit only because it was loaded or unloaded, which would go on for ever.

use agent_protocol::message::UnitState;

use super::connection::Connection;
use super::message::{Kind, Message, Value};

const MANAGER: &str = "org.freedesktop.systemd1.Manager";
const UNIT: &str = "org.freedesktop.systemd1.Unit";
const SERVICE: &str = "org.freedesktop.systemd1.Service";
const PROPERTIES: &str = "org.freedesktop.DBus.Properties";
const ROOT: &str = "/org/freedesktop/systemd1";

/// Properties of services that say what became of the last run.
const OF_SERVICES: [&str; 5] =
    ["Type", "RemainAfterExit", "Result", "ExecMainExitTimestampMonotonic", "ExecMainStatus"];

/// What is known of a unit, over one connection to its manager.
#[derive(Debug)]
pub(crate) struct Unit {
    /// Its name: first as it was asked for, then as the manager has it.
    name: String,
    state: UnitState,
    service_type: String,
    remains: bool,
    has_ended: bool,
    /// The exit status or signal of its last process. `systemctl reset-failed` forgets the result only.
    status: u64,
    /// The number of its job; 0 is none.
    job: u64,
    /// Questions on their way, by the serial of the call.
    asked: Vec<(u32, Question)>,
    /// All that was asked at the start is answered.
    is_known: bool,
    /// The manager forgets all units to read them anew, and says so about each: not our concern.
    reloads: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Question {
    /// Whether it is loaded.
    IsLoaded,
    /// All that every unit has. Loads it.
    Properties,
    OfService(&'static str),
    /// How many jobs there are.
    Jobs,
    /// To be told of all signals.
    Subscription,
}

impl Unit {
    /// Asks for the unit of this name.
    pub(crate) fn new(name: &str, connection: &mut Connection) -> Self {
        let mut unit = Self {
            name: name.to_owned(),
            state: UnitState::default(),
            service_type: String::new(),
            remains: false,
            has_ended: false,
            status: 0,
            job: 0,
            asked: Vec::new(),
            is_known: false,
            reloads: false,
        };
        // Who is connected directly is told without asking; only in case that ever changes.
        unit.ask(Question::Subscription, connection);
        unit.read(connection);
        unit.ask(Question::Jobs, connection);
        unit
    }

    /// How it is; `None` before that is known.
    pub(crate) fn state(&self) -> Option<UnitState> {
        let once = self.service_type == "oneshot" && !self.remains;
        let has_run = once && self.has_ended && self.status == 0;
        self.is_known.then(|| UnitState { has_job: self.job != 0, once, has_run, ..self.state.clone() })
    }

    /// Takes a message of the manager's. An error, in words, when the manager cannot say how the unit is.
    pub(crate) fn take(&mut self, message: &Message, connection: &mut Connection) -> Result<(), String> {
        let malformed = || "systemd sent what nobody can read".to_owned();
        match &message.kind {
            Kind::Return(serial) => {
                if let Some(question) = self.answered(*serial) {
                    self.learn(question, message, connection).ok_or_else(malformed)?;
                }
            }
            Kind::Failure(serial, error) => match self.answered(*serial) {
                Some(Question::Properties | Question::Jobs) => {
                    return Err(format!("systemd knows no state of `{}` ({error})", self.name));
                }
                // Its last state was told before it was unloaded, unless the manager has started anew.
                Some(Question::IsLoaded) if self.state.active != "inactive" => self.read(connection),
                _ => {}
            },
            Kind::Signal { path, interface, member } => {
                let signal = (path.as_str(), interface.as_str(), member.as_str());
                self.hear(signal, message, connection).ok_or_else(malformed)?;
            }
            Kind::Call => {}
        }
        self.is_known |= self.asked.is_empty();
        Ok(())
    }

    fn learn(&mut self, question: Question, message: &Message, connection: &mut Connection) -> Option<()> {
        let mut body = message.body();
        match question {
            Question::IsLoaded => self.read(connection),
            Question::Properties => {
                let properties = body.properties()?;
                if let Some((_, Value::Text(id))) = properties.iter().find(|(name, _)| name == "Id") {
                    self.name.clone_from(id);
                }
                self.change(UNIT, properties);
            }
            Question::OfService(name) => self.change(SERVICE, vec![(name.to_owned(), body.variant(0)?)]),
            Question::Jobs => self.state.jobs = body.variant(0)? != Value::Number(0),
            Question::Subscription => {}
        }
        Some(())
    }

    fn hear(
        &mut self,
        (path, interface, member): (&str, &str, &str),
        message: &Message,
        connection: &mut Connection,
    ) -> Option<()> {
        let mut body = message.body();
        match (interface, member) {
            (PROPERTIES, "PropertiesChanged") if path == self.path() && !self.reloads => {
                let interface = body.text()?;
                self.change(&interface, body.properties()?);
            }
            (MANAGER, "JobNew" | "JobRemoved") => {
                let (number, _job, unit) = (body.number()?, body.text()?, body.text()?);
                let is_new = member == "JobNew";
                if unit == self.name && is_new {
                    self.job = number.into();
                } else if unit == self.name && self.job == number.into() {
                    self.job = 0;
                }
                self.state.jobs |= is_new;
                if !is_new {
                    self.ask(Question::Jobs, connection);
                }
            }
            (MANAGER, "UnitNew" | "UnitRemoved") if !self.reloads && body.text()? == self.name => {
                self.ask(Question::IsLoaded, connection);
            }
            (MANAGER, "Reloading") => {
                self.reloads = body.number()? != 0;
                if !self.reloads {
                    self.ask(Question::IsLoaded, connection);
                    self.ask(Question::Jobs, connection);
                }
            }
            _ => {}
        }
        Some(())
    }

    fn change(&mut self, interface: &str, properties: Vec<(String, Value)>) {
        for (name, value) in properties {
            match (interface, name.as_str(), value) {
                (UNIT, "ActiveState", Value::Text(state)) => self.state.active = state,
                (UNIT, "Job", Value::Number(job)) => self.job = job,
                (UNIT, "ConditionResult", Value::Flag(met)) => self.state.conditions_met = met,
                (SERVICE, "Type", Value::Text(kind)) => self.service_type = kind,
                (SERVICE, "RemainAfterExit", Value::Flag(remains)) => self.remains = remains,
                (SERVICE, "Result", Value::Text(result)) => self.state.result = result,
                (SERVICE, "ExecMainExitTimestampMonotonic", Value::Number(moment)) => {
                    self.has_ended = moment != 0;
                }
                (SERVICE, "ExecMainStatus", Value::Number(status)) => self.status = status,
                _ => {}
            }
        }
    }

    /// Asks for all that is to be known of the unit.
    fn read(&mut self, connection: &mut Connection) {
        self.ask(Question::Properties, connection);
        if self.name.ends_with(".service") {
            for name in OF_SERVICES {
                self.ask(Question::OfService(name), connection);
            }
        }
    }

    /// Asks unless that is asked already: an answer that is yet to come is newer than what has come.
    fn ask(&mut self, question: Question, connection: &mut Connection) {
        if self.asked.iter().any(|(_, asked)| *asked == question) {
            return;
        }
        let serial = match question {
            Question::Subscription => connection.call(ROOT, MANAGER, "Subscribe", &[]),
            Question::IsLoaded => connection.call(ROOT, MANAGER, "GetUnit", &[&self.name]),
            Question::Jobs => connection.call(ROOT, PROPERTIES, "Get", &[MANAGER, "NJobs"]),
            Question::Properties => connection.call(&self.path(), PROPERTIES, "GetAll", &[UNIT]),
            Question::OfService(name) => connection.call(&self.path(), PROPERTIES, "Get", &[SERVICE, name]),
        };
        self.asked.push((serial, question));
    }

    fn answered(&mut self, serial: u32) -> Option<Question> {
        let place = self.asked.iter().position(|(asked, _)| *asked == serial)?;
        Some(self.asked.swap_remove(place).1)
    }

    /// The path of its object.
    fn path(&self) -> String {
        let plain = |place, byte: u8| byte.is_ascii_alphabetic() || (byte.is_ascii_digit() && place > 0);
        let escape = |(place, byte)| match byte {
            byte if plain(place, byte) => char::from(byte).to_string(),
            byte => format!("_{byte:02x}"),
        };
        let name: String = self.name.bytes().enumerate().map(escape).collect();
        format!("{ROOT}/unit/{name}")
    }
}
