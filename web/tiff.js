// An uncompressed TIFF of one grey map, as src/mddnet/predict/output.py writes it: float32, or bytes for a confidence.

const [SHORT, LONG, ASCII] = [3, 4, 2];

// Blob of a { h, w, data }, data a Float32Array or Uint8Array, with a description in ASCII.
export function tiff({ h, w, data }, description) {
  const text = new TextEncoder().encode(`${description}\0`);
  const isFloat = data instanceof Float32Array;
  const entries = [
    [256, LONG, 1, w], [257, LONG, 1, h], [258, SHORT, 1, isFloat ? 32 : 8], [259, SHORT, 1, 1], [262, SHORT, 1, 1],
    [270, ASCII, text.length, null], [273, LONG, 1, null], [277, SHORT, 1, 1], [278, LONG, 1, h],
    [279, LONG, 1, data.byteLength], [339, SHORT, 1, isFloat ? 3 : 1],
  ];
  const textAt = 8 + 2 + 12 * entries.length + 4;
  const dataAt = (textAt + text.length + 7) & ~7;
  const head = new DataView(new ArrayBuffer(dataAt));
  head.setUint16(0, 0x4949);
  head.setUint16(2, 42, true);
  head.setUint32(4, 8, true);
  head.setUint16(8, entries.length, true);
  entries.forEach(([tag, type, count, value], i) => {
    const at = 10 + 12 * i;
    head.setUint16(at, tag, true);
    head.setUint16(at + 2, type, true);
    head.setUint32(at + 4, count, true);
    const stored = tag === 270 ? textAt : tag === 273 ? dataAt : value;
    if (type === SHORT) head.setUint16(at + 8, stored, true);
    else head.setUint32(at + 8, stored, true);
  });
  new Uint8Array(head.buffer).set(text, textAt);
  return new Blob([head.buffer, data], { type: "image/tiff" });
}
