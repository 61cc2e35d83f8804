// @ts-check
// Frames of numbers: the length of a JSON text, the text, then arrays, which are not copied. Pure.

const VIEWS = { f8: Float64Array, f4: Float32Array, u4: Uint32Array, u2: Uint16Array, u1: Uint8Array };

/**
 * @param {ArrayBuffer} buffer
 * @returns {{header: any, arrays: Record<string, any>}}
 */
export function readFrame(buffer) {
  const length = new DataView(buffer).getUint32(0, true);
  const { slots, ...header } = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 4, length)));
  const cut = ([name, { type, start, count }]) => [name, new VIEWS[type](buffer, 4 + length + start, count)];
  return { header, arrays: Object.fromEntries(Object.entries(slots).map(cut)) };
}
