// The log: what is shown of it, the search, and the line that is picked.

// Matches that are marked in one row; a line can be one letter, many times.
const MARKS = 200;

const byId = (id) => document.getElementById(id);
const make = (tag, kind, text) => {
  const element = document.createElement(tag);
  element.className = kind;
  if (text !== undefined) element.textContent = text;
  return element;
};

const clock = (us) => {
  const tenths = Math.floor(us / 100000);
  const [hours, minutes] = [Math.floor(tenths / 36000), Math.floor(tenths / 600) % 60];
  const seconds = `${String(Math.floor(tenths / 10) % 60).padStart(2, "0")}.${tenths % 10}`;
  return hours ? `${hours}:${String(minutes).padStart(2, "0")}:${seconds}` : `${minutes}:${seconds}`;
};
const span = (us) => (us < 100000 ? `${Math.round(us / 1000)} ms` : `${(us / 1e6).toFixed(us < 1e7 ? 2 : 1)} s`);

class LogView {
  constructor(data, machines) {
    Object.assign(this, { data, machines, picked: undefined, matches: [], match: -1, search: 0, pattern: undefined });
    this.kinds = new Set(["steps", "log", "output"]);
    Object.assign(this, { machine: 0, level: 0, query: "", only: false });
    this.list = new List(byId("rows"), byId("space"), (...row) => this.draw(...row));
    const longest = Math.max(0, ...machines.map((name) => name.length));
    this.nameWidth = `calc(${Math.min(longest, 16)}ch + .8rem)`;
  }

  // Whether boxes and menus let a line through.
  admits(line) {
    return (line.level > 0 || this.kinds.has(line.group)) && line.level >= this.level
      && (this.machine === 0 || line.machine === this.machine);
  }

  // Finds out which lines are shown.
  refresh() {
    for (const step of this.data.order) {
      const outer = this.data.steps.get(step.parent);
      step.shut = outer !== undefined && (outer.shut || !outer.open);
    }
    // Where steps are not shown there is nothing to unfold.
    const nested = this.kinds.has("steps") && this.level === 0;
    const shown = [];
    let columns = 0;
    const found = this.only && this.pattern ? this.matches : undefined;
    const count = found ? found.length : this.data.lines.length;
    for (let index = 0; index < count; index += 1) {
      const line = this.data.lines[found ? found[index] : index];
      if (!found) {
        if (!this.admits(line)) continue;
        if (nested && line.scope) {
          const step = this.data.steps.get(line.scope);
          if (step && (step.shut || !step.open)) continue;
        }
      }
      shown.push(found ? found[index] : index);
      if (line.text.length > columns) columns = line.text.length;
    }
    this.nested = nested && !found;
    this.list.set(shown, columns);
    byId("state").textContent = shown.length
      ? `${shown.length.toLocaleString("en")} of ${this.data.lines.length.toLocaleString("en")} lines`
      : "no lines: choose other kinds of lines, or another machine";
  }

  draw(index, place, count) {
    const line = this.data.lines[index];
    const depth = this.data.depth(line);
    const row = make("div", `row k-${line.kind} m${line.machine ? line.machine % 6 : "none"}`);
    row.id = `row-${index}`;
    row.dataset.index = index;
    row.setAttribute("role", "treeitem");
    row.setAttribute("aria-level", depth + 1);
    row.setAttribute("aria-setsize", count);
    row.setAttribute("aria-posinset", place + 1);
    row.setAttribute("aria-selected", index === this.picked);
    row.classList.toggle("picked", index === this.picked);
    row.classList.toggle("hit", this.match >= 0 && this.matches[this.match] === index);
    const time = make("a", "time", line.more ? "" : clock(line.time));
    time.href = `#l=${line.seq}`;
    time.tabIndex = -1;
    row.append(time);
    if (this.machines.length > 1) {
      const who = make("span", "who", line.more ? "" : this.machines[line.machine - 1] ?? "");
      who.style.width = this.nameWidth;
      row.append(who);
    }
    const fold = make("span", "fold", line.step?.inner && this.nested ? (line.step.open ? "▾" : "▸") : "");
    if (this.nested) fold.style.marginLeft = `${depth * 1.2}rem`;
    row.append(fold, this.text(line));
    if (line.step) {
      row.classList.toggle("failed", line.step.failed);
      if (line.step.inner && this.nested) row.setAttribute("aria-expanded", line.step.open);
      row.append(make("span", "took", line.step.took === undefined ? "cut off" : span(line.step.took)));
    }
    return row;
  }

  text(line) {
    const text = make("span", "text");
    if (!this.pattern) {
      text.textContent = line.text;
      return text;
    }
    let [end, marks] = [0, 0];
    for (const match of line.text.matchAll(new RegExp(this.pattern, "gi"))) {
      text.append(line.text.slice(end, match.index), make("mark", "", match[0]));
      end = match.index + match[0].length;
      marks += 1;
      if (!match[0] || marks === MARKS) break;
    }
    text.append(line.text.slice(end));
    return text;
  }

  // Puts the lines of guests to their places. What is picked stays so, and the search is done again.
  merge(from) {
    const picked = this.data.lines[this.picked];
    this.data.merge(from);
    Object.assign(this, { picked: picked?.at, matches: [], match: -1 });
    this.refresh();
    if (this.query) this.find(this.query, picked !== undefined);
  }

  // Looks through all lines, in pieces; a later search ends an earlier one. Goes to a match, unless it is to
  // stay with the picked line.
  async find(query, stay = false) {
    const mine = (this.search += 1);
    Object.assign(this, { query, matches: [], match: -1 });
    this.pattern = query ? query.replace(/[.*+?^${}()|[\]\\]/g, "\\$&") : undefined;
    const hidden = byId("hidden-matches");
    hidden.hidden = true;
    if (!query) {
      byId("matches").textContent = "";
      this.refresh();
      return;
    }
    const pattern = new RegExp(this.pattern, "i");
    const { lines } = this.data;
    const matches = [];
    let elsewhere = 0;
    let began = performance.now();
    for (let index = 0; index < lines.length; index += 1) {
      if (pattern.test(lines[index].text)) {
        if (this.admits(lines[index])) matches.push(index);
        else elsewhere += 1;
      }
      if (index % 512 === 0 && performance.now() - began > PIECE) {
        await pause();
        if (mine !== this.search) return;
        began = performance.now();
      }
    }
    this.matches = matches;
    this.tell();
    hidden.hidden = elsewhere === 0;
    hidden.textContent = `${elsewhere.toLocaleString("en")} more in hidden lines`;
    this.refresh();
    if (stay) {
      this.match = matches.indexOf(this.picked);
      this.tell();
      return;
    }
    const from = this.picked ?? 0;
    const next = matches.findIndex((index) => index >= from);
    if (matches.length) this.toMatch(next < 0 ? 0 : next);
  }

  tell() {
    const count = this.matches.length;
    byId("matches").textContent = !this.query ? "" : count === 0 ? "nothing found"
      : this.match < 0 ? `${count.toLocaleString("en")} found`
        : `${(this.match + 1).toLocaleString("en")} of ${count.toLocaleString("en")}`;
  }

  toMatch(number) {
    if (!this.matches.length) return;
    this.match = (number + this.matches.length) % this.matches.length;
    this.tell();
    this.pick(this.matches[this.match], false);
  }

  // Picks a line, and opens whatever hides it.
  pick(index, tell = true) {
    const line = this.data.lines[index];
    if (!line) return;
    this.picked = index;
    if (!this.admits(line)) {
      if (this.machine && line.machine !== this.machine) this.machine = 0;
      if (line.level < this.level) this.level = 0;
      if (line.level === 0) this.kinds.add(line.group);
      this.onfilter();
      this.refresh();
    }
    let shut = false;
    for (let step = this.data.steps.get(line.scope); step; step = this.data.steps.get(step.parent)) {
      if (!step.open) shut = step.open = true;
    }
    if (shut) this.refresh();
    const place = this.placeOf(index);
    if (place >= 0) this.list.reveal(place);
    byId("rows").setAttribute("aria-activedescendant", `row-${index}`);
    this.onpick(line, tell);
  }

  placeOf(index) {
    const { shown } = this.list;
    let [low, high] = [0, shown.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (shown[middle] < index) low = middle + 1;
      else high = middle;
    }
    return shown[low] === index ? low : -1;
  }

  // Moves the picked line by so many rows of those that are shown.
  move(rows) {
    const { shown } = this.list;
    if (!shown.length) return;
    const place = this.picked === undefined ? -1 : this.placeOf(this.picked);
    this.pick(shown[Math.max(0, Math.min(shown.length - 1, place + rows))]);
  }

  // Picks the next line that tells of a problem, or the one before; false if there is none.
  toProblem(direction, from = this.picked ?? -1) {
    const { lines } = this.data;
    const isProblem = (line) => line.level === 2 && !line.more && !line.step;
    for (let step = 1; step <= lines.length; step += 1) {
      const index = (from + direction * step + 2 * lines.length) % lines.length;
      if (isProblem(lines[index])) {
        this.pick(index);
        return true;
      }
    }
    return false;
  }

  // Folds or unfolds a step; `open` is undefined for the other of the two.
  fold(index, open) {
    const step = this.data.lines[index]?.step;
    if (!step?.inner) return false;
    const before = step.open;
    step.open = open ?? !before;
    if (step.open !== before) this.refresh();
    return step.open !== before;
  }

  foldAll(open) {
    for (const step of this.data.order) step.open = open || (step.depth === 0 && step.line.machine === 0);
    this.refresh();
  }
}
