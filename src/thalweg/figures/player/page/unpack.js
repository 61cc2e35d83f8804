// @ts-check
// The payload's numbers: one deflated block, cut into typed arrays.

/** @typedef {{type: "f8" | "f4" | "u4" | "u2" | "u1", start: number, count: number}} Slot */

const VIEWS = { f8: Float64Array, f4: Float32Array, u4: Uint32Array, u2: Uint16Array, u1: Uint8Array };

/**
 * @param {string} base64 the deflated block
 * @param {Record<string, Slot>} slots where each array lies in it, in bytes before deflating
 * @returns {Promise<Record<string, Float64Array | Float32Array | Uint32Array | Uint16Array | Uint8Array>>}
 */
export async function unpack(base64, slots) {
  const deflated = Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
  const stream = new Blob([deflated]).stream().pipeThrough(new DecompressionStream("deflate"));
  const bytes = new Uint8Array(await new Response(stream).arrayBuffer());
  return Object.fromEntries(Object.entries(slots).map(([name, slot]) => [name, cut(bytes, slot)]));
}

/** The bytes of one array stand sorted by significance (they deflate better so); put each number together again. */
function cut(bytes, { type, start, count }) {
  const View = VIEWS[type];
  const width = View.BYTES_PER_ELEMENT;
  const whole = new Uint8Array(count * width);
  for (let byte = 0; byte < width; byte += 1) {
    const plane = start + byte * count;
    for (let item = 0; item < count; item += 1) whole[item * width + byte] = bytes[plane + item];
  }
  return new View(whole.buffer);
}
