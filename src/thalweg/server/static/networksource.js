// @ts-check
// The frames of one training, fetched ahead of the cursor. The server computes, the page draws what has come: one
// request at a time, and none while enough lies ahead.

import { postFrame } from "./api.js";
import { Columns } from "./live.js";

const AHEAD = { playing: 96, still: 8 }; // frames
const SIZES = [2, 16, 64]; // frames of the first, the second and all later requests: the first picture comes at once
const LONGEST = 4000; // steps of one request
const KEPT = 48e6; // bytes of maps; what lies farthest from the cursor is asked for again when it is looked at
const NUMBERS = ["step", "loss", "held_loss", "accuracy", "held_accuracy", "gradient_norm", "rate", "sharpness", "threshold"];

/**
 * @param {any} asked the body of the request: settings, or a case
 * @param {number} most steps
 * @param {{came: () => void, failed: (error: Error) => void}} listener
 */
export function makeSource(asked, most, { came, failed }) {
  const columns = new Columns();
  /** @type {{first: number, from: number, stride: number, count: number, arrays: any}[]} */
  let chunks = [];
  let header = null;
  let busy = false;
  let version = 0; // of the chunks: an answer for those that were cut off is thrown away

  const lastStep = () => (columns.length ? columns.get("step")[columns.length - 1] : -1);
  const end = () => Math.min(most, header?.case?.total ?? most);
  const isOver = () => columns.length > 0 && lastStep() >= end();

  async function load(from, stride, count) {
    const { header: told, arrays } = await postFrame("network/frames", { ...asked, from, stride, count });
    return { told, arrays };
  }
  /** Ask for the frames from a step on, and put them behind those that are there. */
  async function append(from, stride, count) {
    const mine = version;
    busy = true;
    try {
      const { told, arrays } = await load(from, stride, count);
      if (mine !== version) return;
      header = { ...told, inputs: header?.inputs ?? told.inputs };
      const first = columns.length;
      columns.put(first, Object.fromEntries(NUMBERS.map((name) => [name, arrays[name]])));
      chunks.push({ first, from, stride, count: columns.length - first, arrays });
    } finally {
      if (mine === version) busy = false;
    }
    forget(columns.length);
    came();
  }
  /** Let go of maps that lie far from a frame. */
  function forget(index) {
    const far = ({ first, count }) => Math.abs(index - first - count / 2);
    const held = chunks.filter(({ arrays }) => arrays).sort((one, other) => far(one) - far(other));
    let bytes = 0;
    for (const [place, chunk] of held.entries()) {
      bytes += chunk.arrays.winner.length * 2 + chunk.arrays.units.length;
      if (bytes > KEPT && place > 1) chunk.arrays = null;
    }
  }
  async function again(chunk) {
    const mine = version;
    busy = true;
    try {
      const { arrays } = await load(chunk.from, chunk.stride, chunk.count);
      if (mine === version) chunk.arrays = arrays;
    } finally {
      if (mine === version) busy = false;
    }
    forget(chunk.first);
    came();
  }
  return {
    columns,
    header: () => header,
    isOver,
    /** The first frames: from the start, or, for a cursor that stands at a step, about `some` up to that step. */
    open(step, some) {
      const reach = Math.min(step, LONGEST);
      const stride = Math.max(1, Math.ceil(reach / some));
      const count = step ? Math.floor(reach / stride) + 1 : SIZES[0];
      return append(step ? step - (count - 1) * stride : 0, stride, count);
    },
    /** Have more frames than are ahead of the cursor, every so many steps one. */
    ahead(index, stride, isPlaying) {
      if (busy || isOver() || columns.length - index > (isPlaying ? AHEAD.playing : AHEAD.still)) return;
      const from = Math.min(lastStep() + stride, end());
      const size = SIZES[Math.min(chunks.length, SIZES.length - 1)];
      const fitting = Math.floor(Math.min(end() - from, LONGEST) / stride) + 1;
      append(from, stride, Math.max(1, Math.min(size, fitting))).catch(failed);
    },
    /** The numbers of one frame, and its place in them; null while they are asked for again. */
    frame(index) {
      const chunk = chunks.findLast(({ first }) => first <= index);
      if (chunk?.arrays) return { header, arrays: chunk.arrays, at: index - chunk.first };
      if (chunk && !busy) again(chunk).catch(failed);
      return null;
    },
    /** Forget all frames from one on: what follows will have another stride. */
    cut(index) {
      if (index >= columns.length) return;
      version += 1;
      busy = false;
      chunks = chunks.filter(({ first }) => first < index);
      const last = chunks[chunks.length - 1];
      last.count = index - last.first;
      columns.length = index;
    },
    /** Answers that are still to come are not wanted. */
    close() {
      version += 1;
      busy = true;
    },
  };
}
