"""Counts a checkpoint's or an exported model's errors: `evaluate.py FONTS MODEL`, MODEL being a `.pt` or an `.onnx`.

The lines are drawn anew with seeds that training never uses, in fonts that it uses and in fonts that it never sees.
They are much harder than screens: a tenth is random signs, many are 6 pixels high, blurred or on photos.
"""

import collections
import sys

from rapidfuzz.distance import Levenshtein

from chars import text
from lines import Lines


def sheets(fonts, batches=10):
    """Batches by the fonts' kind."""
    sources = {"known fonts": Lines(fonts, 900_001, False, 60, 6), "held-out fonts": Lines(fonts, 900_002, True, 60, 6)}
    return {name: [source.batch() for _ in range(batches)] for name, source in sources.items()}


def decode(steps):
    """The labels of one line: the best of each step, without repetitions and blanks."""
    best = steps.argmax(1)
    return [int(label) for label, before in zip(best, [0, *best[:-1]]) if label and label != before]


def count(read, batches, confused=None):
    """Errors, characters, lines with errors, lines."""
    errors = characters = wrong = lines = 0
    for pictures, labels, counts in batches:
        out, start = read(pictures), 0
        for number, size in enumerate(counts):
            truth, said = labels[start:start + size], decode(out[:, number])
            start += size
            distance = Levenshtein.distance(said, truth)
            errors, characters, wrong, lines = errors + distance, characters + size, wrong + (distance > 0), lines + 1
            if confused is not None and distance:
                for edit in Levenshtein.opcodes(said, truth):
                    if edit.tag != "equal":
                        confused[text(truth[edit.dest_start:edit.dest_end]), text(said[edit.src_start:edit.src_end])] += 1
    return errors, characters, wrong, lines


def run(reader):
    """A network as a function of arrays."""
    import torch

    reader = reader.eval().to(memory_format=torch.channels_last)

    def read(pictures):
        with torch.no_grad():
            return reader(torch.from_numpy(pictures).to(memory_format=torch.channels_last)).numpy()

    return read


def report(reader, batches_by_kind):
    """One line of figures."""
    figures = []
    for kind, batches in batches_by_kind.items():
        errors, characters, wrong, lines = count(run(reader), batches)
        figures.append(f"{kind}: {100 * errors / characters:.2f} % of characters, {100 * wrong / lines:.1f} % of lines")
    return "; ".join(figures)


def main():
    fonts, path = sys.argv[1:3]
    if path.endswith(".pt"):
        import torch

        from model import Reader

        reader = Reader()
        reader.load_state_dict(torch.load(path)["mean"])
        read = run(reader)
    else:
        import numpy
        from onnx.reference import ReferenceEvaluator

        session = ReferenceEvaluator(path)
        read = lambda pictures: session.run(None, {"lines": numpy.ascontiguousarray(pictures)})[0]
    for kind, batches in sheets(fonts, 30 if path.endswith(".pt") else 2).items():
        confused = collections.Counter()
        errors, characters, wrong, lines = count(read, batches, confused)
        print(f"{kind}: {errors} errors in {characters} characters ({100 * errors / characters:.2f} %), {wrong} of {lines} lines")
        print("  truth -> read: " + ", ".join(f"{truth or 'nothing'!r} -> {said or 'nothing'!r} {times}" for (truth, said), times in confused.most_common(30)))


if __name__ == "__main__":
    main()
