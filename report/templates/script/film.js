// Films: what a screen showed over time, a picture for each change, with what the test did then.
for (const film of document.querySelectorAll(".film")) {
  const { sources, frames } = JSON.parse(film.dataset.frames);
  const [image, slider] = [film.querySelector("img"), film.querySelector("input")];
  const [button, where, caption] = [film.querySelector("button"), film.querySelector("a.at"), film.querySelector(".caption")];
  let timer;
  // The last line of the test before the next picture.
  const told = (index) => {
    const until = index + 1 < frames.length ? frames[index + 1][2] : Infinity;
    const lines = log.data.lines;
    for (let at = lines.findLastIndex((line) => line.seq < until); at >= 0; at--) {
      if (["step", "info", "warning", "error", "script"].includes(lines[at].kind)) return lines[at].text.split("\n")[0];
    }
    return "";
  };
  const show = (index) => {
    const [at, source, seq] = frames[index];
    image.src = sources[source];
    where.textContent = `at ${at}`;
    where.href = `#l=${seq}`;
    caption.textContent = told(index);
    slider.value = index;
    slider.setAttribute("aria-valuetext", `${index + 1} of ${frames.length}, at ${at}`);
  };
  const stop = () => {
    clearTimeout(timer);
    timer = undefined;
    button.textContent = "Play";
  };
  const play = () => {
    const index = Number(slider.value);
    if (index + 1 >= frames.length) return stop();
    // Nobody waits for minutes in which nothing happens.
    const pause = Math.min(1500, (frames[index + 1][3] - frames[index][3]) / 4);
    timer = setTimeout(() => { show(index + 1); play(); }, pause);
  };
  slider.max = frames.length - 1;
  slider.value = frames.length - 1;
  slider.addEventListener("input", () => { stop(); show(Number(slider.value)); });
  button.addEventListener("click", () => {
    if (timer !== undefined) return stop();
    button.textContent = "Pause";
    if (Number(slider.value) + 1 >= frames.length) show(0);
    play();
  });
}
