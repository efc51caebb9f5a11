//! The guestbook service, tested from Rust: a virtual machine, and no script language.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use backend_qemu::Qemu;
use driver_core::{Driver, DriverConfig, Image, Journal, MachineConfig, TestResult};

const PATIENCE: Duration = Duration::from_secs(5 * 60);

/// A run with one machine. Its log, `junit.xml` and screenshots go to a directory beside the build.
fn guestbook() -> Result<DriverConfig, Box<dyn std::error::Error + Send + Sync>> {
    let results = Path::new(env!("CARGO_TARGET_TMPDIR")).join("guestbook-in-rust");
    fs::create_dir_all(&results)?;
    let journal = Journal::create(&results.join(report::EVENTS), report::file_views(&results)?)?;
    let server = MachineConfig::new("server", Arc::new(Qemu::new()), Image::named("guestbook")?);
    Ok(DriverConfig {
        machines: vec![server],
        agent: agent_binary::AGENT,
        ..DriverConfig::new(results, journal)
    })
}

#[tokio::test]
async fn a_post_is_shown() -> TestResult {
    Driver::test("a post is shown", guestbook()?, async |driver| {
        let server = driver.node("server").expect("the machine above");
        server.wait_for_unit("nginx.service", None, PATIENCE).await?;
        server.wait_for_open_port(80, "localhost", PATIENCE).await?;

        let posts = server.succeed(&["curl --fail --silent localhost"], None).await?;
        assert_eq!(posts, "", "it starts out with no posts");

        driver
            .subtest("a post is shown", async {
                let post = "curl --fail --silent -F 'text=hello from rust' localhost | grep Thanks";
                server.succeed(&[post], None).await?;
                server.succeed(&["curl --fail --silent localhost | grep 'hello from rust'"], None).await
            })
            .await?;
        server.screenshot("guestbook").await?;
        Ok(())
    })
    .await
}
