/* The drawing kit that every simulation shares, and what the browser keeps for a visit. It knows no chapter. The pure half also runs in Node, for the tests. */

(() => {
  // ---------------------------------------------------------------- numbers and words (pure)

  const clamp = (value, low, high) => Math.min(high, Math.max(low, value));
  const mix = (from, to, share) => from + (to - from) * share;
  /* 0 before `start`, 1 after `end`, smooth in between. */
  const during = (time, start, end) => {
    const share = clamp((time - start) / (end - start), 0, 1);
    return share * share * (3 - 2 * share);
  };

  /* 1234567 → "1,234,567"; from ten million on "12.3 million", from ten billion on "12.3 billion". */
  const formatCount = (value) => {
    if (Math.abs(value) >= 1e13) return `${(value / 1e12).toFixed(1)} trillion`;
    if (Math.abs(value) >= 1e10) return `${(value / 1e9).toFixed(1)} billion`;
    if (Math.abs(value) >= 1e7) return `${(value / 1e6).toFixed(1)} million`;
    return Math.round(value).toString().replace(/\B(?=(\d{3})+$)/g, ",");
  };

  /* 0.5 → "0.5×", 12.34 → "12.3×", 250.2 → "250×", 1234 → "1,234×": three digits are enough to compare. */
  const formatTimes = (value) => `${value >= 1000 ? formatCount(value) : String(Number(value.toPrecision(3)))}×`;

  /* Words, and every other visible sign by itself. A simplification of a real tokenizer, and said to be one. */
  const splitTokens = (text) => text.match(/[\p{L}\p{N}]+(?:['’][\p{L}\p{N}]+)*|[^\s\p{L}\p{N}]/gu) || [];

  /* Numbers in [0, 1) that depend on the seed alone (mulberry32). */
  const makeRandom = (seed) => {
    let state = seed >>> 0;
    return () => {
      state = (state + 0x6d2b79f5) >>> 0;
      let mixed = Math.imul(state ^ (state >>> 15), state | 1);
      mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)) ^ mixed;
      return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
    };
  };

  const pick = (list, random) => list[Math.floor(random() * list.length)];

  const shuffle = (list, random) => {
    const result = [...list];
    for (let last = result.length - 1; last > 0; last -= 1) {
      const other = Math.floor(random() * (last + 1));
      [result[last], result[other]] = [result[other], result[last]];
    }
    return result;
  };

  // ---------------------------------------------------------------- simulations

  /* `definition`: {start, facts(state), draw(random), mount(root, sim)}. `facts` and `draw` are pure: the quiz and the
     tests use them too. `state` is what the reader sees now. */
  const simulations = {};
  const waiting = {};
  const register = (id, definition) => {
    simulations[id] = {...definition, state: {...definition.start}};
    (waiting[id] || []).splice(0).forEach((ready) => ready(simulations[id]));
    return simulations[id];
  };
  /* The parts of a chapter may come to the page in any order. */
  const whenRegistered = (id, ready) => {
    if (simulations[id]) ready(simulations[id]);
    else (waiting[id] = waiting[id] || []).push(ready);
  };
  const mount = (id, root) => simulations[id].mount(root, simulations[id]);

  // ---------------------------------------------------------------- the page

  const isHidden = (element) => !element.isConnected || element.offsetParent === null;
  const prefersStill = () => matchMedia("(prefers-reduced-motion: reduce)").matches;
  const find = (root, name) => root.querySelector(`[data-part="${name}"]`);

  /* The colour code of the course, as the theme has it now. */
  const COLOURS = ["visual", "visual-soft", "text", "text-soft", "output", "output-soft", "frozen", "trainable", "ink",
    "muted", "line", "edge", "surface", "sunken", "paper"];
  const known = {};
  const readColours = (element) => {
    const theme = document.body.className;
    if (!known[theme]) {
      const style = getComputedStyle(element);
      known[theme] = Object.fromEntries(COLOURS.map((name) => [name, style.getPropertyValue(`--pw-${name}`).trim()]));
    }
    return known[theme];
  };

  /* Range inputs with `data-name`: `onInput(name, number)`; their <output data-of> shows `show[name](number)`. */
  const bindSliders = (root, onInput, show = {}) => {
    const update = (input) => {
      const value = Number(input.value);
      const words = (show[input.dataset.name] || String)(value);
      const output = root.querySelector(`output[data-of="${input.dataset.name}"]`);
      if (output) output.textContent = words;
      input.setAttribute("aria-valuetext", words);
      onInput(input.dataset.name, value);
    };
    root.querySelectorAll("input[type=range][data-name]").forEach((input) => {
      input.addEventListener("input", () => update(input));
      update(input);
    });
  };

  const isOnStage = () => document.documentElement.classList.contains("pw-presenting");
  /* How much larger than written a canvas is drawn: its words of 12 px are 16 px high on stage. */
  const readZoom = () => Number(getComputedStyle(document.documentElement).getPropertyValue("--pw-zoom"));

  /* A canvas as wide as its place and sharp on every screen; `draw(context, width, height)` in CSS pixels, on stage in
     larger ones. It draws again when its size, the theme or the stage changes. The width comes from the observer, 0
     while hidden: asking the page for it at each step of a slider would have the whole page laid out anew. */
  const fitCanvas = (canvas, heightFor, draw) => {
    const context = canvas.getContext("2d");
    let [place, zoom] = [0, 1];
    const redraw = () => {
      if (!place) return;
      const width = place / zoom;
      const height = heightFor(width);
      const scale = zoom * Math.min(window.devicePixelRatio || 1, 2);
      if (canvas.width !== Math.round(width * scale) || canvas.height !== Math.round(height * scale)) {
        canvas.width = Math.round(width * scale);
        canvas.height = Math.round(height * scale);
        canvas.style.height = `${height * zoom}px`;
      }
      context.setTransform(scale, 0, 0, scale, 0, 0);
      context.clearRect(0, 0, width, height);
      draw(context, width, height);
    };
    const rescale = () => { zoom = readZoom(); redraw(); };
    new ResizeObserver(([parent]) => { place = Math.floor(parent.contentRect.width); rescale(); }).observe(canvas.parentElement);
    const themeAndStage = new MutationObserver(rescale);
    for (const one of [document.body, document.documentElement]) themeAndStage.observe(one, {attributes: true, attributeFilter: ["class"]});
    return redraw;
  };

  /* Play, pause, scrub, speed. `onTime(share)` with share in 0…1. It stands still while its tab is hidden; a reader who
     asked for less motion jumps from one mark to the next instead. */
  const makeClock = (root, {seconds, marks, onTime}) => {
    const play = find(root, "play");
    const scrub = root.querySelector("input[data-name=time]");
    const speed = root.querySelector("select[data-name=speed]");
    let time = 0;
    let playing = false;
    let last = null;

    const show = () => {
      scrub.value = time;
      play.textContent = playing ? "Pause" : time >= 1 ? "Play again" : prefersStill() ? "Next step" : "Play";
      onTime(time);
    };
    const tick = (now) => {
      if (!playing) return;
      if (!root.isConnected) return void (playing = false);
      if (last !== null && !isHidden(root)) {
        time = Math.min(1, time + ((now - last) / 1000 / seconds) * Number(speed ? speed.value : 1));
        if (time >= 1) playing = false;
        show();
      }
      last = now;
      if (playing) requestAnimationFrame(tick);
    };
    const start = () => {
      if (time >= 1) time = 0;
      if (prefersStill()) {
        time = marks.find((mark) => mark > time + 1e-6) ?? 1;
        return show();
      }
      playing = true;
      last = null;
      show();
      requestAnimationFrame(tick);
    };
    play.addEventListener("click", () => {
      if (!playing) return start();
      playing = false;
      show();
    });
    scrub.addEventListener("input", () => {
      playing = false;
      time = Number(scrub.value);
      show();
    });
    show();
    return {show, seek: (to) => { playing = false; time = clamp(to, 0, 1); show(); }, isPlaying: () => playing};
  };

  // ---------------------------------------------------------------- the reader's picture

  /* What is shown until there is a picture: a hill, a house, a sun. */
  const drawDefault = (side = 336) => {
    const canvas = document.createElement("canvas");
    canvas.width = canvas.height = side;
    const context = canvas.getContext("2d");
    const fill = (colour, path) => { context.fillStyle = colour; context.beginPath(); path(); context.fill(); };
    const unit = side / 100;
    fill("#a9d5ee", () => context.rect(0, 0, side, side));
    fill("#f6c945", () => context.arc(76 * unit, 22 * unit, 11 * unit, 0, 7));
    fill("#6fae5a", () => context.ellipse(40 * unit, 104 * unit, 95 * unit, 42 * unit, 0, 0, 7));
    fill("#c8553d", () => context.rect(24 * unit, 48 * unit, 30 * unit, 26 * unit));
    fill("#5a3a2e", () => { context.moveTo(20 * unit, 48 * unit); context.lineTo(39 * unit, 30 * unit); context.lineTo(58 * unit, 48 * unit); });
    fill("#fff4d6", () => context.rect(30 * unit, 54 * unit, 8 * unit, 8 * unit));
    fill("#7b4a33", () => context.rect(42 * unit, 58 * unit, 7 * unit, 16 * unit));
    return canvas;
  };

  /* Calls `onPicture` with the picture of the tray (or the default) now and whenever it changes. */
  const watchPicture = (onPicture) => {
    let shown = null;
    const look = () => {
      const image = document.querySelector("#pw-picture img");
      const source = image ? image.currentSrc || image.src : "";
      if (source === shown) return;
      shown = source;
      if (!source) return onPicture(drawDefault(), false);
      const copy = new Image();
      copy.onload = () => { if (shown === source) onPicture(copy, true); };
      copy.onerror = () => { if (shown === source) onPicture(drawDefault(), false); };
      copy.src = source;
    };
    const tray = document.querySelector("#pw-tray");
    if (tray) {
      const seen = {subtree: true, childList: true, attributes: true, attributeFilter: ["src"]};
      new MutationObserver(look).observe(tray, seen);
    }
    look();
    if (shown === "") onPicture(drawDefault(), false);
  };

  /* The middle square of a picture on a canvas of side × side, as CLIP's own preparation crops it. */
  const cropSquare = (picture, side) => {
    const canvas = document.createElement("canvas");
    canvas.width = canvas.height = side;
    const [width, height] = [picture.naturalWidth || picture.width, picture.naturalHeight || picture.height];
    const short = Math.min(width, height);
    canvas.getContext("2d").drawImage(picture, (width - short) / 2, (height - short) / 2, short, short, 0, 0, side, side);
    return canvas;
  };

  // ---------------------------------------------------------------- kept for the visit

  const readKept = (key) => {
    try {
      return JSON.parse(sessionStorage.getItem(key)) || {};
    } catch {
      return {};
    }
  };
  const writeKept = (key, value) => {
    try {
      sessionStorage.setItem(key, JSON.stringify(value));
    } catch {
      // A browser that keeps nothing still lets the reader answer.
    }
  };

  const kit = {
    clamp, mix, during, formatCount, formatTimes, splitTokens, makeRandom, pick, shuffle,
    simulations, register, whenRegistered, mount,
    isHidden, isOnStage, prefersStill, find, readColours, bindSliders, fitCanvas, makeClock, drawDefault, watchPicture, cropSquare,
    readKept, writeKept,
  };
  globalThis.Patchwork = Object.assign(globalThis.Patchwork || {}, kit);
  if (typeof module !== "undefined") module.exports = globalThis.Patchwork;
})();
