//! The two clients against the table of verbs, and the Python client against old Pythons.

use std::path::Path;

use driver_core::verbs;

use crate::support::run;

#[tokio::test]
async fn every_verb_is_there_in_both_languages() {
    let mut python = Vec::new();
    let mut perl = Vec::new();
    for verb in verbs::table() {
        let (name, camel) = (verb.name, camel(verb.name));
        let (object, invocant) = match verb.target {
            verbs::Target::Machine => ("server.", "$server"),
            verbs::Target::Run => ("", "main"),
            verbs::Target::Vlan => ("vlan1.", "$vlan1"),
        };
        python.push(format!("assert callable({object}{name})"));
        perl.push(format!("{invocant}->can('{camel}') or die '{camel}';"));
    }
    run("names.py", &python.join("\n")).await.passed();
    run("names.pl", &perl.join("\n")).await.passed();
}

#[tokio::test]
async fn the_text_on_the_screen_is_a_list_in_both_languages() {
    let python = "server.start()\nserver.wait_for_text(r'(?i)LOGIN')\n\
                  assert server.get_screen_text() == 'login:\\n'\n\
                  assert server.get_screen_text_variants() == ['login:\\n']\n";
    run("text.py", python).await.passed();
    let perl = "$server->start;\n$server->waitForText(qr/LOGIN/i);\n\
                die unless $server->getScreenText eq \"login:\\n\";\n\
                die unless join('|', $server->getScreenTextVariants) eq \"login:\\n\";\n";
    run("text.pl", perl).await.passed();
}

/// A verb's name in Perl.
pub(crate) fn camel(name: &str) -> String {
    let mut words = name.split('_');
    let first = words.next().unwrap_or_default().to_owned();
    words.fold(first, |name, word| match word {
        "tty" => name + "TTY",
        word => name + &word[..1].to_uppercase() + &word[1..],
    })
}

#[tokio::test]
async fn the_python_client_keeps_to_python_3_9() {
    let package = Path::new(env!("CARGO_MANIFEST_DIR")).join("python");
    let text = format!(
        "import ast, pathlib\n\
         files = sorted(pathlib.Path({package:?}).rglob('*.py'))\n\
         assert len(files) > 5\n\
         for file in files:\n    ast.parse(file.read_text(), str(file), feature_version=(3, 9))\n"
    );
    run("grammar.py", &text).await.passed();
}
