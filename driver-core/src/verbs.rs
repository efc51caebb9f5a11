//! The verbs of test scripts. Each exists once: a method of [`Node`] or [`Driver`] for Rust, and one entry
//! in a table here, from which script clients build theirs.

mod machine;
mod run;
mod table;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use serde::Serialize;
use serde_json::Value;

use crate::driver::Driver;
use crate::error::DriverError;
use crate::node::Node;
use crate::pattern::PatternEngine;

/// All verbs: those of machines, then those of the run.
pub fn table() -> impl Iterator<Item = &'static Verb> {
    machine::TABLE.iter().chain(run::TABLE)
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
}

/// What a verb gets besides its arguments.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    pub(crate) driver: Arc<Driver>,
    node: Option<Arc<Node>>,
    pub(crate) patterns: Arc<dyn PatternEngine>,
}

impl Call {
    /// The machine that the verb was called on. [`Driver::call`] has seen to it that there is one.
    fn node(&self) -> Result<&Node, DriverError> {
        self.node.as_deref().ok_or_else(|| DriverError::usage("this verb needs a machine"))
    }
}

type Answer = Pin<Box<dyn Future<Output = Result<Value, DriverError>> + Send>>;

impl Driver {
    /// Calls a verb by its name. `params` is an object by parameter name; what is missing gets its
    /// default.
    ///
    /// # Errors
    /// [`DriverError::Usage`] for a verb, a machine or a parameter that does not exist; whatever the verb
    /// returns; [`DriverError::Cancelled`] as soon as the run has to end.
    pub async fn call(
        self: &Arc<Self>,
        verb: &str,
        machine: Option<&str>,
        params: Value,
        patterns: Arc<dyn PatternEngine>,
    ) -> Result<Value, DriverError> {
        let target = if machine.is_some() { Target::Machine } else { Target::Run };
        let entry = table()
            .find(|entry| entry.name == verb && entry.target == target)
            .ok_or_else(|| DriverError::usage(format!("there is no verb `{verb}`")))?;
        let node = machine
            .map(|name| {
                self.node(name).ok_or_else(|| DriverError::usage(format!("there is no machine `{name}`")))
            })
            .transpose()?;
        let params = table::with_defaults(entry, params)?;
        let call = Call { driver: Arc::clone(self), node, patterns };
        self.unless_cancelled((entry.run)(call, params)).await
    }
}
