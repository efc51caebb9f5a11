//! The verbs of test scripts. Each exists once: a method of [`Node`] or [`Driver`] for Rust, and one entry
//! in a table here, from which script clients build theirs.

mod machine;
mod run;
mod screen;
mod table;
mod vlan;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use serde::Serialize;
use serde_json::Value;

use crate::driver::Driver;
use crate::error::DriverError;
use crate::facet::Facet;
use crate::node::Node;
use crate::pattern::PatternEngine;
use crate::vlan::Vlan;

pub(crate) use vlan::Expected;

/// All verbs: those of machines, then those of the run, then those of VLANs.
pub fn table() -> impl Iterator<Item = &'static Verb> {
    machine::TABLE.iter().chain(screen::TABLE).chain(run::TABLE).chain(vlan::TABLE)
}

/// A verb: what a script can call.
#[derive(Debug, Serialize)]
pub struct Verb {
    /// The name, in Python's spelling: `wait_for_unit`.
    pub name: &'static str,
    /// What it is called on.
    pub target: Target,
    /// The parameters in the order in which they can be given without names.
    pub params: &'static [Param],
    /// The shape of what it returns.
    pub returns: Returns,
    /// What the machine's backend must have.
    #[serde(skip)]
    pub needs: Option<Facet>,
    /// What it does, for `help()`.
    pub doc: &'static str,
    #[serde(skip)]
    run: fn(Call, Value) -> Answer,
}

/// What a verb is called on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Target {
    /// A machine: `server.succeed(...)`.
    Machine,
    /// The run: `start_all()`.
    Run,
    /// A VLAN: `vlan1.heal()`.
    Vlan,
}

/// What a call of a verb is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Subject<'a> {
    /// The run.
    Run,
    /// The machine of that name.
    Machine(&'a str),
    /// The VLAN of that number.
    Vlan(u32),
}

impl Subject<'_> {
    fn target(self) -> Target {
        match self {
            Self::Run => Target::Run,
            Self::Machine(_) => Target::Machine,
            Self::Vlan(_) => Target::Vlan,
        }
    }
}

/// A parameter of a verb.
#[derive(Debug, Serialize)]
pub struct Param {
    /// The name.
    pub name: &'static str,
    /// What can be given.
    pub kind: Kind,
    /// The value when nothing is given, as JSON; `None` when something must be.
    pub default: Option<&'static str>,
}

/// What can be given for a parameter. Each is one JSON type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A string.
    Text,
    /// A string or null.
    #[serde(rename = "text")]
    MaybeText,
    /// Any number of strings, given one after the other.
    Texts,
    /// A whole number.
    Integer,
    /// A whole number that is not negative, or null.
    #[serde(rename = "integer")]
    MaybeCount,
    /// A number.
    Number,
    /// Truth.
    Bool,
    /// Seconds, as a number.
    Duration,
    /// Seconds, or null for no limit.
    #[serde(rename = "duration")]
    MaybeDuration,
    /// A regular expression in the script's own dialect, as a string.
    Pattern,
    /// A path on the host; clients make it absolute.
    Path,
    /// Groups of machines: an array of arrays of names. Scripts give one group after the other.
    Groups,
    /// One or two groups of machines, or null.
    Between,
    /// A part of the screen, an object with `x`, `y`, `width` and `height` in pixels, or null.
    Region,
    /// What a verb has returned as [`Returns::Handle`]: its number.
    Handle,
}

/// The shape of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Returns {
    /// Null.
    Nothing,
    /// A string.
    Text,
    /// A status and a string, in an array.
    StatusAndText,
    /// An object of strings.
    Map,
    /// Truth.
    Flag,
    /// An array of strings.
    Texts,
    /// Anything: what it holds is in the verb's description.
    Json,
    /// A [`Handle`]: something that goes on until it is ended.
    Handle,
    /// A packet: an object with `summary`, `port`, `length`, `after_s`, and its first `bytes` as hexadecimal digits.
    Packet,
}

/// Something that goes on until it is ended: a fault, a capture. In a script it is an object that can be put
/// around a block of code.
#[derive(Debug, Serialize)]
pub struct Handle {
    /// What the verbs that end it are given.
    pub id: u64,
    /// The verb that ends it, of the same VLAN.
    pub end: &'static str,
    /// The verb that ends it when the code inside has failed.
    pub cancel: &'static str,
    /// What is known about it, by name.
    pub fields: Value,
}

/// What a verb gets besides its arguments.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    pub(crate) driver: Arc<Driver>,
    node: Option<Arc<Node>>,
    vlan: Option<Arc<Vlan>>,
    pub(crate) patterns: Arc<dyn PatternEngine>,
}

impl Call {
    /// The machine that the verb was called on. [`Driver::call`] has seen to it that there is one.
    fn node(&self) -> Result<&Node, DriverError> {
        self.node.as_deref().ok_or_else(|| DriverError::usage("this verb needs a machine"))
    }

    /// The VLAN, likewise.
    fn vlan(&self) -> Result<&Arc<Vlan>, DriverError> {
        self.vlan.as_ref().ok_or_else(|| DriverError::usage("this verb needs a VLAN"))
    }
}

type Answer = Pin<Box<dyn Future<Output = Result<Value, DriverError>> + Send>>;

impl Driver {
    /// Calls a verb by its name. `params` is an object by parameter name; what is missing gets its
    /// default.
    ///
    /// # Errors
    /// [`DriverError::Usage`] for a verb, a subject or a parameter that does not exist;
    /// [`DriverError::LacksFacet`] for a verb that the machine's backend cannot do; whatever the verb returns;
    /// [`DriverError::Cancelled`] as soon as the run has to end.
    pub async fn call(
        self: &Arc<Self>,
        verb: &str,
        subject: Subject<'_>,
        params: Value,
        patterns: Arc<dyn PatternEngine>,
    ) -> Result<Value, DriverError> {
        let target = subject.target();
        let entry = table()
            .find(|entry| entry.name == verb && entry.target == target)
            .ok_or_else(|| DriverError::usage(format!("there is no verb `{verb}`")))?;
        let none = |what: String| DriverError::usage(format!("there is no {what}"));
        let (node, vlan) = match subject {
            Subject::Run => (None, None),
            Subject::Machine(name) => {
                (Some(self.node(name).ok_or_else(|| none(format!("machine `{name}`")))?), None)
            }
            Subject::Vlan(number) => {
                (None, Some(self.vlan(number).ok_or_else(|| none(format!("VLAN {number}")))?))
            }
        };
        if let Some(refusal) = node.as_ref().and_then(|node| node.refusal(entry)) {
            return Err(refusal);
        }
        let params = table::with_defaults(entry, params)?;
        let call = Call { driver: Arc::clone(self), node, vlan, patterns };
        self.unless_cancelled((entry.run)(call, params)).await
    }
}
