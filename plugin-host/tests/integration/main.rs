//! Plugins that are right, and plugins that are wrong in every way that there is. None may crash or hang innkeeper.

mod calls;
mod contract;
mod first;
mod loading;
mod misdeeds;
mod support;
