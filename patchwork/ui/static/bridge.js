/* The bridge's live panel: choose a patch and where it is read, without asking the model again. Knows only its markup. */

(() => {
  const mountBridge = (element) => {
    const part = (selector) => element.querySelector(`.pw-bridge ${selector}`);
    const parts = (selector) => element.querySelectorAll(`.pw-bridge ${selector}`);

    const choosePatch = (patch) => {
      const cell = part(`.pw-grid-cell[data-patch="${patch}"]`);
      for (const name of ["x", "y"]) part(".pw-grid-chosen").setAttribute(name, cell.getAttribute(name));
      part(".pw-figure").dataset.patch = patch;
      part("[data-cell=number]").textContent = patch + 1;
      JSON.parse(element.querySelector(".pw-bridge").dataset.readings).forEach((reading, index) => {
        const write = (what, words) => { part(`tr[data-row="${index}"] [data-cell=${what}]`).textContent = words; };
        write("words", reading.words[patch]);
        write("control", reading.control[patch]);
        write("scores", reading.scores[patch].toFixed(2));
      });
    };

    const showReading = () => {
      const what = part(".pw-chip[data-control]").getAttribute("aria-pressed") === "true" ? "control" : "words";
      const shown = part(".pw-chip[data-reading][aria-pressed=true]").dataset.reading;
      parts(".pw-words").forEach((group) => {
        group.style.display = group.dataset.of === shown && group.dataset.what === what ? "" : "none";
      });
      parts("tr[data-row]").forEach((row) => row.setAttribute("aria-current", row.dataset.row === shown));
    };

    const pressChip = (chip) => {
      if (chip.matches("[data-control]")) chip.setAttribute("aria-pressed", chip.getAttribute("aria-pressed") !== "true");
      else parts(".pw-chip[data-reading]").forEach((one) => one.setAttribute("aria-pressed", one === chip));
      showReading();
    };

    element.addEventListener("click", (event) => {
      const [cell, chip] = [event.target.closest(".pw-grid-cell"), event.target.closest(".pw-chip")];
      if (cell) choosePatch(Number(cell.dataset.patch));
      if (chip) pressChip(chip);
    });
    element.addEventListener("keydown", (event) => {
      const figure = event.target.closest(".pw-figure[data-rows]");
      const step = {ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1]}[event.key];
      if (!figure || !step) return;
      event.preventDefault();
      event.stopPropagation();
      const [rows, columns, now] = ["rows", "columns", "patch"].map((name) => Number(figure.dataset[name]));
      const x = Math.min(columns - 1, Math.max(0, (now % columns) + step[0]));
      const y = Math.min(rows - 1, Math.max(0, Math.floor(now / columns) + step[1]));
      choosePatch(y * columns + x);
    });
  };

  globalThis.Patchwork = Object.assign(globalThis.Patchwork || {}, {mountBridge});
})();
