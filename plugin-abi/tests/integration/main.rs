//! The C header says what the Rust source says.

mod c;
mod header;
