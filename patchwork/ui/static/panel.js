/* Live panels: a patch pointed at, on the picture or on a map of points, shows in both places. It knows no demo. */

(() => {
  const mark = (frame, patch) => {
    frame.querySelectorAll(".pw-here").forEach((shape) => shape.classList.remove("pw-here"));
    const shapes = frame.querySelectorAll(`[data-patch="${patch}"]`);
    shapes.forEach((shape) => shape.classList.add("pw-here"));
    const title = [...shapes].map((shape) => shape.querySelector("title")).find(Boolean);
    const say = frame.querySelector(".pw-linked-say");
    if (title && say) say.textContent = title.textContent;
    const figure = frame.querySelector("[data-linked]");
    if (figure) figure.dataset.patch = patch;
  };

  document.addEventListener("pointerover", (event) => {
    const shape = event.target.closest?.(".pw-linked [data-patch]:not([data-linked])");
    if (shape) mark(shape.closest(".pw-linked"), shape.dataset.patch);
  });

  document.addEventListener("keydown", (event) => {
    const figure = event.target.closest?.("[data-linked]");
    const step = {ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1]}[event.key];
    if (!figure || !step) return;
    event.preventDefault();
    const [rows, columns] = [Number(figure.dataset.rows), Number(figure.dataset.columns)];
    const now = Number(figure.dataset.patch ?? -1);
    const {clamp} = globalThis.Patchwork;
    const x = now < 0 ? 0 : clamp((now % columns) + step[0], 0, columns - 1);
    const y = now < 0 ? 0 : clamp(Math.floor(now / columns) + step[1], 0, rows - 1);
    mark(figure.closest(".pw-linked"), y * columns + x);
  });
})();
