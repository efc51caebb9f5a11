// The page around the log: addresses, keys, boxes and menus, colours.

document.documentElement.dataset.script = "";
const machines = JSON.parse(byId("data").dataset.machines);
const log = new LogView(new Data(), machines);
const rows = byId("rows");

// The address says what is shown: `#l=12` is a line, `#m=server&k=console&q=text` a selection of lines.
let written = location.hash;
let plan;
const writeAddress = (line) => {
  clearTimeout(plan);
  plan = setTimeout(() => {
    const parts = [];
    if (line !== undefined) parts.push(`l=${line}`);
    if (log.machine) parts.push(`m=${encodeURIComponent(machines[log.machine - 1])}`);
    const kinds = [...log.kinds].join(".");
    if (kinds !== "steps.log.output") parts.push(`k=${kinds}`);
    if (log.level) parts.push(`v=${log.level}`);
    if (log.query) parts.push(`q=${encodeURIComponent(log.query)}`);
    written = parts.length ? `#${parts.join("&")}` : "#log";
    // Pages in a frame without rights have no history.
    try { history.replaceState(null, "", written); } catch { /* the address stays */ }
  }, 250);
};

const showFilters = () => {
  for (const box of byId("kinds").querySelectorAll("input")) box.checked = log.kinds.has(box.value);
  byId("machine").value = log.machine ? String(log.machine) : "";
  byId("level").value = ["", "warning", "error"][log.level];
  byId("query").value = log.query;
};

const pickRow = (seq) => log.pick(log.data.lines.findIndex((line) => line.seq >= seq));

const readAddress = () => {
  const hash = location.hash.slice(1);
  if (!/^[lmkqv]=/.test(hash)) return;
  const wanted = new URLSearchParams(hash.replaceAll("+", "%2B"));
  const has = (name) => wanted.has(name);
  if (has("m") || has("k") || has("v") || has("q")) {
    log.machine = machines.indexOf(wanted.get("m")) + 1;
    log.kinds = new Set(has("k") ? wanted.get("k").split(".") : ["steps", "log", "output"]);
    log.level = Math.min(2, Number(wanted.get("v")) || 0);
    log.query = wanted.get("q") ?? "";
    showFilters();
    log.find(log.query);
  }
  byId("log").scrollIntoView();
  if (has("l")) pickRow(Number(wanted.get("l")));
};

log.onfilter = showFilters;
log.onpick = (line, tell) => {
  const path = [];
  for (let step = log.data.steps.get(line.scope); step; step = log.data.steps.get(step.parent)) path.unshift(step.line.text);
  byId("detail").hidden = false;
  const who = machines[line.machine - 1];
  byId("detail-where").textContent = [clock(line.time), ...(who ? [who] : []), ...path].join(" › ");
  byId("detail-link").href = `#l=${line.seq}`;
  byId("detail-text").textContent = line.whole ?? line.text;
  if (tell) writeAddress(line.seq);
};

// Boxes, menus, buttons.
const filtered = () => {
  writeAddress();
  if (log.query) log.find(log.query);
  else log.refresh();
};
byId("kinds").addEventListener("change", ({ target }) => {
  if (target.checked) log.kinds.add(target.value);
  else log.kinds.delete(target.value);
  filtered();
});
byId("machine").append(...machines.map((name, number) => new Option(name, number + 1)));
byId("machine").addEventListener("change", ({ target }) => {
  log.machine = Number(target.value);
  filtered();
});
byId("level").addEventListener("change", ({ target }) => {
  log.level = ["", "warning", "error"].indexOf(target.value);
  filtered();
});
byId("hidden-matches").addEventListener("click", () => {
  log.kinds = new Set(["steps", "log", "output", "console", "debug"]);
  Object.assign(log, { machine: 0, level: 0 });
  showFilters();
  filtered();
});
byId("only").addEventListener("change", ({ target }) => {
  log.only = target.checked;
  log.refresh();
  if (log.picked !== undefined) log.list.reveal(Math.max(0, log.placeOf(log.picked)));
});
let typing;
byId("query").addEventListener("input", ({ target }) => {
  clearTimeout(typing);
  typing = setTimeout(() => {
    writeAddress();
    log.find(target.value);
  }, 120);
});
byId("search").addEventListener("submit", (event) => event.preventDefault());
byId("query").addEventListener("keydown", (event) => {
  if (event.key === "Enter") log.toMatch(log.match + (event.shiftKey ? -1 : 1));
  if (event.key === "Escape") rows.focus();
});
byId("next").addEventListener("click", () => log.toMatch(log.match + 1));
byId("previous").addEventListener("click", () => log.toMatch(log.match - 1));
byId("next-problem").addEventListener("click", () => log.toProblem(1));
byId("unfold").addEventListener("click", () => log.foldAll(true));
byId("fold").addEventListener("click", () => log.foldAll(false));
byId("close").addEventListener("click", () => { byId("detail").hidden = true; });
byId("copy").addEventListener("click", async ({ target }) => {
  // Pages from a disk may not write to the clipboard everywhere; then the text is marked to be copied.
  try {
    await navigator.clipboard.writeText(byId("detail-text").textContent);
    target.textContent = "Copied";
    setTimeout(() => { target.textContent = "Copy"; }, 1500);
  } catch {
    getSelection().selectAllChildren(byId("detail-text"));
  }
});
byId("to-problem")?.addEventListener("click", ({ target }) => {
  byId("log").scrollIntoView();
  if (target.dataset.line) pickRow(Number(target.dataset.line));
  // Of a run that was killed there may be no error: its last line tells where that was.
  else if (!log.toProblem(-1, log.data.lines.length)) log.pick(log.data.lines.length - 1);
  rows.focus({ preventScroll: true });
});
// The time line. It grows around a place: the mouse's; the middle of what is seen; at first, when all is seen, where
// most bars are, which is seldom the boot.
const stretch = byId("stretch");
const lanes = stretch.parentElement;
const crowd = (() => {
  const starts = [...stretch.querySelectorAll(".bar")].map((bar) => parseFloat(bar.getAttribute("x"))).sort((a, b) => a - b);
  return (starts[starts.length >> 1] ?? 50) / 100;
})();
const zoomTo = (power, x = lanes.clientWidth / 2) => {
  const seen = stretch.clientWidth > lanes.clientWidth + 1 || x !== lanes.clientWidth / 2;
  const place = seen ? (lanes.scrollLeft + x) / stretch.clientWidth : crowd;
  stretch.style.width = `${100 * 2 ** power}%`;
  lanes.scrollLeft = place * stretch.clientWidth - x;
};
byId("zoom").addEventListener("input", ({ target }) => zoomTo(target.value));
lanes.addEventListener("wheel", (event) => {
  if (!event.ctrlKey) return;
  event.preventDefault();
  byId("zoom").value = Number(byId("zoom").value) - Math.sign(event.deltaY) / 2;
  zoomTo(byId("zoom").value, event.clientX - lanes.getBoundingClientRect().left);
}, { passive: false });

// Lines of the log by mouse and by keys.
rows.addEventListener("click", (event) => {
  const row = event.target.closest(".row");
  if (!row || getSelection().toString()) return;
  const index = Number(row.dataset.index);
  if (event.target.closest(".time")) event.preventDefault();
  log.pick(index);
  if (!event.target.closest(".time")) log.fold(index);
});
rows.addEventListener("keydown", (event) => {
  const moves = { ArrowDown: 1, ArrowUp: -1, PageDown: log.list.page, PageUp: -log.list.page, Home: -Infinity, End: Infinity };
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key in moves) log.move(moves[event.key]);
  else if (event.key === "ArrowRight") log.fold(log.picked, true) || log.move(1);
  else if (event.key === "ArrowLeft") {
    const around = log.data.steps.get(log.data.lines[log.picked]?.scope);
    if (!log.fold(log.picked, false) && around) log.pick(around.line.at ?? log.data.lines.indexOf(around.line));
  } else if (event.key === "Enter") byId("detail").scrollIntoView({ block: "nearest" });
  else return;
  event.preventDefault();
});

// Colours: like the system, dark, light; kept where pages may keep something.
const THEMES = ["", "dark", "light"];
const setTheme = (theme) => {
  document.documentElement.dataset.theme = theme;
  try { localStorage.setItem("innkeeper-theme", theme); } catch { /* until the page is closed */ }
};
try { setTheme(localStorage.getItem("innkeeper-theme") ?? ""); } catch { /* like the system */ }
const nextTheme = () => setTheme(THEMES[(THEMES.indexOf(document.documentElement.dataset.theme ?? "") + 1) % THEMES.length]);
byId("theme").addEventListener("click", nextTheme);

for (const dialog of document.querySelectorAll("dialog")) {
  dialog.querySelector("button").addEventListener("click", () => dialog.close());
  dialog.addEventListener("click", ({ target }) => { if (target === dialog) dialog.close(); });
}
byId("keys").addEventListener("click", () => byId("help").showModal());
for (const link of document.querySelectorAll("a.picture")) {
  link.addEventListener("click", (event) => {
    event.preventDefault();
    const image = link.querySelector("img");
    byId("large").querySelector("span").textContent = link.dataset.caption;
    Object.assign(byId("large").querySelector("img"), { src: image.src, alt: image.alt });
    byId("large").showModal();
  });
}

document.addEventListener("keydown", (event) => {
  if (event.target.closest("input, select, textarea, dialog") || event.ctrlKey || event.metaKey || event.altKey) return;
  const does = {
    "/": () => { byId("log").scrollIntoView(); byId("query").focus({ preventScroll: true }); byId("query").select(); },
    n: () => log.toMatch(log.match + 1),
    N: () => log.toMatch(log.match - 1),
    e: () => { byId("log").scrollIntoView(); log.toProblem(1); },
    E: () => { byId("log").scrollIntoView(); log.toProblem(-1); },
    t: nextTheme,
    "?": () => byId("help").showModal(),
  }[event.key];
  if (!does) return;
  event.preventDefault();
  does();
});

// The end of a console says most.
for (const console of document.querySelectorAll("pre.console")) console.scrollTop = console.scrollHeight;
for (const time of document.querySelectorAll("time")) {
  time.textContent = new Date(time.dateTime).toLocaleString(undefined, { dateStyle: "medium", timeStyle: "medium" });
  time.title = time.dateTime;
}

// The test's own lines come first; they are few. Those of the guests follow while the page can be read.
(async () => {
  const blocks = (name) => {
    const all = [...byId("data").children];
    const half = all.findLastIndex((block) => block.dataset.rows === "steps") + 1;
    return name === "steps" ? all.slice(0, half) : all.slice(half);
  };
  const state = byId("state");
  const progress = () => { state.textContent = `${log.data.lines.length.toLocaleString("en")} lines read …`; };
  try {
    await log.data.read("steps", blocks("steps"), progress);
    const from = log.data.lines.length;
    log.refresh();
    await log.data.read("guests", blocks("guests"), progress);
    log.merge(from);
    // Who has picked or searched meanwhile is not led away from that.
    if (location.hash !== written || (log.picked === undefined && !log.query)) readAddress();
    addEventListener("hashchange", () => { if (location.hash !== written) readAddress(); });
    document.documentElement.dataset.ready = "";
  } catch (error) {
    state.textContent = `This browser cannot unpack the log (${error}); log.txt has it, too.`;
  }
})();
