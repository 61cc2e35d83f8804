// @ts-check
// Where the conditions of a training change, as lines in its charts.

import { t, whole } from "./texts.js";

/** Found once for all charts. @type {WeakMap<object, {rows: number, found: {at: number, name: string}[]}>} */
const changesKnown = new WeakMap();

/** Where photos of another size begin, or mixing starts or ends: there the loss jumps, which is no learning. */
export function changesOf(history) {
  const known = changesKnown.get(history);
  if (known?.rows === history.length) return known.found;
  const [steps, sizes, mixed] = ["step", "size", "mixed"].map((name) => history.get(name));
  const found = [];
  const block = history.per > 1 ? 2 : 1; // rows
  for (let row = block, before = 0; row < sizes.length; row += block) {
    const last = row + block - 1;
    if (sizes[row] !== sizes[last] || mixed[row] !== mixed[last]) continue; // it changes within this block
    const at = steps[before + block - 1];
    if (sizes[row] !== sizes[before]) found.push({ at, name: t("curve_size", { size: whole(sizes[row]) }) });
    if (mixed[row] !== mixed[before]) found.push({ at, name: t(mixed[row] ? "curve_mixed" : "curve_unmixed") });
    before = row;
  }
  changesKnown.set(history, { rows: history.length, found });
  return found;
}

/** A dotted line with its name at the top, on two levels in turn, and left of the line at the right edge. */
export function markChanges(plot, changes, ink) {
  const { ctx, bbox } = plot;
  // @ts-ignore - uPlot is a script of its own
  const pixels = uPlot.pxRatio;
  ctx.save();
  ctx.strokeStyle = ctx.fillStyle = ink;
  ctx.lineWidth = pixels;
  ctx.setLineDash([pixels, 3 * pixels]);
  ctx.font = `${11 * pixels}px system-ui`;
  ctx.textBaseline = "top";
  for (const [number, { at, name }] of changes.entries()) {
    const x = plot.valToPos(at, "x", true);
    if (x < bbox.left || x > bbox.left + bbox.width) continue;
    ctx.beginPath();
    ctx.moveTo(x, bbox.top);
    ctx.lineTo(x, bbox.top + bbox.height);
    ctx.stroke();
    const gap = 4 * pixels;
    const fits = x + gap + ctx.measureText(name).width < bbox.left + bbox.width;
    ctx.textAlign = fits ? "left" : "right";
    ctx.fillText(name, fits ? x + gap : x - gap, bbox.top + gap + 13 * pixels * (number % 2));
  }
  plot.root.dataset.changes = changes.map(({ at, name }) => `${at} ${name}`).join("; ");
  ctx.restore();
}
