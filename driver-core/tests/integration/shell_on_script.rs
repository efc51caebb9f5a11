//! The guest shell against a peer that says what a bash in trouble would: stray bytes, half replies, reboots.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use driver_core::{Deadline, DriverError, GREETING, Shell};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, DuplexStream};

fn soon() -> Deadline {
    Deadline::after(Duration::from_secs(5))
}

/// The guest's side of the stream, played by a test.
struct Guest {
    stream: BufReader<DuplexStream>,
}

impl Guest {
    /// A shell and its guest, and what the shell has heard besides replies.
    fn new() -> (Shell, Self, Arc<Mutex<Vec<u8>>>) {
        let (near, far) = tokio::io::duplex(4096);
        let heard = Arc::new(Mutex::new(Vec::new()));
        let ear = Arc::clone(&heard);
        let listen = move |bytes: &[u8]| ear.lock().expect("not poisoned").extend_from_slice(bytes);
        (Shell::open("server", Box::new(near), listen), Self { stream: BufReader::new(far) }, heard)
    }

    async fn say(&mut self, text: &str) {
        self.stream.get_mut().write_all(text.as_bytes()).await.expect("the shell listens");
    }

    async fn greet(&mut self) {
        self.say(&format!("{GREETING}\n")).await;
    }

    async fn line(&mut self) -> String {
        let mut line = String::new();
        self.stream.read_line(&mut line).await.expect("a line");
        line
    }

    /// Reads a request, and returns the tag of its reply.
    async fn request(&mut self) -> String {
        let line = self.line().await;
        let (tag, _) = line.strip_prefix("t=").and_then(|rest| rest.split_once(';')).expect("a tag");
        tag.to_owned()
    }

    /// Answers the next request; `sent` arrives of the output's only piece, which dd counts as `counted`.
    async fn answer_with(&mut self, sent: &str, counted: usize, status: i32) {
        let tag = self.request().await;
        self.say(&format!("{tag}[{}", piece(&tag, sent, counted))).await;
        assert_eq!(self.line().await, "\n", "no more is asked for");
        self.say(&format!("]{tag} {status}\n")).await;
    }

    /// Answers the next request.
    async fn answer(&mut self, body: &str, status: i32) {
        self.answer_with(body, body.len(), status).await;
    }
}

/// A piece of output as the guest sends it.
fn piece(tag: &str, sent: &str, counted: usize) -> String {
    format!("{sent}0+1 records in\n0+1 records out\n{counted} bytes copied, 1e-05 s\n]{tag}?\n")
}

fn text(heard: &Mutex<Vec<u8>>) -> String {
    String::from_utf8(heard.lock().expect("not poisoned").clone()).expect("UTF-8")
}

#[tokio::test(start_paused = true)]
async fn the_greeting_is_waited_for_and_no_longer_than_allowed() {
    let (shell, mut guest, heard) = Guest::new();
    guest.say("SeaBIOS\nSpawning back").await;
    let error = shell.ready(soon()).await.unwrap_err().to_string();
    assert!(error.contains("greeting of the guest's shell did not happen within 5s"), "{error}");
    let error = shell.run("true", None, soon()).await.unwrap_err().to_string();
    assert!(error.contains("`true`") && error.contains("no greeting"), "{error}");
    guest.say("door root shell...").await;
    shell.ready(soon()).await.unwrap();
    assert_eq!(text(&heard), format!("SeaBIOS\n{GREETING}"));
}

#[tokio::test(start_paused = true)]
async fn stray_bytes_before_a_reply_are_passed_on() {
    let (shell, mut guest, heard) = Guest::new();
    guest.greet().await;
    shell.ready(soon()).await.unwrap();
    let (output, ()) = tokio::join!(shell.run("echo hi", None, soon()), async {
        let tag = guest.request().await;
        // A terminal that echoes, a kernel that complains, a prompt, and bytes that come one by one.
        guest.say("t=innkeeper-0-0; bash-5.2# [  1.0] oops]").await;
        for byte in format!("{tag}[{}", piece(&tag, "hi\n", 3)).chars() {
            guest.say(&byte.to_string()).await;
        }
        guest.line().await;
        guest.say(&format!("[  2.0] late\n]{tag} 0\n")).await;
    });
    let output = output.unwrap();
    assert_eq!((output.status, output.stdout), (0, b"hi\n".to_vec()));
    assert!(text(&heard).ends_with("bash-5.2# [  1.0] oops][  2.0] late\n"), "{}", text(&heard));
}

#[tokio::test(start_paused = true)]
async fn a_flood_outside_of_replies_is_cut() {
    let (shell, mut guest, heard) = Guest::new();
    guest.greet().await;
    let flood = "all work and no play ".repeat(1000);
    for _ in 0..100 {
        guest.say(&flood).await;
    }
    let (output, ()) = tokio::join!(shell.run("next", None, soon()), guest.answer("", 0));
    assert_eq!(output.unwrap().status, 0);
    let heard = text(&heard);
    assert!(heard.len() < 1_100_000 && heard.ends_with("(and more, which is not shown)"), "{}", heard.len());
}

#[tokio::test(start_paused = true)]
async fn bytes_in_the_middle_of_a_reply_spoil_that_reply_only() {
    let (shell, mut guest, _) = Guest::new();
    guest.greet().await;
    for (sent, counted) in
        [("hi[ 12.3] usb: new device\n", 2), ("h", 2), ("", 1), ("hi\u{0}", 2), ("hi]innkeeper-", 2)]
    {
        let (output, ()) =
            tokio::join!(shell.run("cat it", None, soon()), guest.answer_with(sent, counted, 0));
        let error = output.unwrap_err().to_string();
        assert!(error.contains("lost bytes of a reply") && error.contains("`cat it`"), "{sent:?}: {error}");
        let (output, ()) = tokio::join!(shell.run("next", None, soon()), guest.answer("hi\n", 3));
        let output = output.unwrap();
        assert_eq!((output.status, output.stdout), (3, b"hi\n".to_vec()));
    }
}

#[tokio::test(start_paused = true)]
async fn a_reboot_in_the_middle_of_a_command_ends_it_at_once() {
    for body in ["", "half a line", "half a line]", "hi0+1 records"] {
        let (shell, mut guest, _) = Guest::new();
        guest.greet().await;
        let (output, ()) = tokio::join!(shell.run("reboot", None, Deadline::far()), async {
            let tag = guest.request().await;
            guest.say(&format!("{tag}[{body}")).await;
            guest.greet().await;
        });
        let error = output.unwrap_err();
        assert!(matches!(error, DriverError::Shell { .. }), "{error}");
        assert!(error.to_string().contains("the guest rebooted (while running `reboot`)"), "{error}");
        // Whoever had asked for the reboot gets the new shell, whether it says so now or not.
        shell.reset();
        shell.ready(soon()).await.unwrap();
        let (output, ()) = tokio::join!(shell.run("next", None, soon()), guest.answer("", 0));
        assert_eq!(output.unwrap().status, 0);
    }
}

#[tokio::test(start_paused = true)]
async fn after_a_reset_all_is_stale_up_to_the_next_greeting() {
    let (shell, mut guest, heard) = Guest::new();
    guest.greet().await;
    shell.ready(soon()).await.unwrap();
    let task = tokio::spawn({
        let shell = shell.clone();
        async move { shell.run("poweroff", None, Deadline::far()).await }
    });
    let tag = guest.request().await;
    shell.reset();
    let error = task.await.unwrap().unwrap_err().to_string();
    assert!(error.contains("reset") && error.contains("`poweroff`"), "{error}");
    assert!(!shell.is_ready());

    guest.say(&format!("{tag}[{}]{tag} 0\nStopping...\n", piece(&tag, "", 0))).await;
    assert!(matches!(shell.ready(soon()).await, Err(DriverError::Timeout { .. })));
    guest.greet().await;
    shell.ready(soon()).await.unwrap();
    let (output, ()) = tokio::join!(shell.run("next", None, soon()), guest.answer("", 0));
    assert_eq!(output.unwrap().status, 0);
    assert!(text(&heard).contains("Stopping..."));
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_ends_in_the_middle_names_the_command() {
    let (shell, mut guest, _) = Guest::new();
    guest.greet().await;
    let queued = shell.clone();
    let (output, next, ()) = tokio::join!(
        shell.run("sleep 600", None, Deadline::far()),
        queued.run("second", None, Deadline::far()),
        async move {
            let tag = guest.request().await;
            guest.say(&format!("{tag}[half")).await;
        }
    );
    for (result, command) in [(output, "sleep 600"), (next, "second")] {
        let error = result.unwrap_err().to_string();
        let expected =
            format!("machine `server`: the guest shell was closed by the guest (while running `{command}`)");
        assert_eq!(error, expected);
    }
}

#[tokio::test(start_paused = true)]
async fn a_command_that_was_given_up_before_its_turn_is_never_sent() {
    let (shell, mut guest, _) = Guest::new();
    guest.greet().await;
    let (first, second, third, ()) = tokio::join!(
        shell.run("first", None, Deadline::far()),
        shell.run("second", None, soon()),
        shell.run("third", None, Deadline::far()),
        async {
            let tag = guest.request().await;
            tokio::time::advance(Duration::from_secs(6)).await;
            guest.say(&format!("{tag}[{}", piece(&tag, "", 0))).await;
            guest.line().await;
            guest.say(&format!("]{tag} 1\n")).await;
            guest.answer("", 3).await;
        }
    );
    assert_eq!(first.unwrap().status, 1);
    let error = second.unwrap_err().to_string();
    assert!(error.contains("`second`") && error.contains("still busy with `first`"), "{error}");
    assert_eq!(third.unwrap().status, 3);
}

#[tokio::test(start_paused = true)]
async fn a_guest_that_never_stops_printing_is_left_at_the_deadline() {
    let (shell, mut guest, _) = Guest::new();
    guest.greet().await;
    let talking = tokio::spawn(async move {
        let tag = guest.request().await;
        guest.say(&format!("{tag}[")).await;
        loop {
            guest.say("all work and no play ").await;
            tokio::time::advance(Duration::from_millis(1)).await;
        }
    });
    let error = shell.run("yes", None, soon()).await.unwrap_err();
    assert!(matches!(error, DriverError::Timeout { .. }), "{error}");
    talking.abort();
}

#[tokio::test(start_paused = true)]
async fn long_output_comes_in_pieces_that_are_asked_for() {
    let (shell, mut guest, _) = Guest::new();
    guest.greet().await;
    let full = "x".repeat(64 << 10);
    let (output, ()) = tokio::join!(shell.run("long", None, soon()), async {
        let tag = guest.request().await;
        guest.say(&format!("{tag}[{}", piece(&tag, &full, full.len()))).await;
        assert_eq!(guest.line().await, "1\n");
        guest.say(&piece(&tag, "end", 3)).await;
        assert_eq!(guest.line().await, "\n");
        guest.say(&format!("]{tag} 0\n")).await;
    });
    assert_eq!(output.unwrap().stdout.len(), full.len() + 3);
}

#[tokio::test(start_paused = true)]
async fn a_command_may_print_the_greeting() {
    let (shell, mut guest, _) = Guest::new();
    guest.greet().await;
    let body = format!("{GREETING}\n{GREETING}");
    let (output, ()) = tokio::join!(shell.run("cat backdoor", None, soon()), guest.answer(&body, 0));
    assert_eq!(output.unwrap().stdout, body.as_bytes());
}
