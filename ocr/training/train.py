"""Trains the model: `train.py FONTS NAME --steps N`. A checkpoint is written often; started again, it goes on from there.

The data are the same for the same seed. The weights are nearly: sums of floats depend on the processor.
"""

import argparse
import multiprocessing
import os
import time

# Threads that spin for each other are ten times slower where others work as well.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
os.environ.setdefault("GOMP_SPINCOUNT", "0")

import torch
from torch.nn import functional

import evaluate
from lines import Lines
from model import Reader, start_from


def feed(queue, fonts, seed):
    """Fills the queue with batches."""
    source = Lines(fonts, seed)
    while True:
        queue.put(source.batch())


def rate(step, steps, peak):
    """Up over 300 steps, level, and down over the last three tenths."""
    return peak * min((step + 1) / 300, 1, max(0.01, (steps - step) / (0.3 * steps)))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("fonts", help="the folder that fonts.sh filled")
    parser.add_argument("name", help="checkpoints go to NAME.pt")
    parser.add_argument("--steps", type=int, default=60_000, help="batches of about 64 lines")
    parser.add_argument("--peak", type=float, default=3e-3, help="highest learning rate")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--feeders", type=int, default=1, help="processes that draw lines")
    parser.add_argument("--start", help="an exported model to start from, in floats")
    options = parser.parse_args()

    torch.set_num_threads(options.threads)
    torch.manual_seed(options.seed)
    reader = Reader().to(memory_format=torch.channels_last)
    step, checkpoint = 0, f"{options.name}.pt"
    groups = [{"params": [p for p in reader.parameters() if p.ndim > 1], "weight_decay": 0.01},
              {"params": [p for p in reader.parameters() if p.ndim <= 1], "weight_decay": 0}]
    optimiser = torch.optim.AdamW(groups, lr=options.peak, betas=(0.9, 0.99), fused=True)
    mean = None
    if os.path.exists(checkpoint):
        saved = torch.load(checkpoint)
        reader.load_state_dict(saved["reader"])
        optimiser.load_state_dict(saved["optimiser"])
        step, mean = saved["step"], saved["mean"]

    queue = multiprocessing.Queue(16)
    for number in range(options.feeders):
        # A run that goes on must not see its first lines again.
        seed = options.seed * 1_000_003 + step * 101 + number
        multiprocessing.Process(target=feed, args=(queue, options.fonts, seed), daemon=True).start()
    if step == 0 and options.start:
        hooks = start_from(reader, options.start)
        with torch.no_grad():
            reader(torch.from_numpy(queue.get()[0]))
        for hook in hooks:
            hook.remove()
    # What is exported is the mean of the last steps' weights.
    mean = mean or {name: value.clone() for name, value in reader.state_dict().items()}
    sheets = evaluate.sheets(options.fonts)
    began, lines, loss_seen = time.monotonic(), 0, None

    while step < options.steps:
        for group in optimiser.param_groups:
            group["lr"] = rate(step, options.steps, options.peak)
        pictures, labels, counts = queue.get()
        pictures = torch.from_numpy(pictures).to(memory_format=torch.channels_last)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            out = reader(pictures)
        lengths = torch.full((len(counts),), out.shape[0])
        loss = functional.ctc_loss(out, torch.tensor(labels), lengths, torch.tensor(counts), zero_infinity=True, reduction="sum")
        loss = loss / max(1, len(labels))
        loss.backward()
        torch.nn.utils.clip_grad_norm_(reader.parameters(), 2.0)
        optimiser.step()
        optimiser.zero_grad()
        step += 1
        lines += len(counts)
        loss_seen = loss.item() if loss_seen is None else 0.98 * loss_seen + 0.02 * loss.item()
        if step % 4 == 0:
            keep = min(0.998, 1 - 10 / (10 + step)) ** 4
            with torch.no_grad():
                for name, value in reader.state_dict().items():
                    if value.dtype.is_floating_point:
                        mean[name].lerp_(value, 1 - keep)
                    else:
                        mean[name].copy_(value)
        if step % 100 == 0:
            elapsed = time.monotonic() - began
            print(f"step {step} {elapsed:.0f} s {lines / elapsed:.0f} lines/s loss {loss_seen:.4f} queue {queue.qsize()}", flush=True)
        if step % 100 == 0 or step == options.steps:
            saved = {"reader": reader.state_dict(), "optimiser": optimiser.state_dict(), "step": step, "mean": mean}
            torch.save(saved, f"{checkpoint}.new")
            os.replace(f"{checkpoint}.new", checkpoint)
        if step % 500 == 0 or step == options.steps:
            judge = Reader()
            judge.load_state_dict(mean)
            print(f"step {step} " + evaluate.report(judge, sheets), flush=True)


if __name__ == "__main__":
    main()
