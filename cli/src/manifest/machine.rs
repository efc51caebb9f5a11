//! `[machines.NAME]`: what one machine is and how it boots.

use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::time::Duration;

use driver_core::{Boot, Disk, DiskFormat, Facet, Share};
use toml::Spanned;

use super::reader::Section;
use super::values::{Mebibytes, to_json};
use super::vlan::VlanNumber;
use crate::backends::Backends;

/// The time that a machine may take until its shell answers when its manifest does not say.
const DEFAULT_BOOT_TIMEOUT: Duration = Duration::from_secs(5 * 60);

/// A machine as the manifest describes it.
#[derive(Debug)]
pub(crate) struct Machine {
    /// What the script calls it.
    pub(crate) name: String,
    /// Who launches it: the name of one that there is.
    pub(crate) backend: String,
    /// What it boots.
    pub(crate) source: Source,
    /// Memory in MiB, if the manifest says.
    pub(crate) memory_mib: Option<u64>,
    /// Virtual processors.
    pub(crate) cores: u32,
    /// The VLANs that it is plugged into.
    pub(crate) vlans: Vec<u32>,
    /// The time until its shell answers.
    pub(crate) boot_timeout: Duration,
    /// Whether the guest may reboot.
    pub(crate) allow_reboot: bool,
    /// What the test cannot do without: a backend that lacks one of these makes it skip.
    pub(crate) needs: Vec<Facet>,
    /// Directories of the host that the guest can mount.
    pub(crate) shares: Vec<Share>,
    /// The table under the backend's name, or null.
    pub(crate) options: serde_json::Value,
}

/// What a machine boots.
#[derive(Debug)]
pub(crate) enum Source {
    /// An image that was built, or a directory that looks like one.
    Image(ImageRef),
    /// A NixOS start script.
    StartScript(PathBuf),
    /// What the manifest says itself.
    Boot(Boot),
}

/// Which image a manifest means.
#[derive(Debug)]
pub(crate) enum ImageRef {
    /// The name of an image that `cargo xtask guests` built.
    Name(String),
    /// A directory.
    Path(PathBuf),
}

impl ImageRef {
    /// A word without a slash is a name, anything else a path relative to `folder`.
    fn new(word: &str, folder: &Path) -> Self {
        if word.contains('/') || word.is_empty() || word == "." || word == ".." {
            Self::Path(folder.join(word))
        } else {
            Self::Name(word.to_owned())
        }
    }
}

/// Reads all machines; `None` when a problem was found.
pub(super) fn read_all(
    manifest: &mut Section<'_, '_>,
    folder: &Path,
    backends: &Backends,
) -> Option<Vec<Machine>> {
    let sections = manifest.sections("machines", |name| format!("machine `{name}`"));
    let mut machines = Vec::new();
    let mut complete = true;
    for (name, mut section) in sections {
        check_name(&name, &machines, &section);
        match read(name.into_inner(), &mut section, folder, backends) {
            Some(machine) => machines.push(machine),
            None => complete = false,
        }
        section.finish();
    }
    machines.sort_by(|a, b| a.name.cmp(&b.name));
    complete.then_some(machines)
}

/// A machine's name becomes a variable of scripts, a file's name and a host's.
fn check_name(name: &Spanned<String>, others: &[Machine], section: &Section<'_, '_>) {
    let text = name.get_ref();
    let fits = text.len() <= 63
        && text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_');
    if !fits {
        section.problems().add(
            name.span(),
            format!("{text:?} cannot be a machine's name"),
            "expected a letter, then letters, digits, `-` and `_`, 63 in all",
        );
    }
    let variable = text.replace('-', "_");
    if let Some(other) = others.iter().find(|other| other.name.replace('-', "_") == variable) {
        section.problems().add(
            name.span(),
            format!("machines `{}` and `{text}` have the same name in scripts", other.name),
            format!("scripts call both of them `{variable}`"),
        );
    }
}

fn read(name: String, section: &mut Section<'_, '_>, folder: &Path, backends: &Backends) -> Option<Machine> {
    let is_named = section.has("backend");
    let backend = read_backend(section, backends);
    // Under another backend's name it would be a table that nobody reads: an unknown key. Where the backend is
    // chosen elsewhere, there may be a table for each.
    let options = match &backend {
        Some(backend) => {
            let options = read_options(section, backend, backends);
            if !is_named {
                for word in backends.words().filter(|word| word != backend) {
                    read_options(section, word, backends);
                }
            }
            options
        }
        None => {
            // The backend's name is the mistake to correct first.
            backends.words().for_each(|word| drop(section.take(word)));
            serde_json::Value::Null
        }
    };
    let boots_nothing = backend.as_deref().is_some_and(|backend| backends.is_foreign(backend));
    // Everything is asked for before anything is given up on: a key that nobody asked for is unknown.
    let source = read_source(section, folder, boots_nothing);
    let memory_mib = section.optional::<Mebibytes>("memory").map(|memory| memory.0);
    let cores = section.optional("cores").map_or(1, NonZeroU32::get);
    let vlans = read_vlans(section);
    let boot_timeout = section.optional("boot_timeout").unwrap_or(DEFAULT_BOOT_TIMEOUT);
    let allow_reboot = section.optional("allow_reboot").unwrap_or(false);
    let needs = section.list("needs");
    let shares = section
        .named::<PathBuf>("shares")
        .into_iter()
        .map(|(tag, path)| Share { tag: tag.into_inner(), path: folder.join(path) })
        .collect();
    Some(Machine {
        name,
        backend: backend?,
        source: source?,
        memory_mib,
        cores,
        vlans,
        boot_timeout,
        allow_reboot,
        needs,
        shares,
        options,
    })
}

/// The VLANs that the machine is on, each once.
fn read_vlans(section: &mut Section<'_, '_>) -> Vec<u32> {
    let mut vlans = Vec::new();
    for VlanNumber(number) in section.list("vlans") {
        if vlans.contains(&number) {
            section.problems().add(
                section.place(),
                format!("{} is on VLAN {number} twice", section.what()),
                "a machine has one network card on a VLAN",
            );
        }
        vlans.push(number);
    }
    vlans
}

/// Who launches the machine; `None` when it is nobody known, which has been said.
fn read_backend(section: &mut Section<'_, '_>, backends: &Backends) -> Option<String> {
    let Some(word) = section.located::<String>("backend") else {
        return Some(backends.usual(section.has("start_script")).to_owned());
    };
    if backends.words().any(|known| known == word.get_ref()) {
        return Some(word.into_inner());
    }
    let words: Vec<_> = backends.words().map(|word| format!("\"{word}\"")).collect();
    section.problems().add_with_help(
        word.span(),
        format!("{} wants the unknown backend {:?}", section.what(), word.get_ref()),
        format!("expected {}", words.join(" or ")),
        Some("others come as plugins: plugins = [\"./libNAME.so\"], see `innkeeper plugins`".to_owned()),
    );
    None
}

/// The table of the backend's own settings as the backend wants it: in JSON.
fn read_options(section: &mut Section<'_, '_>, backend: &str, backends: &Backends) -> serde_json::Value {
    let table = match backends.settings(backend) {
        Some(known) => section.foreign(backend, known),
        None => section.unread(backend),
    };
    let Some(table) = table else { return serde_json::Value::Null };
    if let Err(error) = backends.check_settings(backend, table.clone()) {
        section.problems().add(
            error.span().unwrap_or(table.span()),
            format!("a setting in `{backend}` of {} makes no sense", section.what()),
            error.message(),
        );
    }
    to_json(table.get_ref())
}

/// What the machine boots: exactly one of the four ways, or nothing where the backend may do without.
fn read_source(section: &mut Section<'_, '_>, folder: &Path, or_nothing: bool) -> Option<Source> {
    let image = section.located::<String>("image");
    let start_script = section.located::<PathBuf>("start_script");
    let kernel = section.located::<PathBuf>("kernel");
    let initrd = section.located::<PathBuf>("initrd");
    let cmdline = section.located::<String>("cmdline");
    let disks = read_disks(section, folder);

    let ways = [
        ("image", image.as_ref().map(Spanned::span)),
        ("start_script", start_script.as_ref().map(Spanned::span)),
        ("kernel", kernel.as_ref().map(Spanned::span)),
    ];
    let chosen: Vec<_> = ways.into_iter().filter_map(|(key, span)| Some((key, span?))).collect();
    if let [(first, _), (second, span), ..] = chosen.as_slice() {
        section.problems().add(
            span.clone(),
            format!("{} has both `{first}` and `{second}`", section.what()),
            "a machine boots in one way: leave one of the two out",
        );
        return None;
    }
    let needs_kernel =
        [("initrd", initrd.as_ref().map(Spanned::span)), ("cmdline", cmdline.as_ref().map(Spanned::span))];
    if kernel.is_none() {
        for (key, span) in needs_kernel.into_iter().filter_map(|(key, span)| Some((key, span?))) {
            section.problems().add(
                span,
                format!("{} has `{key}`, but no `kernel`", section.what()),
                "goes with a kernel that the manifest names",
            );
        }
    }
    if let Some((way, span)) = chosen.first()
        && *way != "kernel"
        && !disks.is_empty()
    {
        section.problems().add(
            span.clone(),
            format!("{} has both `{way}` and `disks`", section.what()),
            format!("`{way}` brings its own disks: leave one of the two out"),
        );
    }

    match (image, start_script, kernel) {
        (Some(image), _, _) => Some(Source::Image(ImageRef::new(image.get_ref(), folder))),
        (_, Some(script), _) => Some(Source::StartScript(folder.join(script.into_inner()))),
        (_, _, Some(kernel)) => Some(Source::Boot(Boot::Kernel {
            kernel: folder.join(kernel.into_inner()),
            initrd: initrd.map(|initrd| folder.join(initrd.into_inner())),
            cmdline: cmdline.map(Spanned::into_inner).unwrap_or_default(),
            disks,
        })),
        (None, None, None) if or_nothing || !disks.is_empty() => Some(Source::Boot(Boot::Firmware { disks })),
        (None, None, None) => {
            section.problems().add_with_help(
                section.place(),
                format!("{} has nothing to boot", section.what()),
                "`image`, `kernel`, `start_script` or `[[disks]]` is missing",
                Some("the shortest way: image = \"base\"".to_owned()),
            );
            None
        }
    }
}

/// `[[disks]]`. A file's ending tells the format if nothing else does.
fn read_disks(section: &mut Section<'_, '_>, folder: &Path) -> Vec<Disk> {
    let mut disks = Vec::new();
    for mut table in section.tables("disks", "a disk") {
        let path = table.required::<PathBuf>("path");
        let format = table.optional::<DiskFormat>("format");
        if let Some(path) = path.map(Spanned::into_inner) {
            let format = format.unwrap_or_else(|| DiskFormat::of(&path));
            disks.push(Disk { path: folder.join(path), format });
        }
        table.finish();
    }
    disks
}
