"""Pictures of lines, as the line finder hands them to the model: 32 pixels high, ink bright on black.

`Lines(root, seed, held_out).batch()` gives a batch; the same seed gives the same batches.
"""

import math
import random

import numpy as np

from chars import LABEL
from fonts import Fonts
from words import Words

HEIGHT = 32


def shrink(picture, size):
    """Rows averaged by area."""
    total = np.concatenate([np.zeros((1, picture.shape[1]), np.float32), np.cumsum(picture, 0, dtype=np.float32)])
    edges = np.linspace(0, picture.shape[0], size + 1)
    low = np.minimum(edges.astype(np.int64), picture.shape[0] - 1)
    part = (edges - low).astype(np.float32)[:, None]
    sums = total[low] * (1 - part) + total[low + 1] * part
    return np.diff(sums, axis=0) / (picture.shape[0] / size)


def stretch(picture, size):
    """Rows blended between the centres of the two nearest."""
    at = np.clip((np.arange(size) + 0.5) * picture.shape[0] / size - 0.5, 0, picture.shape[0] - 1)
    low = at.astype(np.int64)
    part = (at - low).astype(np.float32)[:, None]
    return picture[low] * (1 - part) + picture[np.minimum(low + 1, picture.shape[0] - 1)] * part


def resize(picture, height, width):
    """As `screen/scale.rs` does it."""
    picture = (shrink if height < picture.shape[0] else stretch)(picture, height)
    return (shrink if width < picture.shape[1] else stretch)(np.ascontiguousarray(picture.T), width).T


def paste(canvas, ink, top, left, strength=1.0):
    """Adds ink where it is brighter; what lies outside is cut off."""
    height, width = ink.shape
    y0, x0, y1, x1 = max(top, 0), max(left, 0), min(top + height, canvas.shape[0]), min(left + width, canvas.shape[1])
    if y1 > y0 and x1 > x0:
        view = canvas[y0:y1, x0:x1]
        np.maximum(view, ink[y0 - top:y1 - top, x0 - left:x1 - left] * strength, out=view)


def shifted(picture, down, right):
    """The picture moved; what comes in is black."""
    out = np.zeros_like(picture)
    height, width = picture.shape
    out[max(down, 0):height + min(down, 0), max(right, 0):width + min(right, 0)] = \
        picture[max(-down, 0):height - max(down, 0), max(-right, 0):width - max(right, 0)]
    return out


class Lines:
    """An endless source of lines with their texts."""

    def __init__(self, root, seed, held_out=False, faces=48, uses=40):
        self.rng = random.Random(seed)
        self.noise = np.random.default_rng(seed)
        self.fonts = Fonts(root, self.rng, held_out)
        self.words = Words(root, self.rng)
        self.faces, self.uses, self.pool = faces, uses, []
        self.textures = [self.texture() for _ in range(40)]

    def face(self):
        """One of a few fonts at hand, which are exchanged after some use: opening one is slow."""
        while len(self.pool) < self.faces:
            self.pool.append([self.fonts.pick(), self.uses // 2 + self.rng.randrange(self.uses)])
        index = self.rng.randrange(len(self.pool))
        entry = self.pool[index]
        entry[1] -= 1
        if entry[1] <= 0:
            self.pool.pop(index)
        return entry[0]

    def texture(self):
        """What is left of a photo behind a line: noise of several sizes, with edges; 0 to 1."""
        out = np.zeros((HEIGHT, 1400), np.float32)
        for size in (1, 2, 4, 8, 16, 32):
            grain = self.noise.random((HEIGHT // size + 2, 1400 // size + 2), np.float32)
            out += resize(grain, HEIGHT, 1400) * size ** self.rng.uniform(0, 1)
        for _ in range(self.rng.randrange(40)):
            y, x = self.rng.randrange(HEIGHT), self.rng.randrange(1400)
            out[y:y + self.rng.randrange(2, 30), x:x + self.rng.randrange(2, 80)] += self.rng.uniform(-4, 4)
        out -= out.min()
        return out / max(out.max(), 1e-3)

    def residue(self, width):
        """A piece of a texture."""
        texture = self.rng.choice(self.textures)
        start = self.rng.randrange(texture.shape[1] - width + 1)
        piece = texture[::self.rng.choice([1, -1]), start:start + width][:, ::self.rng.choice([1, -1])]
        return np.clip((piece - self.rng.uniform(0, 0.6)) * self.rng.uniform(1, 2), 0, 1)

    def place(self, face, text, spacing):
        """Where the pictures of the characters go: (x, picture), and the text as far as the face has it."""
        x, places, shown = 4.0, [], []
        for char in text:
            if face.glyph(char) is None:
                continue
            part = math.floor((x % 1) * 4) / 4 if face.subpixel else 0.0
            glyph = face.glyph(char, part)
            places.append((math.floor(x) if face.subpixel else round(x), glyph))
            shown.append(char)
            x += glyph[3] + spacing
        return places, "".join(shown), int(x) + 8

    def line(self, widest):
        """A picture of at most `widest` pixels, and its text; None when this text did not fit."""
        rng = self.rng
        if rng.random() < 0.035:
            return self.nothing(widest), ""
        face = self.face()
        text = self.words.text(max(1, int(widest / 13 * rng.choice([0.15, 0.35, 0.6, 0.9, 1.2, 1.5]))))
        spacing = 0.0 if rng.random() < 0.9 else rng.choice([-1, 1, 1, 2, 0.5])
        if face.ascent < 12:
            spacing = max(spacing, 0.0)
        row = face.ascent + face.descent
        margin = face.ascent // 2 + 3
        for _ in range(4):
            # Gaps are of any width, and one space to the reader.
            text = " ".join(text.split()) or "x"
            gaps = "".join(char if char != " " else " " * rng.choice([1, 1, 2, 2, 3]) for char in text) if rng.random() < 0.15 else text
            places, shown, width = self.place(face, gaps, spacing)
            canvas = np.zeros((row + 2 * margin, width), np.float32)
            strength = 1.0
            for (x, glyph), char in zip(places, shown):
                if char == " ":
                    strength = 1.0 if rng.random() < 0.8 else rng.uniform(0.4, 1)
                paste(canvas, glyph[0], margin + face.ascent - glyph[2], x + glyph[1], strength)
            rows, columns = np.flatnonzero(canvas.max(1) > 0.15), np.flatnonzero(canvas.max(0) > 0.15)
            if not len(rows):
                text = "x"
                continue
            top, bottom = self.crop(face, margin, rows[0], rows[-1] + 1)
            left, right = max(0, columns[0] - rng.randrange(4)), min(width, columns[-1] + 1 + rng.randrange(5))
            scaled = max(10, round((right - left) * HEIGHT / (bottom - top)))
            if scaled <= widest:
                break
            text = text[:max(1, int(len(text) * widest / scaled * 0.95))]
        else:
            return None
        self.surroundings(canvas, face, places, shown, margin, columns)
        picture = self.ink(canvas)[top:bottom, left:right]
        if rng.random() < 0.05:
            # A scaled display.
            factor = rng.choice([0.8, 1.25, 1.5, 1.7])
            picture = resize(picture, max(8, int(picture.shape[0] * factor)), max(8, int(picture.shape[1] * factor)))
        return self.seen(resize(picture, HEIGHT, scaled)), " ".join(shown.split())

    def crop(self, face, margin, top, bottom):
        """The rows that the finder cuts: around the ink, or the row of the font."""
        rng = self.rng
        if rng.random() < 0.6:
            height = bottom - top
            first, last = round(top - rng.uniform(0.02, 0.24) * height), round(bottom + rng.uniform(0.02, 0.24) * height)
        else:
            height = face.ascent + face.descent
            first = min(top, margin - int(rng.uniform(-0.05, 0.2) * height))
            last = max(bottom, margin + height + int(rng.uniform(-0.05, 0.2) * height))
        first, last = max(first, 0), min(last, 2 * margin + face.ascent + face.descent)
        return (first, last) if last - first >= 6 else (max(0, first - 3), first + 5)

    def surroundings(self, canvas, face, places, shown, margin, columns):
        """What stands around text: neighbouring rows, underlines, cursors, edges of buttons."""
        rng = self.rng
        row, chance = face.ascent + face.descent, rng.random()
        if chance < 0.09:
            strength, distance = rng.uniform(0.4, 1), row + rng.choice([0, 0, 0, 1, 2])
            other, _, _ = self.place(face, self.words.text(len(shown) + 4), 0.0)
            for down in (-distance, distance):
                if rng.random() < 0.7:
                    for x, glyph in other:
                        paste(canvas, glyph[0], margin + down + face.ascent - glyph[2], x + glyph[1], strength)
        elif chance < 0.16 and "_" not in shown:
            # A link, or the letter that a menu opens with.
            y, thick = margin + face.ascent + rng.choice([0, 1, 1, 2]), max(1, row // 16)
            x, glyph = rng.choice(places)
            end = x + max(2, int(glyph[3])) if rng.random() < 0.5 else canvas.shape[1]
            canvas[y:y + thick, x:end] = np.maximum(canvas[y:y + thick, x:end], rng.uniform(0.4, 1))
        elif chance < 0.18:
            index = rng.randrange(len(places))
            x, glyph = places[index]
            if shown[index] not in " █":
                cell = canvas[margin:margin + row, x:x + max(2, int(glyph[3]))]
                cell[:] = 1 - cell
        elif chance < 0.21:
            x = min(canvas.shape[1] - 1, columns[-1] + rng.randrange(2, 6))
            canvas[margin:margin + row, x:x + 1 + rng.randrange(2)] = rng.uniform(0.5, 1)
        elif chance < 0.225:
            x = rng.choice(places)[0]
            canvas[margin:margin + row, x:x + 1] = np.maximum(canvas[margin:margin + row, x:x + 1], rng.uniform(0.5, 1))
        elif chance < 0.24:
            y = rng.choice([margin - 2, margin + row + 1])
            canvas[y:y + rng.randrange(1, 3)] = rng.uniform(0.3, 1)

    def ink(self, canvas):
        """Shadows, outlines and weights."""
        rng, chance = self.rng, self.rng.random()
        size = max(1, canvas.shape[0] // 24)
        if chance < 0.09:
            step = rng.choice([1, 1, size, 2 * size])
            shadow = shifted(canvas, step, rng.choice([0, step, step]))
            if rng.random() < 0.5:
                shadow = (shadow + shifted(shadow, 0, 1) + shifted(shadow, 1, 0) + shifted(shadow, 1, 1)) / 4
            canvas = np.maximum(canvas, shadow * rng.uniform(0.15, 0.75) * (1 - canvas))
        elif chance < 0.13:
            around = np.max([shifted(canvas, down * size, right * size) for down in (-1, 0, 1) for right in (-1, 0, 1)], 0)
            canvas = np.maximum(canvas, around * rng.uniform(0.1, 0.6))
        elif chance < 0.16:
            canvas = np.maximum(canvas, shifted(canvas, 0, 1))
        if rng.random() < 0.35:
            canvas = canvas ** rng.choice([0.6, 0.75, 0.85, 1.2, 1.5])
        return canvas

    def seen(self, picture):
        """Contrast, gradients, photos and noise behind the ink."""
        rng, chance = self.rng, self.rng.random()
        height, width = picture.shape
        if rng.random() < 0.3:
            picture = picture * rng.uniform(0.45, 1)
        if chance < 0.1:
            strength = rng.uniform(0.05, 0.6)
            picture = picture * (1 - strength * rng.random()) + strength * self.residue(width) * (1 - picture * rng.random())
        elif chance < 0.15:
            cells = self.noise.random((1 + height // rng.choice([8, 16, 32]), 1 + width // rng.choice([16, 32, 64])), np.float32)
            strength = rng.uniform(0.02, 0.25)
            picture = picture * (1 - strength) + strength * resize(cells, height, width)
        elif chance < 0.22:
            picture = picture + self.noise.standard_normal((height, width), np.float32) * rng.uniform(0.01, 0.1)
        return np.clip(picture, 0, 1)

    def nothing(self, widest):
        """What the finder may take for text and is none."""
        rng = self.rng
        width, kind = rng.randrange(10, min(widest, 400)), rng.randrange(6)
        picture = np.zeros((HEIGHT, width), np.float32)
        if kind == 0:
            picture[:] = rng.random()
        elif kind == 1:
            y = rng.randrange(HEIGHT - 1)
            picture[y:y + rng.randrange(1, 3)] = rng.uniform(0.4, 1)
        elif kind < 4:
            picture = self.residue(width)
        elif kind == 4:
            picture = resize(self.noise.random((rng.randrange(2, 9), rng.randrange(2, 9)), np.float32), HEIGHT, width)
        else:
            for _ in range(rng.randrange(2, 6)):
                y, x = rng.randrange(HEIGHT), rng.randrange(width)
                picture[y:y + rng.randrange(2, 16), x:x + rng.randrange(8, 40)] = rng.random()
        return picture

    def batch(self, pixels=64 * 512):
        """Pictures of one width from -0.5 to 0.5, their labels one after another, and how many each has."""
        width = self.rng.choices([128, 256, 512, 768, 1280], [12, 24, 32, 20, 12])[0]
        pictures, labels, counts = np.zeros((max(4, pixels // width), 1, HEIGHT, width), np.float32), [], []
        while len(counts) < len(pictures):
            line = self.line(width)
            if line is not None:
                picture, text = line
                pictures[len(counts), 0, :, :picture.shape[1]] = picture
                labels.extend(LABEL[char] for char in text)
                counts.append(len(text))
        return pictures - 0.5, labels, counts


if __name__ == "__main__":
    import sys

    from PIL import Image

    from chars import text

    source = Lines(sys.argv[1], 1)
    sheet = []
    while len(sheet) < 60:
        pictures, labels, counts = source.batch(8 * 1280)
        if pictures.shape[3] == 1280:
            for picture, count in zip(pictures, counts):
                sheet.append(picture[0] + 0.5)
                print(text(labels[:count]))
                labels = labels[count:]
    Image.fromarray((np.vstack(sheet) * 255).astype(np.uint8)).save(sys.argv[2])
