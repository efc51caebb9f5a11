//! Who may depend on whom: the protocol at the bottom, driver-core on it, the program on top, strangers between.

use cargo_metadata::MetadataCommand;

#[test]
fn siblings_are_strangers_and_driver_core_knows_but_the_protocol() {
    let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/../Cargo.toml");
    let metadata = MetadataCommand::new().manifest_path(manifest).no_deps().exec().unwrap();
    let members: Vec<&str> = metadata.packages.iter().map(|package| package.name.as_str()).collect();
    for package in &metadata.packages {
        let allowed: &[&str] = match package.name.as_str() {
            "agent-protocol" | "agent-binary" | "browser" | "test-skip" => &[],
            // What both ends of the guest's port speak.
            "driver-core" | "agent" => &["agent-protocol"],
            "plugin-abi" => &[],
            "plugin-sdk" => &["driver-core", "plugin-abi"],
            // The tests of the host load a plugin that is made with the SDK.
            "plugin-host" => &["driver-core", "plugin-abi", "plugin-sdk"],
            // As plugins that come from elsewhere.
            "plugin-local" | "plugin-ocr" => &["plugin-sdk"],
            // Those whose tests look at pages.
            "report" => &["driver-core", "browser"],
            // And at what the backends say of themselves.
            "integration-tests" => {
                &["driver-core", "browser", "backend-qemu", "backend-cloud-hypervisor", "backend-nspawn"]
            }
            // The program puts everything together, and so does a test in Rust.
            "cli" | "guestbook-in-rust" => &members,
            // What backends of hypervisors have in common.
            name if name.starts_with("backend-") && name != "backend-kit" => &["driver-core", "backend-kit"],
            "xtask" => &["backend-kit"],
            _ => &["driver-core"],
        };
        let ours = package.dependencies.iter().map(|dependency| dependency.name.as_str());
        for dependency in ours.filter(|name| members.contains(name) && *name != package.name.as_str()) {
            // Any test may be skipped.
            let is_allowed = dependency == "test-skip" || allowed.contains(&dependency);
            assert!(is_allowed, "`{}` must not know `{dependency}`", package.name);
        }
    }
}
