//! `cargo xtask guests`: makes bootable images of the recipes in guests/.
//!
//! An image is a folder in the cache, named for its recipe and a hash of all that went into it. It appears
//! there complete or not at all, and is not written again.

use std::fs;
use std::path::PathBuf;

use anyhow::{Result, bail};

use crate::command;
use recipe::Recipe;

mod build;
mod cache;
mod progress;
mod recipe;

/// Which images to build.
#[derive(Debug, Default, clap::Args)]
pub(crate) struct Args {
    /// Names of recipes; without any, all but those that are built on request
    names: Vec<String>,
    /// Build even if the image is there, to get Debian's updates
    #[arg(long)]
    force: bool,
}

impl Args {
    /// Asks for one image.
    pub(crate) fn only(name: &str) -> Args {
        Args { names: vec![name.to_owned()], force: false }
    }
}

/// Builds the images that are missing or out of date.
pub(crate) fn run(args: &Args) -> Result<()> {
    let known = known()?;
    let names = if args.names.is_empty() { &known } else { &args.names };
    for name in names {
        if !known.contains(name) {
            bail!("there is no recipe `{name}` in guests/ (known: {})", known.join(", "));
        }
        let recipe = Recipe::load(name)?;
        if args.names.is_empty() && recipe.on_request {
            continue;
        }
        let slot = cache::Slot::of(&recipe)?;
        if args.force || !slot.is_filled() {
            cache::fill(&slot, args.force, |folder| build::build(&recipe, folder, &slot))?;
        } else {
            slot.point()?;
        }
    }
    Ok(())
}

/// The folder that all images are in.
pub(crate) fn images() -> Result<PathBuf> {
    cache::images()
}

/// The folders of guests/ that hold a recipe.
fn known() -> Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(command::root().join("guests"))? {
        let entry = entry?;
        if entry.path().join("recipe.toml").exists() {
            names.push(entry.file_name().to_string_lossy().into_owned());
        }
    }
    names.sort();
    Ok(names)
}
