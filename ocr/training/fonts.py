"""Fonts: files to pictures of characters."""

import glob
import gzip
import math
import os
import struct

import freetype
import numpy as np

from chars import ALPHABET, LOOKALIKES

# Never trained on: `evaluate.py` reads them.
HELD_OUT = ("Hack-", "Lato-", "NotoSerif-", "7x14", "TerminusBold22x11", "ter-u22b", "mononoki", "SourceSans3-", "ncen")

# Outline fonts, relative to usr/share/fonts, and how often each family comes.
OUTLINES = {
    "truetype/dejavu/DejaVuSansMono": 9, "truetype/dejavu/DejaVuSans": 7, "truetype/dejavu/DejaVuSerif": 2,
    "truetype/liberation2/": 7, "truetype/croscore/": 2, "truetype/noto/NotoSans-": 5, "truetype/noto/NotoMono-": 3,
    "truetype/noto/NotoSansMono-": 4, "truetype/noto/NotoSansDisplay-": 1, "truetype/noto/NotoSerif-": 2,
    "truetype/hack/": 3, "truetype/inconsolata/": 3, "truetype/firacode/": 3, "truetype/jetbrains-mono/": 3,
    "truetype/lato/": 2, "truetype/open-sans/": 3, "truetype/roboto/unhinted/RobotoTTF/": 4, "opentype/roboto/slab/": 1,
    "opentype/cantarell/": 5, "opentype/inter/Inter-": 4, "truetype/anonymous-pro/": 1, "truetype/monoid/": 1,
    "truetype/mononoki/": 1, "truetype/manrope/": 1, "truetype/clear-sans/": 1, "truetype/crosextra/": 2,
    "truetype/droid/": 2, "truetype/agave/": 1, "fonts-go/": 2, "opentype/sourcesans3/": 1, "opentype/league-mono/": 1,
    "truetype/fantasque-sans/Normal/TTF/": 1, "opentype/mplus/Mplus": 1,
}
# Weights that no screen uses for text.
UNUSUAL = ("Hairline", "Thin", "ExtraLight", "UltraLight", "Black", "Heavy", "Math", "Smallcaps", "Wide", "Extended")
MISC = ("5x7 5x8 6x9 6x10 6x12 6x13 6x13B 6x13O 7x13 7x13B 7x13O 7x14 7x14B 8x13 8x13B 8x13O 9x15 9x15B 9x18 9x18B "
        "10x20 clR6x12 clR6x13 clB6x12 clR8x13 clR8x14 clB8x14 clR8x16 clB8x16 12x24").split()
SIZES = [6, 7, 7.5, 8, 8, 9, 9.33, 10, 10, 10.67, 11, 11, 12, 12, 12, 13, 13.33, 13.33, 14, 14, 14.67, 15, 16, 16, 17, 18,
         18.67, 20, 21.33, 22, 24, 26, 28, 30, 32, 36, 40, 48, 56, 64, 72, 96]


def files(root):
    """Console, bitmap and outline fonts below `root`; the last with their weights."""
    share = os.path.join(root, "usr/share")
    console = [path for path in sorted(glob.glob(f"{share}/consolefonts/*.psf.gz"))
               if os.path.basename(path).split("-")[0] in ("Lat15", "Uni2", "Uni3", "Lat2", "spleen")]
    x11 = f"{share}/fonts/X11"
    bitmap = [f"{x11}/misc/{name}.pcf.gz" for name in MISC]
    bitmap += sorted(glob.glob(f"{x11}/misc/ter-u*.pcf.gz"))
    for kind in ("cour", "helv", "time", "timR", "timB", "ncen", "char"):
        bitmap += sorted(path for dpi in ("75dpi", "100dpi") for path in glob.glob(f"{x11}/{dpi}/{kind}*.pcf.gz")
                         if "ISO8859" not in path)
    bitmap += sorted(glob.glob(f"{share}/fonts/opentype/terminus/*.otb"))
    outline = []
    for start, weight in OUTLINES.items():
        family = [path for path in sorted(glob.glob(f"{share}/fonts/{start}*"))
                  if path.endswith((".ttf", ".otf")) and not any(word in path for word in UNUSUAL)]
        plain = [3 if "Regular" in path or path.endswith(("Sans.ttf", "Mono.ttf")) else 1 for path in family]
        outline += [(path, weight * share / sum(plain)) for path, share in zip(family, plain)]
    return console, [path for path in bitmap if os.path.exists(path)], outline


def psf(path):
    """Width, height, pictures and the code points of a console font."""
    data = gzip.open(path, "rb").read()
    if data[:2] == b"\x36\x04":
        mode, height = data[2], data[3]
        count, start, size, width = 512 if mode & 1 else 256, 4, height, 8
        units, after, first = np.frombuffer(data, "<u2", offset=4 + count * size), 0xFFFF, 0xFFFE
        entries, entry = [], []
        for unit in units:
            if unit == after:
                entries.append(entry)
                entry = []
            else:
                entry.append(int(unit))
        points = [entry[:entry.index(first)] if first in entry else entry for entry in entries]
    else:
        _, _, start, _, count, size, height, width = struct.unpack("<8I", data[:32])
        entries = data[start + count * size:].split(b"\xff")[:count]
        points = [[ord(char) for char in entry.split(b"\xfe")[0].decode("utf8", "ignore")] for entry in entries]
    rows = np.frombuffer(data, np.uint8, count * size, start).reshape(count, height, -1)
    pictures = np.unpackbits(rows, axis=2)[:, :, :width]
    where = {}
    for glyph, entry in enumerate(points):
        for point in entry:
            where.setdefault(point, glyph)
    return width, height, pictures, where


class Face:
    """A font at a size: `glyph(char, part)` is (ink, left, top above the baseline, advance), or None."""

    monospaced = False
    subpixel = False

    def drop_lookalikes(self):
        """Takes away what nobody could tell from another character of this font."""
        for kept, gone in LOOKALIKES:
            one, other = self.glyph(kept), self.glyph(gone)
            if one and other and one[0].shape == other[0].shape and one[1:] == other[1:] and np.allclose(one[0], other[0]):
                self.glyphs[gone, 0.0] = None
                self.gone.add(gone)


class Console(Face):
    """A console font, as the framebuffer shows it or with the ninth dot of VGA; `scale` doubles its dots."""

    monospaced = True

    def __init__(self, path, nine, scale):
        width, height, pictures, where = psf(path)
        self.ascent, self.descent = height * scale, 0
        self.glyphs, self.gone = {}, set()
        for char in ALPHABET:
            if ord(char) in where:
                ink = pictures[where[ord(char)]].astype(np.float32)
                if nine:
                    # The VGA repeats the eighth dot of line drawing characters.
                    ink = np.pad(ink, ((0, 0), (0, 1)), mode="edge" if "─" <= char <= "▐" else "constant")
                ink = np.kron(ink, np.ones((scale, scale), np.float32))
                self.glyphs[char, 0.0] = (ink, 0, self.ascent, ink.shape[1])
        self.drop_lookalikes()

    def glyph(self, char, _part=0.0):
        return self.glyphs.get((char, 0.0))


class Drawn(Face):
    """A font that FreeType draws: outlines at any size and mode, or bitmaps as they are."""

    FLAGS = {"normal": freetype.FT_LOAD_DEFAULT, "light": freetype.FT_LOAD_TARGET_LIGHT,
             "none": freetype.FT_LOAD_NO_HINTING, "mono": freetype.FT_LOAD_TARGET_MONO,
             "lcd": freetype.FT_LOAD_TARGET_LCD, "bitmap": freetype.FT_LOAD_DEFAULT}
    RENDER = {"mono": freetype.FT_RENDER_MODE_MONO, "lcd": freetype.FT_RENDER_MODE_LCD}

    def __init__(self, path, size, mode, subpixel=False, strike=0, scale=1):
        self.face = freetype.Face(path)
        self.mode, self.subpixel, self.scale = mode, subpixel, scale
        self.glyphs, self.gone = {}, set()
        if self.face.is_scalable and mode != "bitmap":
            self.face.set_char_size(int(size * 64))
        else:
            self.face.select_size(strike % max(1, len(self.face.available_sizes)))
        metrics = self.face.size
        self.ascent, self.descent = math.ceil(metrics.ascender / 64) * scale, math.ceil(-metrics.descender / 64) * scale
        self.monospaced = bool(self.face.is_fixed_width)
        self.drop_lookalikes()

    def glyph(self, char, part=0.0):
        key = (char, part)
        if key not in self.glyphs:
            self.glyphs[key] = None if char in self.gone else self.draw(char, part)
        return self.glyphs[key]

    def draw(self, char, part):
        index = self.face.get_char_index(char)
        if index == 0:
            return None
        self.face.load_glyph(index, self.FLAGS[self.mode])
        slot = self.face.glyph
        advance = slot.linearHoriAdvance / 65536 if self.subpixel else slot.advance.x / 64
        if self.mode != "bitmap":
            if part:
                freetype.raw.FT_Outline_Translate(freetype.byref(slot.outline._FT_Outline), int(part * 64), 0)
            slot.render(self.RENDER.get(self.mode, freetype.FT_RENDER_MODE_NORMAL))
        bitmap = slot.bitmap
        width, height = bitmap.width, bitmap.rows
        if width == 0 or height == 0:
            ink = np.zeros((0, 0), np.float32)
        else:
            raw = np.array(bitmap.buffer, np.uint8).reshape(height, -1)
            if bitmap.pixel_mode == freetype.FT_PIXEL_MODE_MONO:
                ink = np.unpackbits(raw, axis=1)[:, :width].astype(np.float32)
            elif self.mode == "lcd":
                ink = raw[:, :width // 3 * 3].reshape(height, width // 3, 3).max(2).astype(np.float32) / 255
            else:
                ink = raw[:, :width].astype(np.float32) / 255
        if self.scale > 1 and ink.size:
            ink = np.kron(ink, np.ones((self.scale, self.scale), np.float32))
        return ink, slot.bitmap_left * self.scale, slot.bitmap_top * self.scale, advance * self.scale


class Fonts:
    """Chooses fonts, sizes and modes."""

    def __init__(self, root, rng, held_out):
        self.rng = rng
        wanted = lambda path: any(name in path for name in HELD_OUT) == held_out
        console, bitmap, outline = files(root)
        self.console = list(filter(wanted, console))
        # Those that a Debian guest shows without being asked.
        self.usual = [path for path in self.console
                      if any(name in path for name in ("VGA16", "Terminus16", "Fixed16", "Terminus32x16"))]
        self.bitmap = list(filter(wanted, bitmap))
        self.outline = [(path, weight) for path, weight in outline if wanted(path)]

    def pick(self):
        """A face that has a picture for nearly all of ASCII."""
        rng = self.rng
        while True:
            chance = rng.random()
            scale = 2 if rng.random() < 0.06 else 1
            if chance < 0.2 and self.console:
                choice = self.usual if self.usual and rng.random() < 0.5 else self.console
                face = Console(rng.choice(choice), rng.random() < 0.3, scale)
            elif chance < 0.38 and self.bitmap:
                face = Drawn(rng.choice(self.bitmap), 0, "bitmap", strike=rng.randrange(16), scale=scale)
            else:
                path = rng.choices([path for path, _ in self.outline], [weight for _, weight in self.outline])[0]
                size = rng.choice(SIZES)
                mode = rng.choices(["normal", "light", "none", "lcd", "mono"], [25, 35, 20, 15, 5])[0]
                if size < 9.3 and mode in ("none", "mono"):
                    mode = "light"
                face = Drawn(path, size, mode, mode in ("none", "light") and rng.random() < 0.4)
            if sum(face.glyph(char) is not None for char in ALPHABET[:95]) >= 94 and face.glyph("x")[0].any():
                return face
