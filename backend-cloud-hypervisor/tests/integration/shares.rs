//! Shared directories as far as stand-ins go: each has a server, for as long as the machine runs.

use std::path::Path;

use driver_core::{Backend as _, MachineSpec, Share};
use serde_json::json;

use crate::stand_in::{backend, boot};
use crate::support::{Guest, Place, soon, within_limit};

fn spec(place: &Place, virtiofsd: &Path) -> MachineSpec {
    MachineSpec {
        shares: vec![Share { tag: "data".to_owned(), path: place.shared_dir() }],
        allow_reboot: true,
        options: json!({ "virtiofsd": virtiofsd }),
        ..place.spec(boot(place))
    }
}

#[tokio::test]
async fn each_directory_has_a_server_also_after_a_reboot_and_none_is_left() {
    within_limit(async {
        let place = Place::new();
        let server = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/stand-in-virtiofsd");
        let machine = place.launch(&backend(), &spec(&place, &server)).await.unwrap();
        let expected = format!("shared={0} data={0}\n", place.shared_dir().display());
        let mut shell = Guest::shell(machine.as_ref()).await;
        assert_eq!(shell.run("echo $SHARES").await, expected);
        machine.power().unwrap().reset(soon()).await.unwrap();
        shell.wait_for("Spawning backdoor root shell...\n", soon()).await;
        assert_eq!(shell.run("echo $SHARES").await, expected);
        machine.destroy().await;
        place.assert_nothing_left();
    })
    .await;
}

#[tokio::test]
async fn a_server_that_is_not_there_is_told_before_a_launch_and_one_that_fails_when_it_does() {
    within_limit(async {
        let place = Place::new();
        let error = backend().check(&spec(&place, Path::new("/nowhere/virtiofsd"))).await.unwrap_err();
        let error = error.to_string();
        assert!(error.contains("`/nowhere/virtiofsd`") && error.contains("copy_from_host()"), "{error}");
        let mut nothing = spec(&place, Path::new("false"));
        nothing.shares[0].path = "/nowhere/data".into();
        let error = backend().check(&nothing).await.unwrap_err().to_string();
        assert_eq!(error, "machine `web`: its share `/nowhere/data` is not a directory");
        let error =
            place.launch(&backend(), &spec(&place, Path::new("false"))).await.unwrap_err().to_string();
        assert!(error.contains("is gone: virtiofsd ended with exit status: 1"), "{error}");
        place.log.wait_until_released().await;
        place.assert_nothing_left();
    })
    .await;
}
