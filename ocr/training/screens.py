"""Draws screens with known text, to try the line finder on: `screens.py FONTS FOLDER` writes pairs of .png and .txt.

Unlike the lines that the model is trained on, these go through the finder as a guest's screens do. Real guests' are
better; these are quick to make, and small ones are in tests/data/screen.
"""

import os
import random
import sys

import numpy as np
from PIL import Image, ImageDraw, ImageFilter, ImageFont

from words import FOREIGN, Words

SHARE = "usr/share/fonts"
FACES = {"mono": "truetype/dejavu/DejaVuSansMono.ttf", "sans": "opentype/cantarell/Cantarell-Regular.otf",
         "dejavu": "truetype/dejavu/DejaVuSans.ttf", "liberation": "truetype/liberation2/LiberationSans-Regular.ttf",
         "hack": "truetype/hack/Hack-Regular.ttf", "lato": "truetype/lato/Lato-Regular.ttf", "bold": "truetype/dejavu/DejaVuSans-Bold.ttf"}


def photo(rng, width, height, sharp):
    """Something like a landscape: noise of all sizes, brighter above."""
    noise = np.random.default_rng(rng.randrange(2 ** 31))
    out = np.zeros((height, width, 3), np.float32)
    for size in (2, 4, 8, 16, 32, 64, 128, 256):
        grain = noise.random((height // size + 2, width // size + 2, 3)).astype(np.float32)
        layer = Image.fromarray((grain * 255).astype(np.uint8)).resize((width, height), Image.BICUBIC)
        out += np.asarray(layer, np.float32) * size ** 0.7
    out -= out.min()
    out = out / out.max() * 215 + (noise.random((height, width, 1)).astype(np.float32) - 0.5) * 30 * sharp
    picture = Image.fromarray(np.clip(out, 0, 255).astype(np.uint8))
    return picture if sharp else picture.filter(ImageFilter.GaussianBlur(12))


class Screen:
    """A picture and what is written on it."""

    def __init__(self, fonts, background):
        self.fonts, self.picture, self.truth = fonts, background, []
        self.draw = ImageDraw.Draw(background)

    def font(self, face, size):
        return ImageFont.truetype(os.path.join(self.fonts, SHARE, FACES[face]), size)

    def write(self, x, y, text, face, size, colour, shadow=None, outline=None):
        font = self.font(face, size)
        if shadow:
            self.draw.text((x + max(1, size // 24), y + max(1, size // 24)), text, font=font, fill=shadow)
        self.draw.text((x, y), text, font=font, fill=colour, stroke_width=1 if outline else 0, stroke_fill=outline)
        self.truth.append(text)

    def save(self, path, photo=False):
        # Few colours make small files.
        picture = self.picture.convert("RGB")
        (picture if photo else picture.quantize(32, dither=Image.Dither.NONE)).save(path + ".png", optimize=True)
        with open(path + ".txt", "w", encoding="utf8") as file:
            file.write("\n".join(self.truth) + "\n")


def main():
    fonts, folder = sys.argv[1:3]
    os.makedirs(folder, exist_ok=True)
    rng = random.Random(7)
    words = Words(fonts, rng)
    ascii_only = len(sys.argv) > 3

    def line(length, kind=None):
        while True:
            text = " ".join((kind or (lambda: words.sentence(12)))().split())[:length].strip()
            if text and (not ascii_only or text.isascii()):
                return text

    def terminal(name, face, size, ink, paper, rows=40, width=1024, height=768):
        screen = Screen(fonts, Image.new("RGB", (width, height), paper))
        pitch = sum(screen.font(face, size).getmetrics())
        columns = int((width - 8) / screen.font(face, size).getlength("x"))
        for row in range(min(rows, height // pitch)):
            screen.write(4, row * pitch, line(rng.randrange(4, columns), rng.choice([words.shell, words.log, words.data, None])), face, size, ink)
        screen.save(f"{folder}/{name}")

    terminal("terminal", "mono", 13, "#d3d7cf", "#000000")
    terminal("terminal-light", "hack", 15, "#2e3436", "#eeeeec")
    terminal("terminal-small", "mono", 9, "#ffffff", "#300a24")

    screen = Screen(fonts, Image.new("RGB", (800, 600), "#f6f5f4"))
    for row in range(8):
        for column in range(3):
            x, y, text = 20 + column * 260, 20 + row * 70, line(22, words.label)
            selected = rng.random() < 0.3
            screen.draw.rounded_rectangle((x, y, x + 230, y + 40), 5, fill="#3584e4" if selected else "#ffffff", outline="#c0bfbc")
            screen.write(x + 14, y + 10, text, rng.choice(["sans", "dejavu", "liberation", "lato"]), rng.choice([12, 13, 15, 17]), "#ffffff" if selected else "#2e3436")
    screen.save(f"{folder}/dialog")

    screen = Screen(fonts, Image.new("RGB", (1024, 600), "#241f31"))
    y = 10
    for size in (20, 28, 36, 48, 64, 80, 96):
        screen.write(20, y, line(int(1400 / size), lambda: words.label()), rng.choice(["sans", "bold", "lato"]), size, "#ffffff")
        y += int(size * 1.35)
    screen.write(700, 20, "23:59", "bold", 96, "#f9f06b")
    screen.save(f"{folder}/headings")

    for name, sharp in (("wallpaper-soft", False), ("wallpaper-sharp", True)):
        screen = Screen(fonts, photo(rng, 1024, 768, sharp))
        for number in range(14):
            x, y = 30 + (number % 2) * 500, 20 + number // 2 * 80
            style = [dict(colour="#ffffff", shadow="#000000"), dict(colour="#ffffff", outline="#000000"), dict(colour="#ffffff"), dict(colour="#000000", outline="#ffffff")][number % 4 if sharp else number % 3]
            size = rng.choice([14, 16, 20, 28])
            screen.write(x, y, line(660 // size), rng.choice(["sans", "dejavu", "bold"]), size, **style)
        screen.write(300, 620, "14:35", "sans", 96, "#ffffff", shadow="#404040")
        screen.save(f"{folder}/{name}", photo=True)

    screen = Screen(fonts, Image.new("RGB", (400, 140), "#000000"))
    for row, (face, size) in enumerate((("sans", 15), ("lato", 14), ("dejavu", 13), ("hack", 14), ("liberation", 16))):
        screen.write(10, 6 + row * 26, line(30, lambda: words.sentence(4)), face, size, "#ffffff")
    screen.save(f"{folder}/labels")

    if not ascii_only:
        screen = Screen(fonts, Image.new("RGB", (560, 160), "#fafafa"))
        for row, (face, size) in enumerate((("sans", 15), ("dejavu", 14), ("mono", 13), ("hack", 14), ("liberation", 16))):
            text = " ".join(rng.choice(FOREIGN) for _ in range(6))
            screen.write(10, 8 + row * 28, f"{text} {words.number()} {rng.choice('€£§°µ')}", face, size, "#241f31")
        screen.save(f"{folder}/latin")

    screen = Screen(fonts, Image.linear_gradient("L").resize((800, 400)).convert("RGB"))
    for row in range(8):
        screen.write(30, 16 + row * 46, line(50), "sans", 15, "#f66151" if row < 4 else "#1a5fb4", shadow="#000000" if row % 2 else None)
    screen.save(f"{folder}/gradient", photo=True)


if __name__ == "__main__":
    main()
