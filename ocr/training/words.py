"""Text such as screens show: words of a public-domain list, and a grammar of prompts, logs, paths and dialogs.

Every choice comes from the generator's seed. What it says makes no sense; it only looks right.
"""

import glob
import os
import string

from chars import ALPHABET, BLOCKS, LATIN1, LATIN_MORE, LINES, MARKS, TYPOGRAPHY

LETTERS = string.ascii_letters + string.digits
PUNCTUATION = string.punctuation
ACCENTED = {"a": "àáâãäåæ", "c": "ç", "e": "èéêë", "i": "ìíîï", "n": "ñ", "o": "òóôõöøœ", "s": "šß", "u": "ùúûü", "y": "ýÿ",
            "z": "ž", "d": "ð", "t": "þ", "A": "ÀÁÂÃÄÅÆ", "C": "Ç", "E": "ÈÉÊË", "I": "ÌÍÎÏ", "N": "Ñ", "O": "ÒÓÔÕÖØŒ",
            "S": "Š", "U": "ÙÚÛÜ", "Y": "ÝŸ", "Z": "Ž", "D": "Ð", "T": "Þ"}
FOREIGN = """für über Größe öffnen schließen zurück Übernehmen Schlüssel können möchten wählen Änderungen löschen Gerät verfügbar
ausführen Straße weiß heiß müssen würde Fußzeile Menü Bestätigung ungültig später früher grün Österreich Zürich
été élève fichier déjà créé où ça français modèle système réseau clé paramètres sélectionner précédent fenêtre être même
annuler répertoire supprimer début différence accès terminé échec données utilisé hôte île naïf Noël cœur sœur œuvre
español mañana año señal contraseña configuración página información sesión aquí según también está más teléfono ¿Cuál?
¡Atención! código fácil difícil público día país niño corazón pingüino versión opción instalación número último
português não são então configuração ação língua coração será você opções português órgão três avó água à às
italiano perché città più però così già università qualità lunedì può è caffè
svenska är på från för även små öppna stäng ändra välj å än sök lösenord användare räksmörgås ångra språk
dansk også når være på hænge søge åbne lukke gør først størrelse bruger fejl række
norsk språk størrelse brukernavn åpne går få måte første høyre løsning
íslenska þetta það við á í ég þú og ekki skrá opna loka nýtt síðan örugglega góðan daginn
suomi äiti yö kyllä päivä käyttäjä tämä työ sää hyvää yötä määritä tiedostojärjestelmä
nederlands één ideeën geïnstalleerd coördinatie financiën België kopiëren
čeština žluťoučký kůň škola žena dům život příští řešení""".split()
FOREIGN = [word for word in FOREIGN if all(char in ALPHABET for char in word)]
BUTTONS = """OK Cancel Apply Close Help Yes No Open Save Quit Next Back Finish Browse... Print Find Replace Undo Redo Cut Copy
Paste Delete Rename Properties Preferences Settings About Reload Stop Continue Retry Ignore Abort Connect Disconnect Login
Logout Restart Shutdown Install Remove Update Upgrade Edit View File Tools Window Format Insert Select Search Accept Decline
Terminal Activities Applications Places System Network Username Password Language Keyboard Display Sound Users Date Time""".split()
UNITS = "socket service target mount timer slice path device swap automount scope".split()
DONE = ["Started", "Stopped", "Starting", "Stopping", "Reached target", "Mounted", "Mounting", "Listening on", "Created slice",
        "Finished", "Found device", "Set up automount", "Activated swap", "Closed", "Unmounted", "Failed to start", "Dependency failed for"]
PROGRAMS = """apt bash cat chmod cp curl cut date dd df diff dmesg docker du echo env find free gcc git grep gzip head hostname id
install ip journalctl kill less ln login ls lsblk make man mkdir mount mv nano nginx nix openssl passwd perl ping podman ps python3
rm rsync sed sh sort ssh stat su sudo systemctl tail tar tee top touch tr uname vi vim wc wget which xargs xterm zcat""".split()
DIRECTORIES = "/ /usr /usr/bin /usr/lib /usr/share /etc /etc/systemd/system /var/log /var/lib /home /root /tmp /dev /proc /sys/class /run /opt /boot /nix/store /mnt ~ . ..".split()
ENDINGS = "txt conf service py rs c h md log json toml yml xml html css js png svg gz tar.gz deb so so.6 sh cfg desktop iso img qcow2 nix lock".split()
KERNEL = """pci usb acpi ata1.00 scsi sd virtio_net eth0 ens3 systemd[1] audit EXT4-fs random clocksource tsc loop vda e1000 input hid
PCI ACPI NET TCP cgroup devtmpfs Memory CPU0 smpboot x86/fpu BIOS-e820 printk Console serio rtc_cmos xhci_hcd i8042""".split()


class Words:
    """Makes texts."""

    def __init__(self, root, rng):
        self.rng = rng
        folder = os.path.join(root, "usr/share/dict/scowl")
        self.common = self.read(folder, ("english-words.10", "english-words.20", "english-words.35", "american-words.[1-3]*"))
        self.rare = self.read(folder, ("english-words.40", "english-words.50", "english-upper.*", "english-proper-names.*"))

    @staticmethod
    def read(folder, names):
        paths = sorted(path for name in names for path in glob.glob(os.path.join(folder, name)))
        words = [word.strip() for path in paths for word in open(path, encoding="latin-1")]
        # One in ten words of the lists is a possessive: too many.
        words = [word for word in words if all(char in ALPHABET for char in word) and not word.endswith("s's")]
        words = [word for number, word in enumerate(words) if word and (not word.endswith("'s") or number % 8 == 0)]
        assert words, f"no word list in {folder}: run fonts.sh"
        return words

    def word(self):
        rng = self.rng
        chance = rng.random()
        word = rng.choice(self.common if chance < 0.72 else self.rare if chance < 0.9 else FOREIGN)
        if rng.random() < 0.05:
            word = "".join(rng.choice(ACCENTED[char]) if char in ACCENTED and rng.random() < 0.5 else char for char in word)
        chance = rng.random()
        return word.upper() if chance < 0.05 and "ß" not in word and "ÿ" not in word else word.capitalize() if chance < 0.2 else word

    def plain(self):
        return "".join(self.rng.choice(string.ascii_lowercase) for _ in range(self.rng.randrange(2, 9)))

    def name(self):
        rng = self.rng
        words = [rng.choice(self.common).lower() for _ in range(rng.choice([1, 1, 1, 2, 2, 3]))]
        return rng.choice("-_.-").join(words).replace("'", "")

    def hex(self, count):
        return "".join(self.rng.choice("0123456789abcdef") for _ in range(count))

    def number(self):
        rng = self.rng
        digits = rng.randrange(10 ** rng.randrange(1, 9))
        return rng.choice([str(digits), f"{digits:,}", f"{digits / 100:.2f}", f"{digits / 10:.1f}", f"{digits % 1000:03}"])

    def path(self):
        rng = self.rng
        path = rng.choice(DIRECTORIES).rstrip("/") + "/" + "/".join(self.name() for _ in range(rng.choice([1, 1, 2, 3])))
        return path + (f".{rng.choice(ENDINGS)}" if rng.random() < 0.6 else "")

    def time(self):
        rng = self.rng
        hour, minute, second = rng.randrange(24), rng.randrange(60), rng.randrange(60)
        year, month, day = rng.randrange(1990, 2045), rng.randrange(1, 13), rng.randrange(1, 29)
        names = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split()
        days = "Mon Tue Wed Thu Fri Sat Sun".split()
        return rng.choice([f"{hour:02}:{minute:02}", f"{hour:02}:{minute:02}:{second:02}", f"{year}-{month:02}-{day:02}",
                           f"{names[month - 1]} {day:2} {hour:02}:{minute:02}:{second:02}", f"{day:02}.{month:02}.{year}",
                           f"{month}/{day}/{year}", f"{hour % 12 + 1}:{minute:02} {rng.choice(['AM', 'PM'])}",
                           f"{rng.choice(days)} {names[month - 1]} {day} {hour:02}:{minute:02}:{second:02} UTC {year}"])

    def sentence(self, count):
        rng = self.rng
        words = []
        for _ in range(count):
            chance = rng.random()
            words.append(self.number() if chance < 0.05 else self.path() if chance < 0.06 else self.word())
            chance = rng.random()
            if chance < 0.12:
                words[-1] += rng.choice([",", ",", ",", ".", ".", ":", ";", "?", "!", "…", ")", "..."])
            elif chance < 0.15:
                before, after = rng.choice(["()", "[]", "\"\"", "''", "“”", "‘’", "„“", "«»", "‹›", "``", "<>", "**", "__"])
                words[-1] = before + words[-1] + after
            elif chance < 0.165:
                words.append(rng.choice(["–", "—", "-", "-", "-", "-", "&", "+", "=", "→", "•", "·", "/", "|", "×", "*", "--", "±", "°", "©", "§"]))
        if rng.random() < 0.5:
            words[0] = words[0][:1].upper() + words[0][1:]
            words[-1] += rng.choice(["", ".", ".", ".", "?", "!", ":", "...", "…"])
        return " ".join(words)

    def shell(self):
        rng = self.rng
        options = " ".join(rng.choice([f"-{rng.choice(string.ascii_letters)}", f"--{self.name()}", f"--{self.name()}={self.name()}",
                                       self.path(), self.name(), self.number(), f"'{self.word()}'", f"\"${self.name().upper()}\""])
                           for _ in range(rng.randrange(4)))
        command = f"{rng.choice(PROGRAMS)} {options}".strip()
        if rng.random() < 0.25:
            command += rng.choice([f" | {rng.choice(PROGRAMS)}", f" > {self.path()}", " 2>&1", " &&", " &", f"; {rng.choice(PROGRAMS)}", " | grep -v '^#'"])
        host = rng.choice(["debian", "machine", "server", "client", "localhost", self.plain()])
        user = rng.choice(["root", "root", "alice", "bob", self.plain()])
        place = rng.choice(["~", "~", "/", self.path()])
        prompt = rng.choice([f"{user}@{host}:{place}{rng.choice('#$')} ", f"[{user}@{host}:{place}]$ ", "$ ", "# ", "> ", "", "bash-5.2# ", ">>> "])
        return prompt + command

    def log(self):
        rng = self.rng
        unit = f"{self.name()}.{rng.choice(UNITS)}"
        title = " ".join(self.word().capitalize() for _ in range(rng.randrange(1, 5)))
        return rng.choice([
            lambda: f"[{rng.uniform(0, 10 ** rng.randrange(1, 5)):12.6f}] {rng.choice(KERNEL)}: {self.sentence(rng.randrange(1, 7))}",
            lambda: f"[{rng.choice(['  OK  ', '  OK  ', 'FAILED', 'DEPEND', ' INFO '])}] {rng.choice(DONE)} {unit} - {title}.",
            lambda: f"[{rng.choice(['  OK  ', '  OK  ', 'FAILED'])}] {rng.choice(DONE)} {title}.",
            lambda: f"{self.time()} {self.plain()} {self.name()}[{rng.randrange(99999)}]: {self.sentence(rng.randrange(1, 8))}",
            lambda: f"{rng.choice('●○×')} {unit} - {title}",
            lambda: f"   {rng.choice(['Loaded', 'Active', 'Main PID', 'Tasks', 'Memory', 'CGroup', 'Docs', 'CPU'])}: {rng.choice(['active (running)', 'loaded', 'inactive (dead)', 'failed', self.number()])} since {self.time()}; {rng.randrange(60)}min ago",
            lambda: f"{rng.choice(['Get', 'Hit', 'Ign'])}:{rng.randrange(99)} http://{self.plain()}.org/{self.name()} {self.plain()}/main amd64 {self.name()} amd64 {self.version()} [{self.number()} kB]",
            lambda: f"{rng.choice(['Setting up', 'Unpacking', 'Selecting previously unselected package', 'Processing triggers for'])} {self.name()} ({self.version()}) ...",
            lambda: f"{rng.choice(['error', 'warning', 'Error', 'E', 'W', 'note', 'fatal', 'ERROR', 'WARN', 'INFO', 'DEBUG'])}: {self.sentence(rng.randrange(2, 8))}",
            lambda: f"{rng.choice(PROGRAMS)}: {rng.choice(['cannot access', 'cannot open', 'missing operand', 'invalid option --'])} '{self.path()}': {rng.choice(['No such file or directory', 'Permission denied', 'Is a directory', 'File exists'])}",
            lambda: f"{rng.choice('├└')}─{rng.randrange(99999)} {self.path()}",
        ])()

    def version(self):
        rng = self.rng
        return ".".join(str(rng.randrange(40)) for _ in range(rng.choice([2, 3, 3]))) + rng.choice(["", f"-{rng.randrange(9)}", f"+deb{rng.randrange(9, 14)}u{rng.randrange(9)}", "~rc1", "-rc2", f"+dfsg-{rng.randrange(9)}"])

    def data(self):
        rng = self.rng
        size = lambda: f"{rng.uniform(0, 1000):.{rng.randrange(3)}f}{rng.choice(['', ' '])}{rng.choice(['K', 'M', 'G', 'KiB', 'MiB', 'GiB', 'kB', 'MB', 'GB', 'B', 'T'])}"
        return rng.choice([
            lambda: f"{rng.choice('d-lbc')}{''.join(rng.choice('-' + bit) for bit in 'rwxrwxrwx')} {rng.randrange(99)} root {self.plain()} {rng.randrange(10 ** 6):7} {self.time()} {self.name()}.{rng.choice(ENDINGS)}",
            lambda: f"{self.hex(8)}-{self.hex(4)}-{self.hex(4)}-{self.hex(4)}-{self.hex(12)}",
            lambda: f"inet {'.'.join(str(rng.randrange(256)) for _ in range(4))}/{rng.randrange(33)} brd {'.'.join(str(rng.randrange(256)) for _ in range(4))} scope global {self.plain()}{rng.randrange(9)}",
            lambda: f"link/ether {':'.join(self.hex(2) for _ in range(6))} inet6 {self.hex(4)}::{self.hex(4)}:{self.hex(3)}/64",
            lambda: f"{rng.randrange(101)}% [{'#' * rng.randrange(20)}{'.' * rng.randrange(20)}] {size()}/s {self.time()}",
            lambda: f"{'█' * rng.randrange(1, 20)}{'░' * rng.randrange(12)} {rng.randrange(101)} %",
            lambda: f"/dev/{rng.choice(['sda', 'vda', 'nvme0n1p', 'loop'])}{rng.randrange(9)} {size()} {size()} {size()} {rng.randrange(101)}% {rng.choice(DIRECTORIES)}",
            lambda: f"https://{rng.choice(['www.', ''])}{self.plain()}.{rng.choice(['org', 'com', 'net', 'de', 'fr'])}/{self.name()}?{self.plain()}={self.number()}&{self.plain()}={self.hex(6)}#{self.plain()}",
            lambda: f"{self.plain()}.{self.plain()}@{self.plain()}.{rng.choice(['org', 'com', 'net'])}",
            lambda: f"{self.plain()}:x:{rng.randrange(9999)}:{rng.randrange(9999)}:{self.word()}:{self.path()}:/bin/{rng.choice(['sh', 'bash', 'false'])}",
            lambda: "  ".join(self.number() for _ in range(rng.randrange(2, 9))),
            lambda: " ".join(self.hex(2) for _ in range(rng.randrange(4, 17))),
            lambda: f"{self.number()} {rng.choice(['€', '£', '$', '¥', '%', '‰', '°C', 'µs', 'ms', 'm²', 'm³', 'Ω'])} {rng.choice(['±', '×', '÷', '≤', '≥', '≈', '≠', '½', '¼', '¾', '='])} {self.number()}",
            lambda: f"{self.hex(40)}  {self.path()}",
            lambda: f"{self.name()} {self.version()} {rng.choice(['amd64', 'all', 'arm64', 'x86_64'])} {self.sentence(3)}",
        ])()

    def code(self):
        rng = self.rng
        a, b, c = self.name().replace("-", "_").replace(".", "_"), self.plain(), self.plain()
        return rng.choice([
            f"if ({a}[{rng.randrange(99)}] != \"{self.word()}\" && !{b}->{c}) {{ return {self.number()}; }}",
            f"def {a}({b}, {c}={self.number()}):", f"    return {a}.{b}({c}) or [x for x in {b} if x]", f"let {a} = {b}::{c}(&{b}, {rng.randrange(99)})?;",
            f"pub fn {a}<'a>(&self, {b}: &'a str) -> Result<{c.title()}, Error> {{", f"for {b} in $({c} -l); do echo \"${{{b}}}\"; done",
            f"{a} = \"{self.sentence(2)}\"", f"\"{a}\": {{\"{b}\": {self.number()}, \"{c}\": [true, null]}},", f"<{b} class=\"{a}\">{self.word()}</{b}>",
            f"[{a}]", f"# {self.sentence(4)}", f"// {self.sentence(5)}", f"/* {self.sentence(4)} */", f"#include <{b}/{c}.h>", f"{a.upper()}={self.path()}",
            f"machine.succeed(\"{self.shell()}\")", f"{a} {{ {b}: {self.number()}px; {c}: #{self.hex(6)}; }}", f"{b} += {c} * ({a} - {rng.randrange(9)}) % {rng.randrange(99)}",
            f"{{ config, pkgs, ... }}: {{ {a}.enable = true; }}", f"s/{b}/{c}/g; {a}|{b}|{c}", f"x = ~({b} ^ 0x{self.hex(4)}) << {rng.randrange(9)};", f"@{b} \\{c} `{a}`"])

    def label(self):
        rng = self.rng
        words = " ".join(self.word() for _ in range(rng.randrange(1, 4)))
        return rng.choice([
            lambda: rng.choice(BUTTONS), lambda: " ".join(rng.choice(BUTTONS) for _ in range(rng.randrange(1, 6))), lambda: f"{rng.choice(BUTTONS)} {words}",
            lambda: f"{words}:", lambda: words.title(), lambda: f"<{rng.choice(BUTTONS)}>", lambda: f"[ {rng.choice(BUTTONS)} ]", lambda: f"{words}…", lambda: f"{words}...",
            lambda: f"{rng.choice(BUTTONS)} {rng.choice(['Ctrl', 'Alt', 'Shift', 'Super', 'Shift+Ctrl'])}+{rng.choice(string.ascii_uppercase + '0123456789')}",
            lambda: f"[{rng.choice('xX* ')}] {words}", lambda: f"({rng.choice('*o ')}) {words}", lambda: f"{rng.choice(MARKS)} {words}", lambda: f"• {words}", lambda: f"{rng.randrange(1, 30)}. {words}",
            lambda: f"{self.plain()} login:", lambda: "Password:", lambda: f"F{rng.randrange(1, 13)} {rng.choice(BUTTONS)}", lambda: self.time(), lambda: f"{self.time()}  {words}",
            lambda: f"© {rng.randrange(1990, 2045)} {words}", lambda: f"{words} ({self.number()})", lambda: f"{words} – {words}", lambda: f"{words} — {words}", lambda: words.upper()])()

    def drawn(self):
        """A row of a dialog or a table in line drawing characters."""
        rng = self.rng
        count = rng.randrange(2, 24)
        vertical, horizontal = rng.choice(["│─", "│─", "│─", "║═", "┃━"])
        text = self.sentence(rng.randrange(1, 6))
        return rng.choice([
            f"{vertical} {text} {vertical}", f"{vertical} {text}", f"{text} {vertical}", f"{vertical} {self.word()} {vertical} {self.number()} {vertical} {self.word()} {vertical}",
            rng.choice("┌╔├╭") + horizontal * count + f"{rng.choice('┤ ')} {text} {rng.choice('├ ')}" + horizontal * count + rng.choice("┐╗┤╮"), horizontal * count,
            rng.choice("└╚├╰") + horizontal * count + rng.choice("┘╝┤╯"), rng.choice("┌├└╔╠╚") + (horizontal * rng.randrange(1, 9) + rng.choice("┬┼┴╦╬╩")) * rng.randrange(1, 5) + horizontal * count + rng.choice("┐┤┘╗╣╝"),
            f"├── {self.name()}", f"└── {self.name()}", f"│   ├── {self.name()}", rng.choice("▒░▓█") * count, rng.choice("▀▄▌▐") * count + f" {text}", f"{rng.choice(BLOCKS)} {text}"])

    def random(self, length):
        """Signs without sense: what no list of words teaches."""
        rng = self.rng
        pool = rng.choice([ALPHABET[1:95], ALPHABET[1:95], LETTERS, LETTERS, LETTERS + "._-/", PUNCTUATION + string.digits, "Il1|!i[]jtf", "O0oQDCGc68B", ".,:;'\"`-_~^", "rnmuvwyngq9gji",
                           "S5sZz2B83", ALPHABET[1:], LATIN1, LATIN1 + LATIN_MORE, LATIN1 + LETTERS, TYPOGRAPHY + string.ascii_letters, MARKS + BLOCKS + LINES])
        out = []
        while sum(map(len, out)) + len(out) < length:
            out.append("".join(rng.choice(pool) for _ in range(rng.randrange(1, 12))))
        return " ".join(out)

    def rule(self):
        rng = self.rng
        return rng.choice(["-", "=", "_", ".", "*", "#", "~", "+", "-", "=", "- ", ". "]) * rng.randrange(3, 40) + rng.choice(["", f" {self.word()}", f" {self.word()} ----"])

    def text(self, length):
        """A text of at most `length` characters."""
        rng = self.rng
        kind = rng.choices([lambda: self.sentence(rng.randrange(1, 3 + length // 4)), self.shell, self.log, self.data, self.code, self.label, self.path, self.drawn, lambda: self.random(length), self.rule],
                           [30, 10, 13, 11, 12, 12, 4, 5, 6, 1])[0]
        text = kind()
        while len(text) < length * 0.5 and rng.random() < 0.5:
            text += " " * rng.choice([1, 1, 2, 4]) + rng.choice([self.word, self.label, self.number, lambda: self.sentence(3)])()
        if len(text) > length:
            start = rng.randrange(len(text) - length + 1) if rng.random() < 0.5 else 0
            if start and rng.random() < 0.7:
                space = text.find(" ", start)
                start = space + 1 if 0 <= space < len(text) - 3 else start
            text = text[start:start + length]
        return text
