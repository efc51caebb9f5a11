//! The facet `network`, as far as it needs no guest.

use std::net::TcpListener;

use driver_core::Boot;

use crate::support::{Place, qemu, soon, within_limit};

/// A machine whose first card leads outside, and whose second is on a VLAN; nothing boots.
const SCRIPT: &str = "qemu-system-x86_64 -nodefaults -S \
    -netdev user,id=user.0 -device virtio-net-pci,netdev=user.0 \
    -netdev hubport,id=vlan1,hubid=0 -device virtio-net-pci,netdev=vlan1";

#[tokio::test]
async fn the_second_card_of_a_start_script_is_the_one_on_a_vlan() {
    within_limit(async {
        let Some(backend) = qemu().await else { return };
        let place = Place::new();
        let spec = place.spec(Boot::StartScript { command: SCRIPT.to_owned() });
        let machine = place.launch(&backend, &spec).await.unwrap();
        let network = machine.network().unwrap();
        network.set_link(false, soon()).await.unwrap();
        network.set_link(true, soon()).await.unwrap();
        machine.destroy().await;

        let command = "qemu-system-x86_64 -nodefaults -S".to_owned();
        let machine = place.launch(&backend, &place.spec(Boot::StartScript { command })).await.unwrap();
        let error = machine.network().unwrap().set_link(false, soon()).await.unwrap_err().chain();
        assert!(error.contains("failed to pull its network's plug"), "{error}");
        assert!(error.contains("virtio-net-pci.1"), "{error}");
        machine.destroy().await;
        place.assert_nothing_left();
    })
    .await;
}

#[tokio::test]
async fn a_port_is_forwarded_on_the_loopback_unless_it_is_taken() {
    within_limit(async {
        let Some(backend) = qemu().await else { return };
        let place = Place::new();
        let spec = place.spec(Boot::StartScript { command: SCRIPT.to_owned() });
        let machine = place.launch(&backend, &spec).await.unwrap();
        let network = machine.network().unwrap();
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = taken.local_addr().unwrap().port();
        let error = network.forward_port(port, 80, soon()).await.unwrap_err().chain();
        assert!(error.contains(&format!("failed to forward port {port} of the host: ")), "{error}");
        drop(taken);
        network.forward_port(port, 80, soon()).await.unwrap();
        let forwards = machine.monitor().unwrap().command("info usernet", soon()).await.unwrap();
        assert!(forwards.contains("127.0.0.1") && forwards.contains(&port.to_string()), "{forwards}");
        machine.destroy().await;
        place.assert_nothing_left();
    })
    .await;
}
