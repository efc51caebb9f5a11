// The rows of the log, out of the packed blocks of the page.

// How long a piece of work may keep the page from answering, in milliseconds.
const PIECE = 12;
const pause = () => (globalThis.scheduler?.yield ? scheduler.yield() : new Promise((done) => setTimeout(done)));

const unpack = async (packed) => {
  const bytes = Uint8Array.from(atob(packed), (letter) => letter.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Response(stream).json();
};

// A line of text; a row of several has several of them. There are many, so each is small.
class Line {
  constructor([seq, time, scope, machine, kind], text, level) {
    this.seq = seq;
    this.time = time;
    this.scope = scope;
    this.machine = machine;
    this.kind = kind;
    this.text = text;
    // Of a row of several lines: the whole text in its first, and a mark in the others.
    this.whole = undefined;
    this.more = false;
    this.level = level;
    this.step = undefined;
    this.at = 0;
  }

  get group() {
    return GROUPS[this.kind] ?? "log";
  }
}

// A step with what is inside of it.
class Step {
  constructor(id, parent, depth, line) {
    Object.assign(this, { id, parent, depth, line, open: false, failed: false, shut: false, inner: 0 });
    this.took = undefined;
  }
}

// Which box to tick for which kind of line.
const GROUPS = {
  step: "steps", info: "log", warning: "log", error: "log", script: "log", file: "log", gap: "log",
  stdout: "output", stderr: "output", console: "console", debug: "debug",
};
const LEVELS = { error: 2, warning: 1 };

class Data {
  constructor() {
    // One entry for each line of text; a row may have several.
    this.lines = [];
    this.steps = new Map();
    this.order = [];
  }

  add(row) {
    const [seq, time, scope, machine, kind, text, id, took] = row;
    const around = this.steps.get(scope);
    if (around) around.inner += 1;
    if (kind === "end") {
      const step = this.steps.get(id);
      if (!step) return;
      step.took = took;
      if (!text) return;
      step.failed = true;
      step.open = true;
      // The step around it says the same again.
      const told = step.failedInside;
      for (let outer = this.steps.get(step.parent); outer; outer = this.steps.get(outer.parent)) outer.failedInside = true;
      if (step.line) step.line.level = 2;
      if (told) return;
      this.push([seq, time, id, machine, "error"], text, 2);
      step.inner += 1;
      return;
    }
    const line = this.push(row, kind === "file" ? `saved ${text}` : text, LEVELS[kind] ?? 0);
    if (kind === "step") {
      const step = new Step(id, scope, around ? around.depth + 1 : 0, line);
      // What is around everything is no detail.
      step.open = !around && machine === 0;
      this.steps.set(id, step);
      this.order.push(step);
      line.step = step;
    }
  }

  // Adds a row's lines, and returns the first.
  push(row, text, level) {
    if (!text.includes("\n")) {
      const line = new Line(row, text, level);
      this.lines.push(line);
      return line;
    }
    const lines = text.split("\n").map((part) => new Line(row, part, level));
    for (const line of lines.slice(1)) line.more = true;
    lines[0].whole = text;
    this.lines.push(...lines);
    return lines[0];
  }

  depth(line) {
    return (this.steps.get(line.scope)?.depth ?? -1) + 1;
  }

  // Unpacks the blocks of one stream, bit by bit, and calls `progress` in between.
  async read(name, blocks, progress) {
    for (const block of blocks) {
      if (block.dataset.leftOut) {
        const last = this.lines.at(-1);
        const text = `${block.dataset.leftOut} lines are left out here; they are in the result directory`;
        this.push([last?.seq ?? 0, last?.time ?? 0, 0, 0, "gap"], text, 1);
        continue;
      }
      const rows = await unpack(block.textContent);
      block.textContent = "";
      for (const row of rows) this.add(row);
      progress();
      await pause();
    }
  }

  // Puts the lines of guests, which begin at `from`, to the places where they belong.
  merge(from) {
    const [ours, theirs] = [this.lines.slice(0, from), this.lines.slice(from)];
    const all = new Array(this.lines.length);
    for (let at = 0, one = 0, other = 0; at < all.length; at += 1) {
      const first = other >= theirs.length || (one < ours.length && ours[one].seq <= theirs[other].seq);
      all[at] = first ? ours[one++] : theirs[other++];
    }
    this.lines = all;
    all.forEach((line, at) => { line.at = at; });
  }
}
