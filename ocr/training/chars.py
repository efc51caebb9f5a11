"""The alphabet: the one place that knows which characters the model can read, and under which label."""

ASCII = "".join(map(chr, range(0x20, 0x7F)))
# Without the no-break space and the soft hyphen, which look like others.
LATIN1 = "".join(chr(c) for c in range(0xA1, 0x100) if c != 0xAD)
LATIN_MORE = "ŒœŠšŽžŸ"
TYPOGRAPHY = "–—‘’‚“”„†‡•…‰‹›€™"
LINES = "─│┌┐└┘├┤┬┴┼═║╔╗╚╝╠╣╦╩╬╭╮╯╰━┃"
BLOCKS = "▀▄█▌▐░▒▓"
MARKS = "←↑→↓■□▪▲▶▼◀◆●○✓✔✗✘≤≥≠≈√∞Ω↵"

ALPHABET = ASCII + LATIN1 + LATIN_MORE + TYPOGRAPHY + LINES + BLOCKS + MARKS
assert len(set(ALPHABET)) == len(ALPHABET)

# Label 0 is the blank of CTC.
LABEL = {char: label for label, char in enumerate(ALPHABET, 1)}
CLASSES = len(ALPHABET) + 1

# A font whose second character has the picture of the first never shows the second:
# nobody could tell them apart.
LOOKALIKES = ["-–", "-—", "-─", "–—", "–─", "—─", "'‘", "'’", "’´", "'´", ",‚", "`‘", "|│", "|¦", "|┃", "│┃", "─━",
              "·•", ".·", "•●", "x×", "°º", "oº", "o°", "<‹", ">›", "\"“", "\"”", "“”", "„\"", "■▪", "■█", "—━",
              "┌╭", "┐╮", "┘╯", "└╰", "…_", "oø", "dð", "ÐD", "✓✔", "✗✘", "µu", "¯-", "¨\"", "¸,", "▀■", "▄■"]


def text(labels):
    """The text of some labels."""
    return "".join(ALPHABET[label - 1] for label in labels)
