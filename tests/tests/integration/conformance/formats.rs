//! The log's forms: lines, XML, JUnit, the page; and what Nix asks of the program.

use std::fs;

use super::stage::{Row, Stage, check};

const SCRIPT: &str = "start_all()\nserver.connect()\nwith subtest('good'):\n    server.succeed('echo \"<&>\" >&2; true')\n\
                      try:\n    with subtest('bad'):\n        server.fail('true')\nexcept Exception:\n    pass\n\
                      server.screenshot('shot')\n";

pub(super) fn rows() -> Vec<Row> {
    vec![
        check("5.1 lines on standard error, coloured always", || {
            let said = Stage::new("server.log('plain')\nserver.succeed('echo s >&2')\nprint('printed')").run(&[]).ended(0);
            for line in [
                "server: plain\n",
                "server: \u{1b}[1m\u{1b}[32mmust succeed: echo s >&2\u{1b}[0m\n",
                "\u{1b}[2mserver # s\u{1b}[0m\n",
                "\u{1b}[1m\u{1b}[32mrun the VM test script\u{1b}[0m\n",
            ] {
                assert!(said.stderr.contains(line), "no {line:?} in {}", said.stderr);
            }
            assert!(said.stdout.ends_with("printed\n"), "{}", said.stdout);
        }),
        check("5.1 what guests print", || {
            let said = Stage::new("server.succeed(r\"printf '\\033[31mred' >&2\")").run(&[]).ended(0);
            assert!(said.stderr.contains("server # \\u{1b}[31mred"), "{}", said.stderr);
        })
        .differs("control characters are written out, so that a guest cannot recolour or overwrite the log"),
        check("5.2 `LOGFILE`: elements, attributes, ends of nests", || {
            let stage = Stage::new(SCRIPT);
            stage.run(&[]).ended(0);
            let xml = stage.log_xml();
            for part in [
                "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<logfile>",
                "<nest><head>start all VLans</head>",
                "<nest><head machine=\"server\">must succeed: echo \"&lt;&amp;&gt;\" &gt;&amp;2; true</head>",
                "<line machine=\"server\" type=\"serial\">&lt;&amp;&gt;</line>",
                "<nest><head>subtest: good</head>",
                "<head machine=\"server\" image=\"shot.png\">making screenshot ",
                "<line>(finished: subtest: good, in ",
                "</nest></logfile>\n",
            ] {
                assert!(xml.contains(part), "no `{part}` in {xml}");
            }
        }),
        check("5.2 the document is closed and written at once", || {
            let script = "server.log('before')\nimport time\n\
                          while 'before' not in open(os.environ['LOGFILE']).read(): time.sleep(0.01)\n\
                          import xml.dom.minidom as dom\ndom.parse(os.environ['LOGFILE'])\n\
                          os.kill(os.getppid(), 9)\n";
            let stage = Stage::new(script);
            let said = stage.finish({
                let mut command = stage.command();
                command.args(["-c", "conformance-config.json", "--without-agent"]);
                command
            });
            assert_eq!(said.status, None, "{}", said.stderr);
            assert!(stage.log_xml().ends_with("</nest></logfile>\n"), "{}", stage.log_xml());
        })
        .differs("also after `kill -9`; the NixOS driver never closes it"),
        check("5.2 `LOGFILE=/dev/null`", || {
            let stage = Stage::new("pass");
            let mut command = stage.command();
            command.args(["-c", "conformance-config.json"]).env("LOGFILE", "/dev/null");
            stage.finish(command).ended(0);
        }),
        check("5.3, 5.4 JUnit: suite `NixOS integration test`, `main` and the subtests, times, failures", || {
            let stage = Stage::new(SCRIPT);
            stage.run(&["--junit-xml", "junit.xml"]).ended(0);
            let xml = fs::read_to_string(stage.out().join("junit.xml")).expect("what the stage has made");
            for part in [
                "<testsuite name=\"NixOS integration test\" tests=\"3\"",
                "<testcase name=\"main\"",
                "<testcase name=\"good\"",
                "<testcase name=\"bad\"",
                "<failure message=",
                "<system-out>",
            ] {
                assert!(xml.contains(part), "no `{part}` in {xml}");
            }
        }),
        check("5.3, 5.4 JUnit: messages", || {})
            .differs("`failure` says what failed instead of `test case failed`, and what kept the test from a result is an \
                      `error`"),
        check("7.5 `log.html`, `logfile.css`, `treebits.js`, `nix-support/hydra-build-products`: with `--with-log-html`", || {
            let stage = Stage::new(SCRIPT);
            stage.run(&["--with-log-html"]).ended(0);
            let page = fs::read_to_string(stage.out().join("log.html")).expect("what the stage has made");
            for part in [
                "<h1>VM build log</h1>",
                "class=\"logTreeExpandAll\"",
                "class=\"logTreeToggle\">-</a> <code>run the VM test script</code>",
                "<code class=\"serial\"><span class=\"machine\">server# </span>&lt;&amp;&gt;</code>",
                "class=\"errorLine\"",
                "<ul class=\"vmScreenshots\">\n<li><a href=\"./shot.png\">shot.png</a></li>",
            ] {
                assert!(page.contains(part), "no `{part}` in {page}");
            }
            let products = fs::read_to_string(stage.out().join("nix-support/hydra-build-products")).expect("what the stage has made");
            let out = fs::canonicalize(stage.out()).expect("what the stage has made");
            assert_eq!(products, format!("report testlog {} log.html\n", out.display()));
            assert!(stage.out().join("logfile.css").exists() && stage.out().join("treebits.js").exists());
        })
        .differs("no library beside it, and what led to an error is open"),
        check("5 a result directory of innkeeper's besides: `--with-report DIR`", || {
            let stage = Stage::new(SCRIPT);
            stage.run(&["--with-report", "result"]).ended(0);
            assert!(stage.path().join("result/report.html").exists());
        })
        .differs("not in the NixOS driver"),
        check("6.2 no writable home, no terminal, the working directory is the build's", || {
            let stage = Stage::new("pass");
            let mut command = stage.command();
            command.args(["-c", "conformance-config.json"]).env("HOME", "/homeless-shelter").env_remove("TERM");
            stage.finish(command).ended(0);
        }),
        check("6.1 types for `mypy`: the package has `py.typed` and stubs", || {
            let package = concat!(env!("CARGO_MANIFEST_DIR"), "/../script/python/");
            for file in ["test_driver/py.typed", "innkeeper/py.typed", "innkeeper/machine.pyi"] {
                assert!(fs::exists(format!("{package}{file}")).expect("what the stage has made"), "{file}");
            }
        }),
        check("7. The driver in Perl, until 2019", || {}).differs("docs/compatibility-perl.md is its table"),
    ]
}
