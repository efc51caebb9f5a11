//! Cards on VLANs: a tap device in the container's network for each, and a task that carries frames between that and
//! the switch.

use std::fs::File;
use std::io;
use std::os::fd::AsFd as _;
use std::path::Path;

use driver_core::vlan::Nic;
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::UnixStream;
use tokio::net::unix::pipe::{Receiver, Sender};
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::task::JoinSet;

use crate::tap;

/// The longest frame, in bytes: what the switch takes at most is shorter.
const LONGEST: usize = 1 << 17;

/// The cards of a container. They are unplugged when this is dropped.
#[derive(Debug, Default)]
pub(crate) struct Cards {
    _carriers: JoinSet<()>,
}

impl Cards {
    /// Puts cards into the network of the process `pid`, as `eth1` and on, and plugs them in.
    pub(crate) async fn plug(pid: u32, nics: &[Nic]) -> io::Result<Self> {
        let mut carriers = JoinSet::new();
        if nics.is_empty() {
            return Ok(Self { _carriers: carriers });
        }
        let macs: Vec<[u8; 6]> = nics.iter().map(|nic| nic.mac.0).collect();
        let space = File::open(Path::new("/proc").join(pid.to_string()).join("ns/net"))?;
        for (nic, tap) in nics.iter().zip(make(space, macs).await?) {
            let (from_switch, to_switch) = UnixStream::connect(&nic.plug.stream).await?.into_split();
            // A pipe's end is made for any descriptor that can be polled; each read and each write is a frame.
            let from_card = Receiver::from_file_unchecked(tap.try_clone()?)?;
            let to_card = Sender::from_file_unchecked(tap)?;
            let vlan = nic.vlan;
            carriers.spawn(async move {
                let ended = tokio::select! {
                    ended = outward(from_card, to_switch) => ended,
                    ended = inward(from_switch, to_card) => ended,
                };
                tracing::debug!(vlan, ?ended, "a card of a container is unplugged");
            });
        }
        Ok(Self { _carriers: carriers })
    }
}

/// Makes the devices, on a thread that enters the other network and is not used for anything else.
async fn make(space: File, macs: Vec<[u8; 6]>) -> io::Result<Vec<File>> {
    let (send, made) = tokio::sync::oneshot::channel();
    std::thread::Builder::new().name("cards".to_owned()).spawn(move || {
        let entered = move_into_link_name_space(space.as_fd(), Some(LinkNameSpaceType::Network));
        let made = entered.map_err(io::Error::from).and_then(|()| {
            (1..).zip(macs).map(|(number, mac)| tap::make(&format!("eth{number}"), mac)).collect()
        });
        // Who does not wait any more has given the launch up.
        let _ = send.send(made);
    })?;
    made.await.map_err(io::Error::other)?
}

async fn outward(card: Receiver, mut switch: OwnedWriteHalf) -> io::Result<()> {
    let mut buffer = vec![0; 4 + LONGEST];
    loop {
        card.readable().await?;
        // Not `read`: that takes a short one, as each frame is, for the last of what is there.
        let length = match card.try_read(&mut buffer[4..]) {
            Ok(length) => length,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => continue,
            Err(error) => return Err(error),
        };
        let prefix = u32::try_from(length).map_err(io::Error::other)?;
        buffer[..4].copy_from_slice(&prefix.to_be_bytes());
        switch.write_all(&buffer[..4 + length]).await?;
    }
}

async fn inward(switch: OwnedReadHalf, mut card: Sender) -> io::Result<()> {
    let mut switch = BufReader::with_capacity(LONGEST, switch);
    let mut buffer = vec![0; LONGEST];
    loop {
        let length = switch.read_u32().await? as usize;
        let frame = buffer.get_mut(..length).ok_or_else(|| io::Error::other("a frame is too long"))?;
        switch.read_exact(frame).await?;
        // A card that is down takes nothing, as one whose plug is pulled.
        let _ = card.write(frame).await;
    }
}
