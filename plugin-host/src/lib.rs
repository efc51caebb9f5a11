//! Loads plugins, shared libraries that speak `plugin-abi`, and turns them into backends, OCR engines and
//! reporters.
//!
//! A library runs in our own process: it is trusted with our memory, and with nothing else. All that it says is
//! checked and bounded, its calls run on threads of their own and have a deadline, and one that hangs or reports a
//! panic is set aside: it is not called again, and the run ends in an orderly way. No library is ever unloaded.

#![expect(unsafe_code, reason = "calls functions of shared libraries")]

mod backend;
mod error;
mod gate;
mod library;
mod log;
mod machine;
mod ocr;
mod opened;
mod outgoing;
mod reporter;
mod table;

pub use error::PluginError;
pub use gate::Limits;
pub use library::Plugin;
