/* Projection alignment: turn vision space until its patches lie near their words; then count a bridge's weights. */

const {formatCount, find, pick} = Patchwork;

/* Directions in degrees. In language space six words; in vision space the same six things, turned away by 138° and a
   little out of place, because two models never draw quite the same map. */
const WORDS = ["cat", "dog", "car", "tree", "sky", "cup"];
const LANGUAGE = [12, 44, 118, 176, 248, 310];
const AWAY = 138;
const OUT_OF_PLACE = [5, -7, 3, 9, -6, -4];
const VISION = LANGUAGE.map((angle, index) => angle - AWAY + OUT_OF_PLACE[index]);
const WRONG = [2, 4, 1, 5, 0, 3];
const PER_SIDE = 24;
const START = {angle: 20, wrong: false, vision: 1024, language: 4096, merge: 1};

const radians = (degrees) => (degrees * Math.PI) / 180;
const wrap = (degrees) => ((degrees % 360) + 360) % 360;

/* How far each turned patch still is from its word, in degrees. */
function findErrors({angle, wrong}) {
  return VISION.map((start, index) => start + angle - LANGUAGE[wrong ? WRONG[index] : index]);
}

/* Mean cosine between the turned patches and their words. */
function score(state) {
  const errors = findErrors(state);
  return errors.reduce((sum, error) => sum + Math.cos(radians(error)), 0) / errors.length;
}

/* Its derivative, per degree. */
function slope(state) {
  const errors = findErrors(state);
  return (-radians(1) * errors.reduce((sum, error) => sum + Math.sin(radians(error)), 0)) / errors.length;
}

/* One step of gradient ascent. This rate, in square degrees, comes near the best angle in about twenty steps. */
const RATE = 1000;
function step(state) {
  return wrap(state.angle + RATE * slope(state));
}

const isFlat = (state) => Math.abs(RATE * slope(state)) < 0.05;

/* A sum of cosines of one frequency is again a cosine: the best angle and its score in closed form. */
function findBest(state) {
  const errors = findErrors({...state, angle: 0}).map(radians);
  const along = errors.reduce((sum, error) => sum + Math.cos(error), 0) / errors.length;
  const across = errors.reduce((sum, error) => sum + Math.sin(error), 0) / errors.length;
  return {angle: wrap((Math.atan2(-across, along) * 180) / Math.PI), score: Math.hypot(along, across)};
}

/* The word that each turned patch lies nearest to. */
function readPatches({angle}) {
  return VISION.map((start) => {
    const cosines = LANGUAGE.map((word) => Math.cos(radians(start + angle - word)));
    return cosines.indexOf(Math.max(...cosines));
  });
}

/* Weights of the two usual bridges, biases included, and how many vectors they hand over. */
function countBridge({vision, language, merge}) {
  const taken = vision * merge * merge;
  const matrix = taken * language + language;
  return {taken, matrix, mlp: matrix + language * language + language, places: Math.floor(PER_SIDE / merge) ** 2};
}

/* What the quiz asks for, beside the counts themselves: near misses. */
function facts(state) {
  const {vision, language} = state;
  const best = findBest(state);
  return {
    ...state,
    ...countBridge(state),
    score: score(state),
    top: best.score,
    best: best.angle,
    right: readPatches(state).filter((word, index) => word === index).length,
    product: vision * language,
    sum: vision + language,
    squared: language * language,
    handed: PER_SIDE * PER_SIDE * language,
  };
}

function draw(random) {
  return {...START, vision: pick([384, 768, 1024, 1152, 1280], random), language: pick([896, 1536, 2048, 2560, 4096], random)};
}

function mountAlign(root, sim) {
  const {state} = sim;
  const plane = find(root, "plane");
  const slider = root.querySelector("input[data-name=angle]");
  const climb = find(root, "climb");
  let trail = [];
  let climbing = false;
  let timer = null;

  const redrawPlane = Patchwork.fitCanvas(plane, (width) => Math.min(width, 340), paintPlane);
  const redrawCurve = Patchwork.fitCanvas(find(root, "curve"), () => 120, paintCurve);
  const place = (degrees, radius, [x, y]) => [x + radius * Math.cos(radians(degrees)), y - radius * Math.sin(radians(degrees))];

  function paintPlane(context, width, height) {
    const colours = Patchwork.readColours(root);
    const centre = [width / 2, height / 2];
    const radius = Math.min(width, height) / 2 - 46;
    const read = readPatches(state);
    context.font = "600 13px 'IBM Plex Sans', system-ui, sans-serif";
    context.textAlign = "center";
    context.textBaseline = "middle";
    context.strokeStyle = colours.line;
    context.beginPath();
    context.arc(...centre, radius, 0, 7);
    context.stroke();
    VISION.forEach((start, index) => paintPair(context, colours, place(start + state.angle, radius - 32, centre), place(LANGUAGE[state.wrong ? WRONG[index] : index], radius, centre)));
    LANGUAGE.forEach((word, index) => paintWord(context, colours, index, place(word, radius, centre), place(word, radius + 24, centre)));
    VISION.forEach((start, index) => paintPatch(context, colours, index, read[index] === index, place(start + state.angle, radius - 32, centre)));
    context.textAlign = "start";
    context.textBaseline = "alphabetic";
  }

  function paintPair(context, colours, from, to) {
    context.strokeStyle = colours.edge;
    context.lineWidth = 1.5;
    context.setLineDash([3, 4]);
    context.beginPath();
    context.moveTo(...from);
    context.lineTo(...to);
    context.stroke();
    context.setLineDash([]);
  }

  function paintWord(context, colours, index, [x, y], label) {
    context.fillStyle = colours.text;
    context.beginPath();
    context.arc(x, y, 7, 0, 7);
    context.fill();
    context.fillText(WORDS[index], ...label);
  }

  /* Filled when the nearest word is the patch's own, pale when not. */
  function paintPatch(context, colours, index, right, [x, y]) {
    const [wide, high] = [36, 20];
    context.fillStyle = right ? colours.visual : colours["visual-soft"];
    context.fillRect(x - wide / 2, y - high / 2, wide, high);
    context.strokeStyle = colours.visual;
    context.lineWidth = 2;
    context.strokeRect(x - wide / 2, y - high / 2, wide, high);
    context.fillStyle = right ? colours.surface : colours.visual;
    context.fillText(WORDS[index], x, y + 1);
  }

  function paintCurve(context, width, height) {
    const colours = Patchwork.readColours(root);
    const at = (angle) => [(angle / 360) * width, height / 2 - score({...state, angle}) * (height / 2 - 12)];
    context.strokeStyle = colours.line;
    context.lineWidth = 1;
    context.beginPath();
    context.moveTo(0, height / 2);
    context.lineTo(width, height / 2);
    context.stroke();
    context.strokeStyle = colours.edge;
    context.lineWidth = 2;
    context.beginPath();
    for (let angle = 0; angle <= 360; angle += 4) context.lineTo(...at(angle));
    context.stroke();
    context.fillStyle = colours.output;
    for (const angle of trail) {
      context.beginPath();
      context.arc(...at(angle), 3.5, 0, 7);
      context.fill();
    }
    const [x, y] = at(state.angle);
    context.fillStyle = colours.visual;
    context.fillRect(x - 6, y - 6, 12, 12);
    context.font = "12px 'IBM Plex Sans', system-ui, sans-serif";
    context.fillStyle = colours.muted;
    context.fillText("score at every angle, 0° to 360°", 4, height - 2);
  }

  function tell() {
    const known = facts(state);
    slider.value = Math.round(state.angle);
    slider.setAttribute("aria-valuetext", `${Math.round(state.angle)}°`);
    root.querySelector("output[data-of=angle]").textContent = `${Math.round(state.angle)}°`;
    find(root, "score").textContent = known.score.toFixed(3);
    find(root, "top").textContent = known.top.toFixed(3);
    find(root, "right").textContent = `${known.right} of ${WORDS.length}`;
    find(root, "slope").textContent = slope(state).toFixed(4);
    find(root, "places").textContent = formatCount(known.places);
    find(root, "matrix").textContent = `${known.matrix.toLocaleString("en")} parameters`;
    find(root, "mlp").textContent = `${known.mlp.toLocaleString("en")} parameters`;
    find(root, "say").textContent = describe(known);
    redrawPlane();
    redrawCurve();
  }

  function describe(known) {
    if (trail.length > 1) {
      const before = score({...state, angle: trail[0]}).toFixed(3);
      return `${trail.length - 1} steps from ${Math.round(trail[0])}°: the score went from ${before} to ${known.score.toFixed(3)}.`;
    }
    if (state.wrong) return "Every patch is now pulled towards another patch's word. The best angle there is, is a poor one.";
    return known.top - known.score < 0.005 ? "This is as good as turning gets: the two maps are alike, not equal." : "Turn the squares until they lie near their words.";
  }

  function stop() {
    climbing = false;
    clearTimeout(timer);
    climb.textContent = "Find the best angle";
  }

  function turn(angle) {
    stop();
    trail = [];
    state.angle = wrap(angle);
    tell();
  }

  function takeStep() {
    state.angle = step(state);
    trail.push(state.angle);
  }

  const isDone = () => isFlat(state) || trail.length > 80;

  /* A step every tenth of a second, so that the eye can follow; it waits while its tab is hidden. */
  function climbOn() {
    if (!climbing || !root.isConnected) return;
    if (isDone()) return void (stop(), tell());
    if (!Patchwork.isHidden(root)) {
      takeStep();
      tell();
    }
    timer = setTimeout(climbOn, 110);
  }

  climb.addEventListener("click", () => {
    if (climbing) return void (stop(), tell());
    trail = [state.angle];
    if (Patchwork.prefersStill()) {
      while (!isDone()) takeStep();
      return tell();
    }
    climbing = true;
    climb.textContent = "Stop";
    climbOn();
  });
  find(root, "wrong").addEventListener("change", (event) => {
    state.wrong = event.target.checked;
    turn(state.angle);
  });

  Patchwork.bindSliders(root, (name, value) => {
    if (name === "angle") return turn(value);
    state[name] = value;
    tell();
  }, {angle: (value) => `${value}°`, vision: formatCount, language: formatCount, merge: (value) => `${value} × ${value}`});

  const pointAt = (event) => {
    const box = plane.getBoundingClientRect();
    return (Math.atan2(box.top + box.height / 2 - event.clientY, event.clientX - box.left - box.width / 2) * 180) / Math.PI;
  };
  let held = null;
  plane.addEventListener("pointerdown", (event) => {
    held = state.angle - pointAt(event);
    plane.setPointerCapture(event.pointerId);
  });
  plane.addEventListener("pointermove", (event) => { if (held !== null) turn(held + pointAt(event)); });
  for (const end of ["pointerup", "pointercancel"]) plane.addEventListener(end, () => { held = null; });
  plane.addEventListener("keydown", (event) => {
    const by = {ArrowLeft: 3, ArrowUp: 3, ArrowRight: -3, ArrowDown: -3}[event.key];
    if (!by) return;
    event.preventDefault();
    event.stopPropagation();
    turn(state.angle + by);
  });
}

Patchwork.register("bridge", {start: START, facts, draw, mount: mountAlign, score, slope, step, findBest, countBridge});
