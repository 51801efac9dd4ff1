// The page: what the visitor sees and does. All computing is in worker.js.
import { short } from "./arrays.js";
import { DEPTH_COLOURS, SIGN_COLOURS } from "./color_maps.js";
import { EXAMPLE, MDDNET_VERSION, NAME, VERSION } from "./constants/model.js";

const MAX_FILE_MB = 100;
const MAX_MEGAPIXELS = 64;
const IN_FOCUS_PX = 0.5;
const KEY_STEP = 0.02; // of the photo, per press of an arrow key

const byId = (id) => document.getElementById(id);
const UNTOUCHED = { focus: null, point: { x: 0.5, y: 0.5 } }; // where the visitor focused, and where the keyboard is
const state = { name: "photo", result: null, shown: null, ...UNTOUCHED };

// A worker of a blob obeys the content security policy of this page; one of a file would have its own, or none.
const source = new Blob([`import ${JSON.stringify(new URL("./worker.js", import.meta.url).href)};`], { type: "text/javascript" });
const worker = new Worker(URL.createObjectURL(source), { type: "module" });
const waiting = new Map();
let asked = 0;

function ask(job, request = {}) {
  asked += 1;
  worker.postMessage({ id: asked, job, ...request });
  return new Promise((resolve, reject) => waiting.set(asked, { resolve, reject }));
}

worker.onmessage = ({ data: { id, result, error } }) => {
  const { resolve, reject } = waiting.get(id);
  waiting.delete(id);
  if (error === undefined) resolve(result);
  else reject(new Error(error));
};
worker.onerror = () => say("This browser cannot run the page's scripts; use one of 2023 or later.", true);

function say(text, bad = false) {
  byId("status").textContent = text;
  byId("status").classList.toggle("bad", bad);
}

function draw(canvas, picture) {
  canvas.width = picture.width;
  canvas.height = picture.height;
  canvas.getContext("2d").putImageData(picture, 0, 0);
}

// --- a photo -------------------------------------------------------------------------------------------------------

async function take(file) {
  if (!file) return;
  say(`Estimating ${file.name} …`);
  try {
    await check(file);
    const result = await ask("photo", { file, lens: lensOfForm() });
    Object.assign(state, { name: file.name.replace(/\.[^.]*$/, ""), shown: result.shown, ...UNTOUCHED });
    byId("work").hidden = false;
    byId("work").classList.toggle("portrait", result.height > result.width);
    draw(byId("photo"), result.shown);
    byId("photo").setAttribute("aria-label", `The photo ${file.name}`);
    show(result);
    say(`${file.name}: ${result.width} × ${result.height} px, ${result.seconds.toFixed(1)} s`);
  } catch (error) {
    say(`${file.name}: ${error.message}`, true);
  }
}

// What can be checked before decoding; an Error with a sentence.
async function check(file) {
  if (file.size > MAX_FILE_MB * 1e6) {
    throw new Error(`${Math.round(file.size / 1e6)} MB is too large: expected at most ${MAX_FILE_MB} MB`);
  }
  const picture = new Image();
  picture.src = URL.createObjectURL(file);
  try {
    await new Promise((resolve, reject) => Object.assign(picture, { onload: resolve, onerror: reject }));
  } catch {
    throw new Error("not a photo that this browser can read: expected JPEG, PNG, WebP or AVIF");
  } finally {
    URL.revokeObjectURL(picture.src);
  }
  const megapixels = (picture.naturalWidth * picture.naturalHeight) / 1e6;
  if (megapixels > MAX_MEGAPIXELS) {
    const size = `${picture.naturalWidth} x ${picture.naturalHeight} px`;
    throw new Error(`${size} is too large: expected at most ${MAX_MEGAPIXELS} megapixels; resize it`);
  }
}

function show(result) {
  state.result = result;
  draw(byId("depth"), result.depthPicture);
  draw(byId("defocus"), result.defocusPicture);
  const { low, high, mostPx } = result.range;
  const metric = result.unit !== "relative";
  byId("depth-low").textContent = metric ? `far, ${short(low, 3)} ${result.unit}` : "far";
  byId("depth-high").textContent = metric ? `${short(high, 3)} ${result.unit}, near` : "near";
  byId("defocus-low").textContent = `${short(mostPx, 2)} px in front`;
  byId("defocus-high").textContent = `behind ${short(mostPx, 2)} px`;
  byId("own").disabled = !result.focus.found;
  byId("verdict").textContent = result.focus.found
    ? "A plane of focus was found: blur and depth follow the lens law."
    : `No plane of focus: ${result.focus.reason}. Blur that you add follows the depth map alone.`;
  byId("notes").replaceChildren(
    ...result.notes.map((note) => Object.assign(document.createElement("li"), { textContent: note })));
  mark(null);
  byId("point").textContent = "Point at a picture to read its values.";
  shows("original");
}

// --- refocusing ----------------------------------------------------------------------------------------------------

function shows(what) {
  byId("original").setAttribute("aria-pressed", String(what === "original"));
}

// Render the newest wish; those in between are left out.
let wish = null;
let rendering = false;
async function refocus() {
  wish = { strength: Number(byId("strength").value), point: state.focus };
  if (rendering) return;
  rendering = true;
  try {
    while (wish) {
      const now = wish;
      wish = null;
      say("Focusing …");
      const picture = await ask("refocus", now);
      draw(byId("photo"), picture ?? state.shown);
      shows("refocused");
      say(picture ? "Refocused. Blur that the photo has stays." : "Nothing to add: the photo has that blur already.");
    }
  } catch (error) {
    say(error.message, true);
  } finally {
    rendering = false;
  }
}

function focusAt(point) {
  state.focus = point;
  mark(point);
  refocus();
}

byId("strength").addEventListener("input", () => {
  byId("strength-value").textContent = `${byId("strength").value} ×`;
  if (state.focus || state.result.focus.found) refocus();
});
byId("original").addEventListener("click", () => {
  draw(byId("photo"), state.shown);
  mark(null);
  shows("original");
  say("The photo as it is.");
});
byId("own").addEventListener("click", () => focusAt(null));

// --- pointer and keyboard ------------------------------------------------------------------------------------------

// Where an event is in the picture of a canvas, as fractions; null outside it.
function placeOf(canvas, event) {
  const box = canvas.getBoundingClientRect();
  const scale = Math.min(box.width / canvas.width, box.height / canvas.height);
  const [x, y] = [(event.clientX - box.left) / (canvas.width * scale), (event.clientY - box.top) / (canvas.height * scale)];
  return x >= 0 && y >= 0 && x < 1 && y < 1 ? { x, y } : null;
}

// A ring on the photo at the chosen point.
function mark(point) {
  const [canvas, marker] = [byId("photo"), byId("marker")];
  marker.hidden = point === null;
  if (point === null) return;
  const scale = Math.min(canvas.clientWidth / canvas.width, canvas.clientHeight / canvas.height);
  marker.style.left = `${canvas.offsetLeft + point.x * canvas.width * scale}px`;
  marker.style.top = `${canvas.offsetTop + point.y * canvas.height * scale}px`;
}

function tell({ x, y }) {
  const { invDepth, signed, confidence, unit, width, height } = state.result;
  const at = Math.floor(y * invDepth.h) * invDepth.w + Math.floor(x * invDepth.w);
  const [u, px] = [invDepth.data[at], signed.data[at]];
  const metres = unit === "1/m" ? ` = ${u > 1e-4 ? `${short(1 / u, 3)} m` : "infinity"}` : "";
  const size = Math.abs(px) < IN_FOCUS_PX ? "in focus" : `${px > 0 ? "behind" : "in front of"} the plane of focus`;
  byId("point").textContent =
    `Column ${Math.floor(x * width)}, row ${Math.floor(y * height)}: inverse depth ${short(u, 3)} (${unit})${metres}, ` +
    `blur ${Math.abs(px) < 0.1 ? "below 0.1" : short(Math.abs(px), 2)} px, ${size}, confidence ${confidence.data[at].toFixed(2)}.`;
}

for (const id of ["photo", "depth", "defocus"]) {
  const canvas = byId(id);
  canvas.addEventListener("pointermove", (event) => {
    const place = state.result && placeOf(canvas, event);
    if (place) tell(place);
  });
  canvas.addEventListener("click", (event) => {
    const place = state.result && placeOf(canvas, event);
    if (place) {
      state.point = place;
      tell(place);
      focusAt(place);
    }
  });
}

const STEPS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
byId("photo").addEventListener("keydown", (event) => {
  if (!state.result) return;
  if (event.key === "Enter") focusAt(state.point);
  else if (event.key in STEPS) {
    const [right, down] = STEPS[event.key];
    const moved = (value, step) => Math.min(Math.max(value + step * KEY_STEP, 0), 0.999);
    state.point = { x: moved(state.point.x, right), y: moved(state.point.y, down) };
    tell(state.point);
    mark(state.point);
  } else return;
  event.preventDefault();
});

addEventListener("resize", () => mark(byId("marker").hidden ? null : state.point));

// --- lens ----------------------------------------------------------------------------------------------------------

function lensOfForm() {
  const lens = {};
  for (const { name, value } of byId("lens-form").querySelectorAll("input")) {
    const number = Number(value.trim().replace(",", "."));
    if (value.trim() && !(number > 0 && Number.isFinite(number))) throw new Error(`${value}: expected a positive number`);
    lens[name] = value.trim() ? number : null;
  }
  return lens;
}

byId("lens-form").addEventListener("submit", async (event) => {
  event.preventDefault();
  try {
    const result = await ask("lens", { lens: lensOfForm() });
    draw(byId("photo"), state.shown);
    show(result);
    state.focus = null;
    say(result.unit === "relative" ? "Depth is relative." : `Depth is in ${result.unit}.`);
  } catch (error) {
    say(error.message, true);
  }
});

// --- downloads -----------------------------------------------------------------------------------------------------

function save(blob, name) {
  const link = Object.assign(document.createElement("a"), { href: URL.createObjectURL(blob), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}

document.querySelector(".downloads").addEventListener("click", async ({ target }) => {
  const { map, canvas, picture } = target.dataset;
  try {
    if (map) save(await ask("map", { quantity: map }), `${state.name}.${map}.tiff`);
    if (canvas) byId(canvas).toBlob((blob) => save(blob, `${state.name}.${canvas}.png`));
    if (picture !== undefined) {
      const wanted = { strength: Number(byId("strength").value), point: state.focus };
      save(await ask("picture", wanted), `${state.name}.refocused.jpg`);
    }
  } catch (error) {
    say(error.message, true);
  }
});

// --- start ---------------------------------------------------------------------------------------------------------

function bar(id, table) {
  const data = new Uint8ClampedArray(table.flatMap((colour) => [...colour, 255]));
  byId(id).getContext("2d").putImageData(new ImageData(data, table.length, 1), 0, 0);
}
bar("depth-bar", DEPTH_COLOURS);
bar("defocus-bar", SIGN_COLOURS);
byId("model").textContent = `mddnet ${MDDNET_VERSION}, model ${NAME} ${VERSION}. Nothing is sent anywhere.`;

byId("file").addEventListener("change", ({ target }) => take(target.files[0]).then(() => (target.value = "")));
byId("example").hidden = EXAMPLE === null;
byId("example").addEventListener("click", async () => {
  const answer = await fetch(new URL(EXAMPLE, import.meta.url));
  take(new File([await answer.blob()], EXAMPLE));
});
for (const kind of ["dragover", "dragleave", "drop"]) {
  addEventListener(kind, (event) => {
    event.preventDefault();
    document.body.classList.toggle("dropping", kind === "dragover");
    if (kind === "drop") take(event.dataTransfer.files[0]);
  });
}

ask("load").then(
  () => byId("status").textContent.startsWith("Loading") && say("Ready."),
  (error) => say(`The network cannot be loaded: ${error.message}`, true),
);
