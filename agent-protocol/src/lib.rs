//! What driver and agent say to each other over the guest's console port.
//!
//! [`message`] has the messages, [`Link`] carries them. The port below is a bad one: QEMU's virtconsole drops
//! what the host does not read in time, and the kernel or anybody else in the guest may print into it. So
//! every frame is numbered and checksummed, what is lost is sent again, and no more is under way than a
//! socket holds. Where there is a better port, a [`Lane`] carries what is large. None of them has any input or output
//! of its own.

mod codec;
mod frame;
mod lane;
mod link;
pub mod message;

pub use codec::{CodecError, Message, from_bytes, to_bytes};
pub use lane::{Lane, TooLong};
pub use link::{Broken, Link, Role};
pub use message::{ToGuest, ToHost, VERSION};
