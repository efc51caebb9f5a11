//! What `innkeeper doctor` says of hosts that lack things.

use crate::Place;

#[test]
fn a_host_without_anything_is_unfit_and_told_what_to_install() {
    let place = Place::with(&[]);
    let said = crate::Said::of(place.program().arg("doctor").env("PATH", "/nowhere").output().unwrap());
    assert_eq!(said.status, Some(3), "{said:?}");
    for text in
        ["MISSING", "`qemu-system-x86`", "`qemu-utils`", "`python3`", "`perl`", "Tests cannot run here"]
    {
        assert!(said.stdout.contains(text), "{text:?} is missing in:\n{}", said.stdout);
    }
}

#[test]
fn json_says_the_same() {
    let place = Place::with(&[]);
    let text = place.run(&["doctor"]);
    let json = place.run(&["doctor", "--json"]);
    assert_eq!(text.status, json.status);
    let report: serde_json::Value = serde_json::from_str(&json.stdout).unwrap();
    assert_eq!(report["fit"], json.status == Some(0));
    for finding in report["findings"].as_array().unwrap() {
        assert!(
            text.stdout.contains(finding["name"].as_str().unwrap()),
            "{finding} is missing in:\n{}",
            text.stdout
        );
    }
}

#[test]
fn whether_vlans_can_have_devices_on_the_host_is_told() {
    let said = Place::with(&[]).run(&["doctor"]);
    let mut lines = said.stdout.lines().skip_while(|line| !line.contains("  tap  "));
    let tap = lines.next().expect("a line on tap devices");
    let way_out = lines.next().unwrap_or_default();
    assert!(tap.starts_with("ok") || way_out.contains("-> "), "{tap}\n{way_out}");
}

#[test]
fn what_the_other_hypervisor_needs_is_told_and_whom_it_concerns() {
    let place = Place::with(&[
        ("cloud-hypervisor", "#!/bin/sh\necho cloud-hypervisor v99.1.2\n"),
        ("virtiofsd", "#!/bin/sh\necho virtiofsd 1.2.3\n"),
        ("another", "#!/bin/sh\necho rust-hypervisor 1\n"),
    ]);
    for name in ["cloud-hypervisor", "virtiofsd", "another"] {
        let executable = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(place.path().join(name), executable).unwrap();
    }
    let doctor = |path: &str, program: &str| {
        let mut doctor = place.program();
        doctor.arg("doctor").env("PATH", path).env("CLOUD_HYPERVISOR", place.path().join(program));
        crate::Said::of(doctor.output().unwrap()).stdout
    };
    let said = doctor(&format!("{}:/usr/bin:/bin", place.path().display()), "cloud-hypervisor");
    for text in ["cloud-hypervisor v99.1.2", "KVM", "virtiofsd 1.2.3", "vhost-user"] {
        assert!(said.contains(text), "{text:?} is missing in:\n{said}");
    }
    let said = doctor("/nowhere", "another");
    assert!(
        said.contains("another program of that name; only machines with the backend cloud-hypervisor"),
        "{said}"
    );
}

#[test]
fn images_are_listed_by_name() {
    let place = Place::with(&[]);
    let image = place.path().join("cache/images/tiny");
    std::fs::create_dir_all(&image).unwrap();
    std::fs::write(image.join("image.toml"), "kernel = \"vmlinuz\"").unwrap();
    let said = place.run(&["doctor"]);
    assert!(said.stdout.lines().any(|line| line.contains("images") && line.ends_with("tiny")), "{said:?}");
}

#[test]
fn without_any_place_for_images_it_says_what_to_set() {
    let place = Place::with(&[]);
    let mut doctor = place.program();
    doctor.arg("doctor").env_remove("INNKEEPER_CACHE").env_remove("HOME");
    let said = crate::Said::of(doctor.output().unwrap());
    let images = said.stdout.lines().find(|line| line.contains("images")).unwrap_or_default();
    assert!(images.ends_with("no place to look"), "{said:?}");
    assert!(said.stdout.contains("-> set HOME, or INNKEEPER_IMAGES"), "{said:?}");
}
