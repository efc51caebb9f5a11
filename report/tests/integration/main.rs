//! What a user sees of a run: on the terminal, in the result directory, and when it is made again.

mod browser;
mod docs;
mod failures;
mod formats;
mod golden;
mod hostile;
mod html;
mod junit;
mod remake;
mod schema;
mod scopes;
mod support;
mod terminal;
