//! How an entry of the table is written, and how its arguments are read.

use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;

use super::{Param, Verb};
use crate::error::DriverError;

/// Writes one entry: `verb!(Machine succeed(commands: Texts, timeout: MaybeDuration = "null") -> Text,
/// "what it does", |call, args| future)`. A verb that not every backend can do says so: `-> Text needs Screen,`.
macro_rules! verb {
    (
        $target:ident $name:ident ( $($param:ident : $kind:ident $(= $default:literal)?),* $(,)? ) -> $returns:ident $(needs $facet:ident)?,
        $doc:expr, |$call:ident, $args:ident| $body:expr
    ) => {
        $crate::verbs::Verb {
            name: stringify!($name),
            target: $crate::verbs::Target::$target,
            params: &[$($crate::verbs::Param {
                name: stringify!($param),
                kind: $crate::verbs::Kind::$kind,
                default: $crate::verbs::table::verb!(@default $($default)?),
            }),*],
            returns: $crate::verbs::Returns::$returns,
            needs: $crate::verbs::table::verb!(@needs $($facet)?),
            doc: $doc,
            run: |$call, params| {
                #[derive(serde::Deserialize)]
                struct Args {
                    $($param: $crate::verbs::table::kind::$kind,)*
                }
                Box::pin(async move {
                    let $args: Args = $crate::verbs::table::arguments(stringify!($name), params)?;
                    let Args { $($param: _,)* } = &$args;
                    $crate::verbs::table::answer($body.await?)
                })
            },
        }
    };
    (@default) => { None };
    (@default $default:literal) => { Some($default) };
    (@needs) => { None };
    (@needs $facet:ident) => { Some($crate::facet::Facet::$facet) };
}
pub(super) use verb;

/// The Rust type of each [`super::Kind`], under the kind's name.
pub(super) mod kind {
    pub(crate) type Text = String;
    pub(crate) type MaybeText = Option<String>;
    pub(crate) type Texts = Vec<String>;
    pub(crate) type Integer = i64;
    pub(crate) type MaybeCount = Option<u64>;
    pub(crate) type Number = f64;
    pub(crate) type Bool = bool;
    pub(crate) type Duration = super::Seconds;
    pub(crate) type MaybeDuration = Option<super::Seconds>;
    pub(crate) type Pattern = String;
    pub(crate) type Path = std::path::PathBuf;
    pub(crate) type Groups = Vec<Vec<String>>;
    pub(crate) type Between = Option<Vec<Vec<String>>>;
    pub(crate) type Region = Option<crate::ocr::Rect>;
    pub(crate) type Handle = u64;
}

/// A duration in seconds, as scripts give it.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(try_from = "f64")]
pub(super) struct Seconds(pub(super) Duration);

impl TryFrom<f64> for Seconds {
    type Error = String;

    fn try_from(seconds: f64) -> Result<Self, String> {
        // A time that has run out is over at once; scripts compute remainders.
        Duration::try_from_secs_f64(seconds.max(0.0))
            .map(Self)
            .map_err(|error| format!("{seconds} is not a duration in seconds ({error})"))
    }
}

/// Completes an object of parameters with the defaults of `verb`.
pub(super) fn with_defaults(verb: &Verb, params: Value) -> Result<Value, DriverError> {
    let Value::Object(mut given) = params else {
        return Err(DriverError::usage(format!("{}() takes its parameters by name", verb.name)));
    };
    if let Some(unknown) = given.keys().find(|name| verb.params.iter().all(|param| param.name != *name)) {
        let message = format!("{}() got an unexpected keyword argument '{unknown}'", verb.name);
        return Err(DriverError::usage(message));
    }
    for Param { name, default, .. } in verb.params {
        if given.contains_key(*name) {
            continue;
        }
        let missing = || DriverError::usage(format!("{}() missing required argument '{name}'", verb.name));
        let default = default.ok_or_else(missing)?;
        let value = serde_json::from_str(default).map_err(|error| DriverError::usage(error.to_string()))?;
        given.insert((*name).to_owned(), value);
    }
    Ok(Value::Object(given))
}

/// Reads the arguments of a verb.
pub(super) fn arguments<'de, T: Deserialize<'de>>(verb: &str, params: Value) -> Result<T, DriverError> {
    T::deserialize(params).map_err(|error| DriverError::usage(format!("{verb}(): {error}")))
}

/// Writes the answer of a verb.
pub(super) fn answer(value: impl serde::Serialize) -> Result<Value, DriverError> {
    serde_json::to_value(value).map_err(|error| DriverError::usage(error.to_string()))
}
