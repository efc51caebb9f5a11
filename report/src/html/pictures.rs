//! Pictures of the result directory for the page, which carries them inside as far as there is room: then
//! it shows them wherever it is sent.

use std::fs::File;
use std::io::Read as _;
use std::path::{Component, Path};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// Bytes of one picture that goes into the page, and of all of them.
const ONE: u64 = 4 << 20;
const ALL: u64 = 16 << 20;

/// What is written as `%20` in an address.
const IN_PATHS: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~').remove(b'/');

const PNG: &[u8] = b"\x89PNG\r\n\x1a\n";

/// Takes pictures in until there is no more room.
#[derive(Debug)]
pub(super) struct Pictures<'a> {
    dir: &'a Path,
    room: u64,
}

impl<'a> Pictures<'a> {
    /// Pictures of the result directory `dir`.
    pub(super) fn of(dir: &'a Path) -> Self {
        Self { dir, room: ALL }
    }

    /// The picture at `path` as an address that has it inside; `None` when it is none, or too large.
    pub(super) fn take(&mut self, path: &str) -> Option<String> {
        // An event file may come from anywhere: what lies outside of the directory is not shown to those
        // who get the page.
        let file = self.dir.join(path).canonicalize().ok()?;
        if !is_inside(path) || !file.starts_with(self.dir.canonicalize().ok()?) || !file.is_file() {
            return None;
        }
        let limit = ONE.min(self.room);
        let mut bytes = Vec::new();
        File::open(file).ok()?.take(limit + 1).read_to_end(&mut bytes).ok()?;
        let size = u64::try_from(bytes.len()).ok()?;
        if size > limit || !bytes.starts_with(PNG) {
            return None;
        }
        self.room -= size;
        Some(format!("data:image/png;base64,{}", STANDARD.encode(bytes)))
    }
}

/// The address of a file of the result directory, for a link beside it; `None` for one that lies elsewhere.
pub(super) fn address_inside(path: &str) -> Option<String> {
    is_inside(path).then(|| address(path))
}

/// The address of a file, from a page whose directory `path` is relative to.
pub(crate) fn address(path: &str) -> String {
    // A first `./` keeps a name with a colon from being read as a scheme.
    format!("./{}", utf8_percent_encode(path, IN_PATHS))
}

/// Whether a path is one of a file in the result directory, as it is written.
pub(crate) fn is_inside(path: &str) -> bool {
    !path.is_empty() && Path::new(path).components().all(|part| matches!(part, Component::Normal(_)))
}

#[cfg(test)]
mod tests {
    use super::{Pictures, address_inside};

    #[test]
    fn an_address_is_one_of_a_file_in_the_directory_or_none() {
        assert_eq!(address_inside("a b<c>.png").as_deref(), Some("./a%20b%3Cc%3E.png"));
        assert_eq!(address_inside("javascript:alert(1)").as_deref(), Some("./javascript%3Aalert%281%29"));
        for elsewhere in ["", "../a.png", "/etc/passwd", "a/../../b"] {
            assert_eq!(address_inside(elsewhere), None, "{elsewhere}");
        }
    }

    #[test]
    fn only_pictures_inside_of_the_directory_get_into_the_page() {
        let parent = tempfile::tempdir().unwrap();
        let dir = parent.path().join("result");
        std::fs::create_dir(&dir).unwrap();
        let picture = b"\x89PNG\r\n\x1a\nrest";
        std::fs::write(parent.path().join("outside.png"), picture).unwrap();
        std::fs::write(dir.join("inside.png"), picture).unwrap();
        std::fs::write(dir.join("secret.png"), "root:x:0:0").unwrap();
        std::os::unix::fs::symlink("../outside.png", dir.join("link.png")).unwrap();
        let mut pictures = Pictures::of(&dir);
        assert!(pictures.take("inside.png").unwrap().starts_with("data:image/png;base64,"));
        for path in ["../outside.png", "link.png", "secret.png", "absent.png"] {
            assert_eq!(pictures.take(path), None, "{path}");
        }
        pictures.room = 3;
        assert_eq!(pictures.take("inside.png"), None, "there is no room");
    }
}
