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

#[tokio::test]
async fn places_and_regions_are_the_same_in_both_languages() {
    let python = "server.start()\n\
                  login = {'text': 'ogin', 'x': 16, 'y': 16, 'width': 32, 'height': 16}\n\
                  assert server.find_text('[og]+in') == [login], server.find_text('[og]+in')\n\
                  assert server.find_text('nothing', region=login) == []\n\
                  assert server.find_text('login', [0, 0, 64, 32])[0]['x'] == 8\n\
                  assert server.check_screen('login-prompt')['click'] == [32, 16]\n\
                  try:\n    server.find_text('x', region=(1, 2))\n\
                  except TypeError as error:\n    assert 'expected a region (x, y, width, height)' in str(error)\n\
                  else:\n    raise AssertionError('two numbers are no region')\n";
    run("places.py", python).await.passed();
    let perl = "$server->start;\nmy ($login) = @{ $server->findText(qr/[og]+in/) };\n\
                die unless $login->{text} eq 'ogin' && $login->{x} == 16 && $login->{width} == 32;\n\
                die if @{ $server->findText('nothing', { region => $login }) };\n\
                die unless $server->findText('login', { region => [0, 0, 64, 32] })->[0]{x} == 8;\n\
                die unless $server->checkScreen('login-prompt')->{click}[0] == 32;\n\
                die unless !eval { $server->findText('x', { region => [1, 2] }); 1 } && $@ =~ /expected a region/;\n";
    run("places.pl", perl).await.passed();
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
