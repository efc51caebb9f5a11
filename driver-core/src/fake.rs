//! A backend whose machines play what a test writes down: console lines, a screen, a shell, deaths.
//!
//! Nothing happens by time. What has to wait does so for a trigger, for the n-th command, or for a call of
//! the test's [`FakeHandle`]; so tests are quick and always the same.
//!
//! ```
//! use driver_core::fake::{FakeBackend, Play, Reply};
//!
//! let play = Play::new().print("Linux version 6.12").greet().answer("hostname", Reply::says("server\n"));
//! let backend = FakeBackend::new().with_play("server", play);
//! let server = backend.handle("server");
//! assert_eq!(server.record().launches, 0);
//! ```

mod backend;
mod bash;
mod forensics;
mod guest;
mod handle;
mod machine;
mod play;
mod process;
mod request;
mod switch;

pub use backend::FakeBackend;
pub use bash::LocalBash;
pub use handle::{FakeHandle, Record};
pub use play::{Play, Reply};
pub use switch::{FakeSwitch, FakeSwitches};
