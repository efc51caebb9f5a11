//! A backend whose machines are process trees on the host: there at once, for scripts that need no kernel of their
//! own. `backend = "local"`, and the rest of the manifest stays.
//!
//! A machine has a root shell and a console, and lives in namespaces of its own where the host allows that: its own
//! processes, network, host name, `/root`, `/tmp` and `/run`, and the rest of the host's file system to be read.
//! Where the host does not, it is plain processes in a group of their own, and the log says so. What the
//! description says of memory, processors and images means nothing here.

mod backend;
mod machine;
mod options;
mod process;

plugin_sdk::plugin! {
    name: "local",
    backend: backend::Local::open,
}
