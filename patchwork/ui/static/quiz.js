/* The quiz: graded in the page, kept for the visit, questions made from a simulation's numbers. Knows no chapter. */

(() => {
  const {formatCount, makeRandom, shuffle, readKept, writeKept} = globalThis.Patchwork;

  // ---------------------------------------------------------------- making and grading (pure)

  /* "{patches} patches" → "576 patches". Numbers are written as the simulation writes them. */
  const fill = (text, values) =>
    text.replace(/\{(\w+)\}/g, (_, name) => (typeof values[name] === "number" ? formatCount(values[name]) : values[name]));

  /* Options that read the same cannot both be offered: the right one stays, or else the first. */
  const keepDistinct = (options) => {
    const right = options.filter((option) => option.correct);
    const texts = new Set(right.map((option) => option.text));
    return options.filter((option) => option.correct || (!texts.has(option.text) && texts.add(option.text)));
  };

  /* A question with its numbers filled in and its options in a new order. */
  const makeQuestion = (question, values, random) => {
    const filled = question.options.map((option) => ({...option, text: fill(option.text, values), why: fill(option.why, values)}));
    return {question: fill(question.question, values), options: shuffle(keepDistinct(filled), random)};
  };

  /* `answers`: id → the first choice was right. */
  const grade = (answers, total) => {
    const right = Object.values(answers).filter(Boolean).length;
    const done = Object.keys(answers).length;
    if (!done) return `${total} questions`;
    return `${right} of ${done} right at the first try${done < total ? `, ${total - done} to go` : ""}`;
  };

  // ---------------------------------------------------------------- the page

  const escape = (text) => text.replace(/[&<>"]/g, (sign) => ({"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;"})[sign]);

  const drawOptions = (options) =>
    options
      .map(
        (option) =>
          `<li data-correct="${Boolean(option.correct)}"><button type="button" class="pw-option" aria-pressed="false">${escape(option.text)}</button>` +
          `<p class="pw-why" hidden>${escape(option.why)}</p></li>`,
      )
      .join("");

  const mountQuiz = (root) => {
    const chapter = root.dataset.chapter;
    const key = `pw-quiz-${chapter}`;
    const questions = [...root.querySelectorAll(".pw-question")];
    const kept = readKept(key);

    const showScore = () => {
      const first = Object.fromEntries(Object.entries(kept).map(([id, one]) => [id, one.right]));
      root.querySelector(".pw-quiz-score").textContent = grade(first, questions.length);
      document.dispatchEvent(new CustomEvent("pw-progress"));
    };

    const reveal = (item, chosen) => {
      const right = item.dataset.correct === "true";
      const button = item.querySelector("button");
      item.classList.toggle("pw-right", right);
      item.classList.toggle("pw-wrong", !right && chosen);
      item.classList.toggle("pw-chosen-option", chosen);
      button.setAttribute("aria-pressed", String(chosen));
      item.querySelector(".pw-why").hidden = false;
    };

    /* A wrong choice shows its own reason, and the reader may go on; the right one shows all reasons. */
    const choose = (box, item) => {
      reveal(item, true);
      if (item.dataset.correct !== "true") return;
      for (const other of box.querySelectorAll("li")) if (other !== item) reveal(other, other.classList.contains("pw-chosen-option"));
      box.querySelectorAll("button.pw-option").forEach((button) => { button.disabled = true; });
    };

    const makeNew = (box, values, seed) => {
      const made = makeQuestion(JSON.parse(box.dataset.generated), values, makeRandom(seed));
      box.querySelector(".pw-asked-question").textContent = made.question;
      box.querySelector("ol").innerHTML = drawOptions(made.options);
      Object.assign(box.dataset, {values: JSON.stringify(values), seed});
    };

    const prepareGenerated = (box, id, sim) => {
      const known = kept[id];
      makeNew(box, known ? known.values : sim.facts(sim.state), known ? known.seed : 1);
      box.querySelectorAll(".pw-another").forEach((button) =>
        button.addEventListener("click", () => {
          const seed = Math.floor(Math.random() * 2 ** 31);
          const state = button.dataset.from === "state" ? sim.state : sim.draw(makeRandom(seed));
          delete kept[id];
          writeKept(key, kept);
          makeNew(box, sim.facts(state), seed);
          showScore();
        }),
      );
      showKept(box, id);
    };

    const showKept = (box, id) => {
      (kept[id]?.chosen || []).forEach((index) => {
        const item = box.querySelectorAll("li")[index];
        if (item) choose(box, item);
      });
    };

    questions.forEach((box) => {
      const id = box.dataset.question;
      if (box.dataset.generated) globalThis.Patchwork.whenRegistered(chapter, (sim) => prepareGenerated(box, id, sim));
      else showKept(box, id);
      box.addEventListener("click", (event) => {
        const item = event.target.closest("button.pw-option")?.closest("li");
        if (!item) return;
        const items = [...box.querySelectorAll("li")];
        kept[id] = kept[id] || {right: item.dataset.correct === "true", chosen: []};
        kept[id].chosen.push(items.indexOf(item));
        if (box.dataset.values) Object.assign(kept[id], {values: JSON.parse(box.dataset.values), seed: Number(box.dataset.seed)});
        writeKept(key, kept);
        choose(box, item);
        showScore();
      });
    });
    showScore();
  };

  Object.assign(globalThis.Patchwork, {fill, makeQuestion, grade, mountQuiz});
  if (typeof module !== "undefined") module.exports = globalThis.Patchwork;
})();
