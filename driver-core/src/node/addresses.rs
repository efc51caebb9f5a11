//! Addresses and names of the guest on its VLANs, as NixOS gives them to its test machines. Set after each
//! boot, before a script hears of the guest.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use agent_protocol::message::Card;

use super::Node;
use super::command::excerpt;
use super::life::Running;
use crate::agent::Nobody;
use crate::channel::Channel;
use crate::deadline::Deadline;
use crate::error::DriverError;
use crate::event::Level;
use crate::shell::quote;
use crate::spec::Boot;
use crate::vlan::Station;
use crate::wait::{Look, Wait};

/// What defines the functions that a guest's bash calls.
const FUNCTIONS: &str = include_str!("addresses.sh");
/// The status that says that a card is not there yet.
const NOT_YET: i32 = 3;
/// How long the guest may take, from its shell on, to find its network cards; and when to wonder aloud. A shell can
/// come long before a busy guest is done with its devices.
const CARDS_LIMIT: Duration = Duration::from_secs(120);
const CARDS_LATE: Duration = Duration::from_secs(10);
/// What the guest has to say in the initrd.
const INITRD: &str = "initrd";
/// Problems that are told, at most: guests are hostile.
const PROBLEMS: usize = 20;

impl Node {
    /// Whether the guest is given addresses. A start script's guest has its own.
    pub(super) fn gives_addresses(&self) -> bool {
        let is_described = !matches!(self.config.boot, Boot::StartScript { .. });
        is_described && !self.nics.is_empty() && self.config.backend.capabilities().nics
    }

    /// Gives the guest its addresses and names, unless it has them since an earlier call in this boot. What it
    /// cannot take is said, and is no error: a test may do without.
    ///
    /// # Errors
    /// [`DriverError::Shell`] and [`DriverError::Exited`] when the guest is lost.
    pub(super) async fn give_addresses(&self, running: &Running, limit: Deadline) -> Result<(), DriverError> {
        if !self.gives_addresses() {
            return Ok(());
        }
        let during = || "giving the guest its addresses".to_owned();
        let began = Instant::now();
        let has_wondered = AtomicBool::new(false);
        let has_wondered = &has_wondered;
        let look = |last| async move {
            let look = self.try_to_give_addresses(running, last, limit).await?;
            if let Look::NotYet(missing) = &look
                && began.elapsed() > CARDS_LATE
                && !has_wondered.swap(true, Ordering::Relaxed)
            {
                self.log(format!("waiting for the guest to find its network cards ({})", excerpt(missing)));
            }
            Ok(look)
        };
        let work = Wait::by("the guest's network cards", limit.at_most(CARDS_LIMIT)).until(look);
        for problem in self.while_it_runs(running, during, work).await? {
            let text = format!("the guest's network: {}", excerpt(&problem));
            self.context.journal.log(Level::Warning, Some(self.name()), text);
        }
        Ok(())
    }

    /// Returns what went wrong, once the cards are there; the `last` time it makes do with those that are.
    async fn try_to_give_addresses(
        &self,
        running: &Running,
        last: bool,
        limit: Deadline,
    ) -> Result<Look<Vec<String>>, DriverError> {
        let channel = running.line.channel();
        let known = running.boot_id();
        let with_cards = matches!(channel.as_ref(), Channel::Shell(_));
        let script = self.address_script(&known, with_cards, last);
        let output = channel.run(&script, None, self.context.grace, limit, &mut Nobody).await;
        let output = output.map_err(|error| match error {
            // It names the command, which is none of the user's.
            DriverError::Timeout { machine, limit, seen, .. } => {
                let awaited = "the end of giving the guest its addresses".to_owned();
                DriverError::Timeout { machine, awaited, limit, seen }
            }
            other => other,
        })?;
        let text = String::from_utf8_lossy(&output.stdout);
        let (boot, problems) = text.split_once('\n').unwrap_or((&text, ""));
        let mut problems: Vec<String> = problems.lines().take(PROBLEMS).map(str::to_owned).collect();
        if output.status == NOT_YET {
            return Ok(Look::NotYet(problems.join("; ")));
        }
        if boot == INITRD || boot == known && !known.is_empty() {
            return Ok(Look::Done(Vec::new()));
        }
        if let Channel::Agent(agent) = channel.as_ref() {
            for card in self.cards() {
                if let Err(reason) = agent.set_up_card(card, limit).await? {
                    problems.push(reason);
                }
            }
        }
        running.set_boot_id(boot);
        Ok(Look::Done(problems))
    }

    /// What the guest's bash is told. Where there is the agent, that sets the cards up.
    fn address_script(&self, known: &str, with_cards: bool, last: bool) -> String {
        let mut script = format!("{FUNCTIONS}begin {}\n", quote(known));
        let macs: Vec<String> = self.nics.iter().map(|nic| nic.mac.to_string()).collect();
        let macs = macs.join(" ");
        // Here and below: writing to a string cannot fail.
        if !last {
            let _ = writeln!(script, "need_cards {macs}");
        }
        let _ = writeln!(script, "claim_cards {macs}");
        if with_cards {
            for (number, station) in self.own_cards() {
                let (v4, v6) = (Station::IPV4_PREFIX, Station::IPV6_PREFIX);
                let Station { mac, ipv4, ipv6, .. } = station;
                let _ = writeln!(script, "set_card {mac} eth{number} {ipv4}/{v4} {ipv6}/{v6}");
            }
        }
        let hosts = hosts(&self.context.stations, self.name());
        let _ = writeln!(script, "set_host_name {}\nset_hosts {}", quote(self.name()), quote(&hosts));
        script
    }

    /// The guest's cards with their numbers, the last one first: a card can take the name of the one behind it
    /// when that one has its own.
    fn own_cards(&self) -> impl Iterator<Item = (usize, &Station)> {
        let stations = &self.context.stations;
        let own = |vlan| stations.iter().find(|it| it.vlan == vlan && it.machine == self.name());
        let cards: Vec<_> =
            (1..).zip(&self.nics).filter_map(|(number, nic)| Some((number, own(nic.vlan)?))).collect();
        cards.into_iter().rev()
    }

    /// The cards as the agent wants them.
    fn cards(&self) -> impl Iterator<Item = Card> {
        self.own_cards().map(|(number, station)| Card {
            mac: station.mac.0,
            name: format!("eth{number}"),
            addresses: vec![
                (station.ipv4.into(), Station::IPV4_PREFIX),
                (station.ipv6.into(), Station::IPV6_PREFIX),
            ],
        })
    }
}

/// The lines of `/etc/hosts` of the machine `me`. A machine's name leads to it on the first VLAN that both are
/// on, and if there is none, to its first; `NAME.vlan2` leads to it there.
fn hosts(stations: &[Station], me: &str) -> String {
    let mine: Vec<u32> = stations.iter().filter(|it| it.machine == me).map(|it| it.vlan).collect();
    let mut machines: BTreeMap<&str, Vec<&Station>> = BTreeMap::new();
    for station in stations {
        machines.entry(&station.machine).or_default().push(station);
    }
    let mut text = String::new();
    for (machine, there) in machines {
        let shared = mine.iter().find_map(|vlan| there.iter().find(|it| it.vlan == *vlan));
        let nearest = shared.or(there.first()).map(|it| it.vlan);
        for station in there {
            let vlan = station.vlan;
            let plain = if nearest == Some(vlan) { format!("{machine} ") } else { String::new() };
            for address in [IpAddr::from(station.ipv4), IpAddr::from(station.ipv6)] {
                // Writing to a string cannot fail.
                let _ = writeln!(text, "{address} {plain}{machine}.vlan{vlan}");
            }
        }
    }
    text
}

#[cfg(test)]
mod tests;
