// @ts-check
// The payload as Python wrote it, its packed numbers unfolded: what all drawings read.

import { unpack } from "./unpack.js";

/** @param {any} payload */
export async function readScene(payload) {
  const arrays = await unpack(payload.block, payload.slots);
  return { view: payload.view, texts: payload.texts, ...backgroundOf(payload, arrays), ...tracesOf(payload, arrays) };
}

/** The paths: their steps, their numbers, and how these are charted. */
export function tracesOf(payload, arrays) {
  return {
    steps: arrays.steps,
    stepAxis: payload.step_axis,
    panels: payload.panels,
    table: payload.table,
    events: payload.events,
    series: payload.series.map((series, number) => ({ ...series, columns: columnsOf(arrays, number), formulas: payload.formulas[number] })),
  };
}

/** The surface alone. */
export function backgroundOf(payload, arrays) {
  const { surface } = payload;
  return {
    criticalKinds: payload.critical_kinds,
    surface: {
      window: surface.window,
      side: surface.side,
      axes: surface.axes,
      levels: surface.levels,
      critical: surface.critical,
      criticalSize: surface.critical.length > 30 ? 0.5 : 1,
      heightTicks: surface.height_ticks,
      heightName: surface.height_name,
      heights: arrays.heights,
      lines: arrays.lines,
      starts: arrays.starts,
      levelOf: arrays.level_of,
    },
  };
}

function columnsOf(arrays, number) {
  const prefix = `${number}.`;
  const mine = Object.entries(arrays).filter(([name]) => name.startsWith(prefix));
  return Object.fromEntries(mine.map(([name, values]) => [name.slice(prefix.length), values]));
}
