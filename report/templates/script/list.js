// A list that draws only what is on the screen, so its length costs nothing.

const HEIGHT = 20;
// Rows above and below the screen, for quick scrolling.
const SPARE = 12;

class List {
  constructor(frame, space, draw) {
    Object.assign(this, { frame, space, draw, shown: [], planned: false });
    frame.addEventListener("scroll", () => this.plan(), { passive: true });
    new ResizeObserver(() => this.plan()).observe(frame);
  }

  // Shows the lines of these numbers; `columns` is the length of the longest.
  set(shown, columns) {
    this.shown = shown;
    this.frame.style.setProperty("--lines", shown.length);
    this.space.style.height = `${shown.length * HEIGHT}px`;
    this.space.style.width = `calc(${Math.min(columns, 20000)}ch + 20rem)`;
    this.plan();
  }

  plan() {
    if (this.planned) return;
    this.planned = true;
    requestAnimationFrame(() => {
      this.planned = false;
      this.render();
    });
  }

  render() {
    const first = Math.max(0, Math.floor(this.frame.scrollTop / HEIGHT) - SPARE);
    const last = Math.min(this.shown.length, first + Math.ceil(this.frame.clientHeight / HEIGHT) + 2 * SPARE);
    const rows = [];
    for (let place = first; place < last; place += 1) {
      const row = this.draw(this.shown[place], place, this.shown.length);
      row.style.top = `${place * HEIGHT}px`;
      rows.push(row);
    }
    this.space.replaceChildren(...rows);
  }

  // How many rows fit on the screen.
  get page() {
    return Math.max(1, Math.floor(this.frame.clientHeight / HEIGHT) - 1);
  }

  // Scrolls until the row at `place` can be seen, with some rows around it.
  reveal(place) {
    const [top, room] = [place * HEIGHT, Math.min(4 * HEIGHT, this.frame.clientHeight / 4)];
    const { scrollTop, clientHeight } = this.frame;
    if (top < scrollTop + room || top > scrollTop + clientHeight - room - HEIGHT) {
      const near = top > scrollTop - clientHeight && top < scrollTop + 2 * clientHeight;
      this.frame.scrollTop = near
        ? (top < scrollTop + room ? top - room : top - clientHeight + room + HEIGHT)
        : top - clientHeight / 3;
    }
    this.plan();
  }
}
