//! Why a plugin cannot be used. Each message names the file and the way out.

use std::path::PathBuf;

/// Why a plugin cannot be loaded or opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PluginError {
    /// The file is not there, or may not be read.
    #[error("plugin `{file}` cannot be read (correct the path, or build it)")]
    Unreadable {
        /// The file, as it was named.
        file: PathBuf,
        /// What the operating system said.
        #[source]
        source: std::io::Error,
    },
    /// The path is a directory or the like.
    #[error("plugin `{file}` is not a file (name the library itself, such as `{file}/libNAME.so`)")]
    NotAFile {
        /// The file.
        file: PathBuf,
    },
    /// The operating system cannot load it.
    #[error(
        "plugin `{file}` cannot be loaded (it must be a whole shared library for this machine: build it here, in \
         Rust with `crate-type = [\"cdylib\"]`, in C with `-shared -fPIC`)"
    )]
    NotALibrary {
        /// The file.
        file: PathBuf,
        /// What is wrong with it.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// It is a library, but no plugin.
    #[error(
        "plugin `{file}` {problem} (a plugin exports the static `INNKEEPER_PLUGIN`: in Rust with \
         `plugin_sdk::plugin!`, in C as a `const innkeeper_plugin_header`)"
    )]
    NotAPlugin {
        /// The file.
        file: PathBuf,
        /// What is missing.
        problem: &'static str,
    },
    /// Plugin and innkeeper are too far apart.
    #[error("plugin `{file}` was built for ABI {theirs}, but this innkeeper speaks ABI {ours} ({way_out})")]
    OtherMajor {
        /// The file.
        file: PathBuf,
        /// The plugin's major version.
        theirs: u32,
        /// Ours.
        ours: u32,
        /// Which side is too old, and what to do about it.
        way_out: String,
    },
    /// Something in its tables is not as its version promises.
    #[error(
        "plugin `{file}` is broken: {problem} (rebuild it against `plugin-abi` {}.x, or tell its author)",
        plugin_abi::ABI_MAJOR
    )]
    Broken {
        /// The file.
        file: PathBuf,
        /// What is wrong.
        problem: String,
    },
    /// It refused to be set up.
    #[error("plugin `{file}`: {problem}")]
    Refused {
        /// The file.
        file: PathBuf,
        /// What the plugin says.
        problem: String,
    },
}
