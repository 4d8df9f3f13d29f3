
const page = JSON.parse(document.getElementById("data").textContent);
const COLOURS = ["#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00"];
const ROUND = 4000; // ms of an animation, there and back

const decode = makeDecoder(page.operations);
const starts = { ...page.starts, loc: numbers(page.starts.loc), occurs: numbers(page.starts.occurs) };
const draws = numbers(page.draws);
const z = Float32Array.from(page.check.z);
const sliders = new Map(); // latent → its slider and the number beside it
const moving = new Map(); // latent → when its animation began, and its button
let from = ""; // where z came from
let waiting = false, spent = NaN;

const find = (id) => document.getElementById(id);
const text = (value, digits) => value.toFixed(digits).replace("-", "\u2212");

/** An element with attributes, properties that are functions, and children. */
function make(tag, attributes = {}, ...children) {
  const drawn = ["svg", "polygon", "polyline", "line", "text"].includes(tag);
  const element = drawn ? document.createElementNS("http://www.w3.org/2000/svg", tag) : document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") element.addEventListener(name, value);
    else element.setAttribute(name, value);
  }
  element.append(...children);
  return element;
}

// --- pictures -------------------------------------------------------------------------------------------------------

/** Draws [H, W, C] levels 0…255; grey unless there are three channels. */
function paint(canvas, levels) {
  const [height, width, channels] = page.shape;
  Object.assign(canvas, { width, height });
  const image = new ImageData(width, height);
  for (let i = 0; i < width * height; i++) {
    for (let c = 0; c < 3; c++) image.data[4 * i + c] = Math.round(levels[i * channels + (channels === 3 ? c : 0)]);
    image.data[4 * i + 3] = 255;
  }
  canvas.getContext("2d").putImageData(image, 0, 0);
}

const levels = (probabilities) => probabilities.map((p) => 255 * p);

function draw() {
  waiting = false;
  const began = performance.now(), probabilities = decode(z), took = performance.now() - began;
  spent = Number.isNaN(spent) ? took : 0.9 * spent + 0.1 * took;
  paint(find("decoded"), levels(probabilities));
  find("status").textContent = `${from}.\nDecoded in ${spent < 10 ? text(spent, 1) : Math.round(spent)} ms.`;
  const loud = page.latents.filter((latent) => !latent.dead);
  const values = loud.map(({ index }) => `z${index} = ${text(z[index], 2)}`);
  find("decoded").setAttribute("aria-label", `decoded image at ${values.join(", ")}`);
}

/** Draws once before the next frame, however often it is asked to. */
function show() {
  if (!waiting) requestAnimationFrame(draw);
  waiting = true;
}

// --- z --------------------------------------------------------------------------------------------------------------

function setLatent(index, value) {
  const { slider, output } = sliders.get(index);
  z[index] = value;
  slider.value = value;
  output.textContent = text(value, 2);
}

function setAll(values, origin) {
  halt();
  values.forEach((value, index) => setLatent(index, value));
  from = origin;
  show();
}

function halt(index) {
  for (const latent of index === undefined ? [...moving.keys()] : [index]) {
    moving.get(latent)?.button.setAttribute("aria-pressed", "false");
    moving.delete(latent);
  }
}

function moved(index, value) {
  setLatent(index, value);
  if (!from.endsWith(", moved")) from += ", moved";
  show();
}

/** Latent `index` swings through its range until it is asked again. */
function animate(index, range, button) {
  if (moving.has(index)) return halt(index);
  const [low, high] = range, phase = Math.acos(Math.max(-1, Math.min(1, 1 - (2 * (z[index] - low)) / (high - low))));
  moving.set(index, { button, range, began: performance.now() - (phase / (2 * Math.PI)) * ROUND });
  button.setAttribute("aria-pressed", "true");
  if (moving.size === 1) requestAnimationFrame(swing);
}

function swing(now) {
  for (const [index, { began, range: [low, high] }] of moving) {
    moved(index, low + ((high - low) * (1 - Math.cos((2 * Math.PI * (now - began)) / ROUND))) / 2);
  }
  if (moving.size) requestAnimationFrame(swing);
}

// --- where to start -------------------------------------------------------------------------------------------------

const places = [...starts.anchor]; // of each factor, which of its kept values

function cell() {
  return places.reduce((sum, place, k) => sum * starts.values[k].length + place, 0);
}

/** The image with the chosen factors; nothing happens where there is none. */
function startFromImage() {
  const row = cell(), values = starts.values.map((kept, k) => kept[places[k]]);
  const n = values.reduce((sum, value, k) => sum * starts.sizes[k] + value, 0);
  if (!starts.occurs[row]) {
    find("status").textContent = `No image has these factors: image ${n} does not occur.`;
    return;
  }
  const central = places.every((place, k) => place === starts.anchor[k]);
  const width = z.length;
  setAll(central ? page.check.z : [...starts.loc.subarray(row * width, (row + 1) * width)], `Image ${n.toLocaleString("en")} of the data`);
}

function setPlaces(next) {
  next.forEach((place, k) => {
    places[k] = place;
    const slider = find(`factor-${k}`);
    if (slider) {
      slider.value = place;
      slider.parentElement.nextElementSibling.textContent = starts.values[k][place];
    }
  });
}

function randomImage() {
  do setPlaces(starts.values.map((kept) => Math.floor(Math.random() * kept.length)));
  while (!starts.occurs[cell()]);
  startFromImage();
}

function randomZ() {
  const width = z.length, row = Math.floor((Math.random() * draws.length) / width);
  setAll([...draws.subarray(row * width, (row + 1) * width)], "A draw from the prior p(z)");
}

// --- what stands on the page ----------------------------------------------------------------------------------------

function latentRow(latent) {
  const { index, range: [low, high], density } = latent, name = `z${index}`, output = make("output", { for: name });
  const slider = make("input", { type: "range", id: name, min: low, max: high, step: 0.05 });
  slider.addEventListener("input", () => (halt(index), moved(index, Number(slider.value))));
  const button = make("button", { type: "button", "aria-pressed": "false", "aria-label": `animate ${name}` }, "\u25B6\uFE0E");
  button.addEventListener("click", () => animate(index, latent.range, button));
  const points = density.map((height, i) => `${(i + 0.5) * (100 / density.length)},${15 - 14 * height}`);
  const hill = make("svg", { viewBox: "0 0 100 15", preserveAspectRatio: "none", "aria-hidden": "true" },
    make("polygon", { points: `0,15 ${points.join(" ")} 100,15` }));
  sliders.set(index, { slider, output });
  return make("div", { class: "row" },
    make("label", { for: name }, make("b", {}, name), `: ${latent.encodes}`,
      make("span", {}, `${text(latent.nats, 2)} nats of which image it is`)),
    make("span", { class: "track" }, hill, slider), output, button);
}

function factorRow(name, k) {
  const kept = starts.values[k], id = `factor-${k}`, output = make("output", { for: id }, String(kept[places[k]]));
  const slider = make("input", { type: "range", id, min: 0, max: kept.length - 1, step: 1, value: places[k] });
  slider.addEventListener("input", () => {
    places[k] = Number(slider.value);
    output.textContent = kept[places[k]];
    startFromImage();
  });
  const few = kept.length < starts.sizes[k] ? `, ${kept.length} of them here` : "";
  return make("div", { class: "row" },
    make("label", { for: id }, make("b", {}, name), make("span", {}, `values 0 … ${starts.sizes[k] - 1}${few}`)),
    make("span", { class: "track" }, slider), output);
}

function heatMap() {
  const { factors, share, entropies, gaps } = page.information;
  const row = (tag, cells) => make("tr", {}, ...cells.map((cell, i) => (cell instanceof Node ? cell
    : make(i ? tag : "th", i ? {} : { scope: "row" }, cell))));
  const shaded = (value) => {
    const cell = make("td", {}, text(value, 2)), strength = Math.min(1, Math.max(0, value));
    cell.style.backgroundColor = `rgb(${[[255, 8], [255, 81], [255, 156]].map(([a, b]) => Math.round(a + (b - a) * strength ** 0.8))})`;
    if (strength > 0.72) cell.style.color = "#fff";
    return cell;
  };
  const head = row("th", ["", ...factors, "encodes"]);
  const body = page.latents.map(({ index, encodes, dead }) => {
    const line = row("td", [`z${index}`, ...share[index].map(shaded), make("td", { class: "said" }, encodes)]);
    if (dead) line.className = "dead";
    return line;
  });
  const foot = [
    row("td", ["gap", ...gaps.map((gap) => (gap === null ? "not scored" : text(gap, 3)))]),
    row("td", ["H(v), nats", ...entropies.map((entropy) => text(entropy, 2))]),
  ];
  find("information").append(make("thead", {}, head), make("tbody", {}, ...body), make("tfoot", {}, ...foot));
}

/** Round numbers that part a range into two to five. */
function ticks(low, high) {
  const rough = (high - low) / 4 || 1, power = 10 ** Math.floor(Math.log10(rough));
  const step = power * [1, 2, 5, 10].find((factor) => factor * power >= rough);
  const first = Math.ceil(low / step), count = Math.floor(high / step) - first + 1;
  return Array.from({ length: count }, (_, i) => Number(((first + i) * step).toPrecision(6)));
}

const dashes = (label) => (label.includes("minibatch") ? { "stroke-dasharray": "5 3" } : {});

function curve({ label, lines }) {
  const xs = lines.flatMap(({ steps }) => steps), ys = lines.flatMap(({ values }) => values);
  const [left, right, top, bottom] = [44, 296, 8, 130];
  const [x0, x1, y0, y1] = [Math.min(...xs), Math.max(...xs), Math.min(...ys), Math.max(...ys)];
  const x = (step) => left + ((step - x0) / (x1 - x0 || 1)) * (right - left);
  const y = (value) => bottom - 4 - ((value - y0) / (y1 - y0 || 1)) * (bottom - top - 8);
  const chart = make("svg", { viewBox: "0 0 304 162", role: "img", "aria-label": `${label} over training` });
  for (const value of ticks(y0, y1)) {
    chart.append(make("line", { x1: left, x2: right, y1: y(value), y2: y(value), stroke: "#e3e7eb" }),
      make("text", { x: left - 5, y: y(value) + 3, "text-anchor": "end" }, String(value).replace("-", "\u2212")));
  }
  for (const step of ticks(x0, x1)) {
    chart.append(make("text", { x: x(step), y: bottom + 13, "text-anchor": "middle" }, step.toLocaleString("en")));
  }
  chart.append(make("line", { x1: left, x2: right, y1: bottom, y2: bottom, stroke: "#5b6570" }),
    make("text", { x: (left + right) / 2, y: bottom + 28, "text-anchor": "middle" }, "steps"));
  const key = make("div", { class: "key" });
  lines.forEach((line, i) => {
    const look = { fill: "none", stroke: COLOURS[i], "stroke-width": 2, ...dashes(line.label) };
    chart.append(line.steps.length > 1
      ? make("polyline", { points: line.steps.map((step, k) => `${x(step)},${y(line.values[k])}`).join(" "), ...look })
      : make("circle", { cx: x(line.steps[0]), cy: y(line.values[0]), r: 3, fill: COLOURS[i] }));
    key.append(make("span", {}, make("svg", { viewBox: "0 0 22 8", "aria-hidden": "true" },
      make("line", { x1: 0, x2: 22, y1: 4, y2: 4, ...look })), line.label));
  });
  return make("figure", {}, make("figcaption", {}, label), chart, key);
}

/** The largest difference of a pixel's probability between this page's decoder and Keras'. */
function difference() {
  const expected = numbers(page.check.probabilities), found = decode(page.check.z);
  return found.reduce((most, p, i) => Math.max(most, Math.abs(p - expected[i])), 0);
}

function build() {
  find("subtitle").textContent = page.subtitle;
  const [loud, dead] = [false, true].map((kind) => page.latents.filter((latent) => latent.dead === kind));
  find("latents").append(...loud.map(latentRow));
  find("dead").hidden = !dead.length;
  find("dead").firstElementChild.textContent = `${dead.length} dead latent${dead.length > 1 ? "s" : ""}, less than ${page.least} nats of which image it is`;
  find("dead").lastElementChild.append(...dead.map(latentRow));
  starts.names.forEach((name, k) => starts.values[k].length > 1 && find("factors").append(factorRow(name, k)));
  heatMap();
  find("measures").append(make("tbody", {}, ...page.measures.map(([name, value, meaning]) => make("tr", {},
    make("th", { scope: "row" }, name), make("td", {}, value), make("td", {}, meaning)))));
  find("training").hidden = !page.curves.length;
  find("curves").append(...page.curves.map(curve));
  const off = difference(), agrees = `this page and Keras differ by ${off.toExponential(0)} at most, at the central image`;
  for (const [name, value] of [...page.provenance, ["check", agrees]]) {
    find("provenance").append(make("dt", {}, name), make("dd", {}, value));
  }
  if (!(off < 0.005)) {
    find("warning").hidden = false;
    find("warning").textContent = `The decoder of this page is not that of the run in this browser: ${agrees}.`;
  }
  paint(find("original"), numbers(page.image));
  paint(find("reconstruction"), levels(decode(page.check.z)));
}

build();
find("reset").addEventListener("click", () => (setPlaces(starts.anchor), startFromImage()));
find("random-image").addEventListener("click", randomImage);
find("random-z").addEventListener("click", randomZ);
startFromImage();
