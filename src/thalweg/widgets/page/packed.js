// @ts-check
// A training whose frames lie in this file: it answers as the server would.

import { unpack } from "../player/unpack.js";

/** @param {any} packed */
export async function playPacked({ catalogue, header, moving, block, slots }) {
  const arrays = await unpack(block, slots);
  const count = arrays.step.length;
  for (const name of moving) follow(arrays[name], arrays[name].length / count);
  const still = new Set(["points", "labels", "held"]);

  /** The frame at a step, or the next after it. */
  function placeOf(step) {
    const found = arrays.step.findIndex((one) => one >= step);
    return found < 0 ? count - 1 : found;
  }
  function frames({ from, stride, count: wanted }) {
    const places = [...new Set(Array.from({ length: wanted }, (_, at) => placeOf(from + at * stride)))];
    const cut = ([name, values]) => [name, still.has(name) ? values : gathered(values, values.length / count, places)];
    return { header, arrays: Object.fromEntries(Object.entries(arrays).map(cut)) };
  }
  return async (path, _query, options) =>
    path === "network" ? { ok: true, json: async () => catalogue } : { ok: true, frame: frames(JSON.parse(options.body)) };
}

/** Each frame was written as its difference from the one before, in bytes. */
function follow(values, size) {
  for (let at = size; at < values.length; at += 1) values[at] += values[at - size];
}

function gathered(values, size, places) {
  const [first, last] = [places[0], places[places.length - 1]];
  if (last - first + 1 === places.length) return values.subarray(first * size, (last + 1) * size);
  const found = new values.constructor(places.length * size);
  places.forEach((place, at) => found.set(values.subarray(place * size, (place + 1) * size), at * size));
  return found;
}
