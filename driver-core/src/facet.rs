//! The facets by their names: what a test may need of a backend beyond what each has, and what to say where it
//! has not.

use serde::{Deserialize, Serialize};

use crate::machine::Capabilities;

/// What some backends have and others have not; one for each field of [`Capabilities`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Facet {
    /// [`crate::Screen`].
    Screen,
    /// [`crate::Keyboard`].
    Keyboard,
    /// [`crate::Pointer`].
    Pointer,
    /// [`crate::Monitor`].
    Monitor,
    /// [`crate::Power`].
    Power,
    /// [`crate::Network`].
    Network,
    /// [`crate::Snapshots`].
    Snapshots,
    /// Network cards on VLANs.
    Nics,
}

impl Facet {
    /// All facets.
    pub const ALL: [Self; 8] = [
        Self::Screen,
        Self::Keyboard,
        Self::Pointer,
        Self::Monitor,
        Self::Power,
        Self::Network,
        Self::Snapshots,
        Self::Nics,
    ];

    /// The word for it in manifests, tables and lists.
    #[must_use]
    pub fn word(self) -> &'static str {
        self.words().0
    }

    /// What a backend without it does not have, as a sentence about that calls it.
    pub(crate) fn thing(self) -> &'static str {
        self.words().1
    }

    /// What a test can do without it.
    pub(crate) fn instead(self) -> &'static str {
        self.words().2
    }

    fn words(self) -> (&'static str, &'static str, &'static str) {
        match self {
            Self::Screen => {
                ("screen", "screen", "the console has text: wait_for_console_text(), get_console_log()")
            }
            Self::Keyboard => {
                ("keyboard", "keyboard", "type on the console with send_console(), or run a command")
            }
            Self::Pointer => ("pointer", "pointer", "use keys: send_key(), or run a command"),
            Self::Monitor => ("monitor", "monitor", "use a verb that does the same"),
            Self::Power => ("power", "reset button", "let a command reboot the guest"),
            Self::Network => (
                "network",
                "plugs to pull and no ports to forward",
                "cut it off on its VLAN: `vlan1.partition([machine])`, or connect to it from another machine there",
            ),
            Self::Snapshots => ("snapshots", "snapshots", "boot anew"),
            Self::Nics => ("nics", "network cards", "leave out the machine's `vlans`"),
        }
    }
}

impl Capabilities {
    /// Whether the facet is there.
    #[must_use]
    pub fn has(self, facet: Facet) -> bool {
        match facet {
            Facet::Screen => self.screen,
            Facet::Keyboard => self.keyboard,
            Facet::Pointer => self.pointer,
            Facet::Monitor => self.monitor,
            Facet::Power => self.power,
            Facet::Network => self.network,
            Facet::Snapshots => self.snapshots,
            Facet::Nics => self.nics,
        }
    }
}
