//! Real interpreters against machines that are a bash of this host.

mod clients;
mod conditions;
mod docs;
mod endings;
mod needs;
mod networks;
mod perl;
mod perl_2019;
mod python;
mod stubs;
mod support;
