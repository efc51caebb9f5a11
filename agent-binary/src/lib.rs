//! The agent for x86-64 Linux guests, as bytes for the driver to bring along: built by this crate's build
//! script, static, so that it runs whatever the guest has, and packed, because it travels through a console.
//! A host that cannot build it has none, and says why; then the plain shell serves.

include!(concat!(env!("OUT_DIR"), "/agent.rs"));

/// The program, packed by gzip. `None` where it could not be built.
pub const AGENT: Option<&[u8]> = PACKED;

/// Bytes of the program when it is unpacked.
pub const UNPACKED_SIZE: usize = SIZE;

/// Why there is no [`AGENT`], where there is none.
pub const MISSING: Option<&str> = REASON;
