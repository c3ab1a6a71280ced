/* A recorded generation, explored: a token's map and layers, a patch's tokens. It draws what the recording holds and asks no server. The pure half also runs in Node, for the tests. */

(() => {
  // ---------------------------------------------------------------- numbers (pure)

  /* Five stops of viridis, as the page's other maps use them. */
  const RAMP = [[68, 1, 84], [59, 82, 139], [33, 145, 140], [94, 201, 98], [253, 231, 37]];
  const mixColour = (share) => {
    const place = Math.min(Math.max(share, 0), 1) * (RAMP.length - 1);
    const low = Math.min(Math.floor(place), RAMP.length - 2);
    const parts = RAMP[low].map((from, channel) => Math.round(from + (RAMP[low + 1][channel] - from) * (place - low)));
    return `#${parts.map((part) => part.toString(16).padStart(2, "0")).join("")}`;
  };

  /* The map of one layer, or (null) the mean of all layers that kept one. */
  const pickMap = (step, layer, layers) => {
    if (layer !== null) return step.maps[layers.indexOf(layer)];
    return step.maps[0].map((_, patch) => step.maps.reduce((sum, map) => sum + map[patch], 0) / step.maps.length);
  };

  /* Which tokens looked at a patch: [{step, value}], the most first. */
  const rankTokens = (trace, patch, layer) =>
    trace.steps
      .map((step, index) => ({step: index, value: pickMap(step, layer, trace.map_layers)[patch]}))
      .sort((one, other) => other.value - one.value);

  const percent = (share) => `${(100 * share).toFixed(share < 0.0995 ? 1 : 0)} %`;

  // ---------------------------------------------------------------- the page

  const make = (tag, className, words) => {
    const element = document.createElement(tag);
    if (className) element.className = className;
    if (words !== undefined) element.textContent = words;
    return element;
  };

  const readRecording = (root) => JSON.parse(root.querySelector(".pw-trace-data").textContent);
  const readTrace = (recording) => recording.moments[recording.moments.length - 1].event.trace;

  const paintMap = (root, values) => {
    const [low, high] = [Math.min(...values), Math.max(...values)];
    root.querySelectorAll(".pw-patch").forEach((patch) => {
      const value = values[Number(patch.dataset.patch)];
      patch.setAttribute("fill", mixColour(high > low ? (value - low) / (high - low) : 0));
      patch.querySelector("title").textContent = `patch ${patch.dataset.patch}: ${value.toFixed(4)}`;
    });
    const ends = root.querySelectorAll(".pw-legend > span");
    if (ends.length) [ends[0].textContent, ends[1].textContent] = [low.toFixed(4), high.toFixed(4)];
  };

  const listCandidates = (step) => {
    const list = make("ol", "pw-candidates");
    step.candidates.forEach((one) => {
      const item = make("li", one.id === step.id ? "pw-taken" : "");
      item.append(make("code", "", JSON.stringify(one.text)), make("span", "", percent(one.probability)));
      const bar = make("i");
      bar.style.width = `${100 * one.probability}%`;
      item.append(bar);
      list.append(item);
    });
    return list;
  };

  const SHARES = [["picture", "pw-share-visual"], ["prompt", "pw-share-text"], ["own words", "pw-share-output"]];

  const drawShares = (shares) => {
    const bar = make("span", "pw-shares");
    const words = SHARES.map(([name], index) => `${name} ${percent(shares[index])}`).join(", ");
    bar.setAttribute("role", "img");
    bar.setAttribute("aria-label", words);
    bar.title = words;
    SHARES.forEach(([, className], index) => {
      const part = make("i", className, shares[index] > 0.14 ? percent(shares[index]) : "");
      part.style.flexGrow = shares[index];
      bar.append(part);
    });
    return bar;
  };

  /* One line a layer: where it looked, and what the head would have said after it. */
  const listLayers = (trace, step, chosen, choose) => {
    const table = make("table", "pw-layers");
    const head = make("tr");
    ["Layer", "Looked at", "Would say"].forEach((words) => head.append(make("th", "", words)));
    table.append(make("thead"), make("tbody"));
    table.tHead.append(head);
    step.shares.forEach((shares, layer) => {
      const row = make("tr", layer === chosen ? "pw-chosen-layer" : "");
      const name = make("td");
      if (trace.place && trace.map_layers.includes(layer)) {
        const button = make("button", "pw-layer", String(layer + 1));
        button.type = "button";
        button.setAttribute("aria-pressed", String(layer === chosen));
        button.title = `Show the map of layer ${layer + 1}`;
        button.addEventListener("click", () => choose(layer === chosen ? null : layer));
        name.append(button);
      } else name.textContent = layer + 1;
      const where = make("td");
      where.append(drawShares(shares));
      const said = make("td");
      said.append(make("code", "", JSON.stringify(step.lens[layer].text)), ` ${percent(step.lens[layer].probability)}`);
      row.append(name, where, said);
      table.tBodies[0].append(row);
    });
    return table;
  };

  const mountTrace = (root) => {
    const trace = readTrace(readRecording(root));
    const tokens = [...root.querySelectorAll(".pw-token")];
    const figure = root.querySelector(".pw-figure[data-rows]");
    let [chosen, layer, patch] = [Number(root.dataset.step), null, null];

    const tellToken = () => {
      const step = trace.steps[chosen];
      const place = root.querySelector(".pw-trace-token");
      const focus = place.contains(document.activeElement) ? document.activeElement.textContent : null;
      const head = make("p", "pw-trace-head", `Token ${chosen + 1} of ${trace.steps.length}: `);
      head.append(make("code", "", JSON.stringify(step.text)), `, ${percent(step.probability)} likely`);
      const legend = make("p", "pw-share-legend");
      SHARES.forEach(([name, className]) => legend.append(make("i", className), `${name} `));
      place.replaceChildren(head, listCandidates(step), legend, listLayers(trace, step, layer, chooseLayer));
      if (focus) [...place.querySelectorAll("button")].find((button) => button.textContent === focus)?.focus();
      tokens.forEach((token, index) => token.setAttribute("aria-pressed", String(index === chosen)));
      if (!figure) return;
      paintMap(root, pickMap(step, layer, trace.map_layers));
      const where = layer === null ? "mean of the layers" : `layer ${layer + 1}`;
      root.querySelector(".pw-trace-caption").textContent = `Where the model looked while it chose “${step.text.trim() || "the end"}”, ${where}`;
    };

    const tellPatch = () => {
      if (patch === null) return;
      const ranked = rankTokens(trace, patch, layer);
      const most = ranked[0].value || 1;
      ranked.forEach(({step, value}) => tokens[step].style.setProperty("--pw-looked", (value / most).toFixed(3)));
      root.classList.add("pw-asks-patch");
      const words = ranked.slice(0, 3).map(({step, value}) => `“${trace.steps[step].text.trim() || "the end"}” (${percent(value)})`);
      root.querySelector(".pw-trace-patch").textContent = `Patch ${patch}: of all tokens, ${words.join(", ")} put most of their attention on it.`;
      root.querySelectorAll(".pw-picked").forEach((one) => one.classList.remove("pw-picked"));
      root.querySelector(`.pw-patch[data-patch="${patch}"]`)?.classList.add("pw-picked");
    };

    const chooseToken = (index) => { chosen = index; tellToken(); };
    const chooseLayer = (next) => { layer = next; tellToken(); tellPatch(); };
    const choosePatch = (next) => { patch = next; tellPatch(); };

    tokens.forEach((token, index) => {
      token.addEventListener("click", () => chooseToken(index));
      token.addEventListener("keydown", (event) => {
        const step = {ArrowLeft: -1, ArrowRight: 1}[event.key];
        if (!step || !tokens[index + step]) return;
        event.preventDefault();
        event.stopPropagation();
        tokens[index + step].focus();
        chooseToken(index + step);
      });
    });
    figure?.addEventListener("click", (event) => {
      const one = event.target.closest(".pw-patch");
      if (one) choosePatch(Number(one.dataset.patch));
    });
    figure?.addEventListener("keydown", (event) => {
      const step = {ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1]}[event.key];
      if (!step || event.target !== figure) return;
      event.preventDefault();
      event.stopPropagation();
      const [rows, columns] = [Number(figure.dataset.rows), Number(figure.dataset.columns)];
      const now = patch ?? 0;
      const x = Math.min(columns - 1, Math.max(0, (now % columns) + step[0]));
      const y = Math.min(rows - 1, Math.max(0, Math.floor(now / columns) + step[1]));
      choosePatch(y * columns + x);
    });
    root.querySelector(".pw-trace-save").addEventListener("click", () => {
      const link = make("a");
      link.href = URL.createObjectURL(new Blob([JSON.stringify(readRecording(root), null, 1)], {type: "application/json"}));
      link.download = "patchwork-trace.json";
      link.click();
      URL.revokeObjectURL(link.href);
    });
    tellToken();
    document.dispatchEvent(new CustomEvent("pw-trace", {detail: trace}));
  };

  /* Traces come and go with each run: whatever is new under `element` is mounted once. */
  const mountTraces = (element) => {
    const look = () =>
      element.querySelectorAll(".pw-trace:not([data-mounted])").forEach((root) => {
        root.dataset.mounted = "true";
        mountTrace(root);
      });
    new MutationObserver(look).observe(element, {childList: true, subtree: true});
    look();
  };

  globalThis.Patchwork = Object.assign(globalThis.Patchwork || {}, {mixColour, pickMap, rankTokens, percent, mountTraces});
  if (typeof module !== "undefined") module.exports = globalThis.Patchwork;
})();
