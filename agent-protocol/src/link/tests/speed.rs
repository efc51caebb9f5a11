//! How fast a link is by itself.

use std::time::Instant;

use super::*;

/// `cargo test --release -p agent-protocol speed -- --ignored --nocapture`
#[test]
#[ignore = "a measurement"]
#[expect(clippy::print_stdout, reason = "prints the measurement")]
fn speed() {
    let (mut host, mut guest) = pair();
    let start = Instant::now();
    let chunk = vec![42; 16 << 10];
    let (count, mut sent, mut taken) = (32 << 10, 0, 0);
    while taken < count {
        while sent < count && guest.backlog() < 128 << 10 {
            guest.send(&chunk);
            sent += 1;
        }
        host.receive(&guest.outgoing(ms(40)), ms(40));
        taken += messages(&mut host).len();
        guest.receive(&host.outgoing(ms(40)), ms(40));
    }
    let seconds = start.elapsed().as_secs_f64();
    println!("bulk to the host: {:.0} MB/s", (count * chunk.len()) as f64 / seconds / 1e6);

    let (start, count) = (Instant::now(), 1_000_000);
    for _ in 0..count {
        host.send(b"0123456789");
        guest.receive(&host.outgoing(ms(50)), ms(50));
        let request = guest.message().unwrap();
        guest.send(&request);
        host.receive(&guest.outgoing(ms(50)), ms(50));
        host.message().unwrap();
    }
    let seconds = start.elapsed().as_secs_f64();
    println!("requests with answers: {:.0} frames/s", 2.0 * f64::from(count) / seconds);
}
