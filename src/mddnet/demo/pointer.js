// Values under the pointer, without requests: the page contains the maps as compact data (see page_maps.py). A click is
// the event `select`, with x and y as fractions of the photo. Gradio calls this once with `element`, `props`, `trigger`
// and `watch` of the component whose value is that data; it serves all pictures of its tab.
const PICTURES = ".mdd-map img, .mdd-hero img";
const CLEAR_OF_POINTER_PX = 18;
const CLICK_PX = 5; // a pointer that moves more drags

const tab = element.closest("[role=tabpanel].mdd-tab") ?? document.body;
tab.mddnetPointer?.abort(); // of an earlier copy of this component
const stop = new AbortController();
tab.mddnetPointer = stop;

let maps = null;
let newest = 0;

async function unpacked(text) {
  const packed = JSON.parse(text);
  const bytes = Uint8Array.from(atob(packed.data), (letter) => letter.charCodeAt(0));
  const inflated = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  const raw = new Uint8Array(await new Response(inflated).arrayBuffer());
  const count = packed.columns * packed.rows;
  const codes = (start) => new Uint16Array(raw.buffer, start, count);
  return { ...packed, invDepth: codes(0), signed: codes(2 * count), confidence: raw.subarray(4 * count) };
}

async function take() {
  newest += 1;
  const mine = newest;
  const fresh = props.value ? await unpacked(props.value) : null;
  if (mine !== newest) return;
  hide();
  if (String(fresh?.inv_depth) !== String(maps?.inv_depth)) mark(null); // of another photo
  maps = fresh;
}

const three = (value) => String(Number(value.toPrecision(3)));

// The same text as depth_text and defocus_text in html.py.
function depthText(u) {
  if (maps.unit !== "1/m") return `${three(u)} (${maps.unit}; larger is nearer)`;
  return `${three(u)} 1/m = ${u > maps.infinity ? `${three(1 / u)} m` : "infinity"}`;
}

function defocusText(signed) {
  const size = Math.abs(signed);
  if (size < 0.5) return `${Number(size.toPrecision(2))} px, in focus`;
  return `${three(size)} px, ${signed > 0 ? "behind" : "in front of"} the plane of focus`;
}

// Position of a picture inside its element, which may be wider or higher.
function seen(image) {
  const box = image.getBoundingClientRect();
  if (!image.naturalWidth || !box.width) return null;
  let scale = Math.min(box.width / image.naturalWidth, box.height / image.naturalHeight);
  if (getComputedStyle(image).objectFit === "scale-down") scale = Math.min(scale, 1);
  const [width, height] = [image.naturalWidth * scale, image.naturalHeight * scale];
  return { left: box.left + (box.width - width) / 2, top: box.top + (box.height - height) / 2, width, height };
}

const layer = document.createElement("div");
layer.className = "mdd-pointer";
layer.setAttribute("aria-hidden", "true"); // a screen reader has the fields for column and row
layer.hidden = true;
document.body.append(layer);
stop.signal.addEventListener("abort", () => layer.remove());
const tip = document.createElement("div");
tip.className = "mdd-tip";

// Where an event is in a picture, as fractions; null beside it.
function placeOf(image, event) {
  const box = maps && seen(image);
  if (!box) return null;
  const [x, y] = [(event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height];
  return x >= 0 && y >= 0 && x < 1 && y < 1 ? { x, y } : null;
}

function show(image, event) {
  const place = placeOf(image, event);
  if (!place) return hide();
  const { x, y } = place;
  const at = Math.floor(y * maps.rows) * maps.columns + Math.floor(x * maps.columns);
  const u = maps.inv_depth[0] + maps.inv_depth[1] * maps.invDepth[at];
  const signed = maps.signed_px[0] + maps.signed_px[1] * maps.signed[at];
  const lines = [
    `column ${Math.floor(x * maps.width)}, row ${Math.floor(y * maps.height)}`,
    `inverse depth ${depthText(u)}`,
    `circle of confusion ${defocusText(signed)}`,
    `confidence ${(maps.confidence[at] / 255).toFixed(2)} of 1`,
  ];
  tip.replaceChildren(
    ...lines.map((line) => Object.assign(document.createElement("div"), { textContent: line })),
  );
  const crosses = [...tab.querySelectorAll(".mdd-map img, .mdd-hero img:not(.fixed)")].map(seen).filter(Boolean).map((other) => {
    const cross = document.createElement("div");
    cross.className = "mdd-cross";
    cross.style.left = `${other.left + x * other.width}px`;
    cross.style.top = `${other.top + y * other.height}px`;
    return cross;
  });
  layer.replaceChildren(...crosses, tip);
  layer.hidden = false;
  const { width, height } = tip.getBoundingClientRect();
  const right = event.clientX + CLEAR_OF_POINTER_PX;
  const below = event.clientY + CLEAR_OF_POINTER_PX;
  tip.style.left = `${Math.max(0, right + width > innerWidth ? event.clientX - CLEAR_OF_POINTER_PX - width : right)}px`;
  tip.style.top = `${Math.max(0, below + height > innerHeight ? event.clientY - CLEAR_OF_POINTER_PX - height : below)}px`;
  ring(u, Math.abs(signed));
}

// The same pixel in the plot of the lens law; `data-plot` holds its axes.
function ring(u, size) {
  const svg = tab.querySelector(".mdd-law[data-plot]");
  if (!svg) return;
  const { left, right, low, high, bottom, top, most } = JSON.parse(svg.dataset.plot);
  let mark = svg.querySelector(".mdd-ring");
  if (u === null || u < low || u > high) return mark?.remove();
  if (!mark) {
    mark = document.createElementNS("http://www.w3.org/2000/svg", "circle");
    mark.setAttribute("class", "mdd-ring");
    mark.setAttribute("r", "6");
    svg.append(mark);
  }
  mark.setAttribute("cx", left + ((u - low) / (high - low)) * (right - left));
  mark.setAttribute("cy", bottom + (Math.min(size, most) / most) * (top - bottom));
}

function hide() {
  if (layer.hidden) return;
  layer.hidden = true;
  ring(null, 0);
}

// A ring at the selected point on the large picture.
const marker = Object.assign(document.createElement("div"), { className: "mdd-marker" });
function mark(point) {
  marker.remove();
  const hero = tab.querySelector(".mdd-hero .slider-wrap");
  const box = point && hero && seen(hero.querySelector("img"));
  if (!box) return;
  const outer = hero.getBoundingClientRect();
  marker.style.left = `${(100 * (box.left - outer.left + point.x * box.width)) / outer.width}%`;
  marker.style.top = `${(100 * (box.top - outer.top + point.y * box.height)) / outer.height}%`;
  hero.append(marker);
}
stop.signal.addEventListener("abort", () => marker.remove());

const listen = { signal: stop.signal, passive: true };
const imageOf = (event) => (tab.contains(event.target) ? event.target.closest?.(PICTURES) : null);
document.addEventListener("pointermove", (event) => {
  const image = event.pointerType === "touch" ? null : imageOf(event);
  if (image) show(image, event);
  else hide();
}, listen);
let pressed = null;
document.addEventListener("pointerdown", (event) => {
  pressed = event;
}, { ...listen, capture: true });
// Not `click`, which the slider of a touch screen suppresses.
document.addEventListener("pointerup", (event) => {
  const image = imageOf(event);
  const place = image && placeOf(image, event);
  if (!place || Math.hypot(event.clientX - pressed?.clientX, event.clientY - pressed?.clientY) > CLICK_PX) return;
  mark(place);
  trigger("select", place);
}, { ...listen, capture: true });
// The wheel scrolls the page; Gradio would enlarge the picture.
document.addEventListener("wheel", (event) => {
  if (!event.ctrlKey && event.target.closest?.(".mdd-hero")) event.stopPropagation();
}, { ...listen, capture: true });
document.addEventListener("scroll", hide, { ...listen, capture: true });
document.addEventListener("pointerleave", hide, listen);
watch("value", take);
take();
