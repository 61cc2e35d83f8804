// @ts-check
// A player's cursor in the address: the step, the view, the traces that are hidden, and whose formulas
// are shown.

import { readFormula, writeFormula } from "../player/state.js";

export function cursorOf({ step, view, hide, formula, weight }) {
  const at = step === undefined ? null : Number(step);
  const hidden = (hide ?? "").split(",").filter(Boolean).map((number) => Number(number) - 1);
  return { step: Number.isFinite(at) ? at : null, view: view === "3d" ? "3d" : null, hidden: new Set(hidden), ...readFormula(formula, weight) };
}

export function fieldsOf({ hidden, ...state }, step) {
  const hide = [...hidden].map((number) => number + 1).join(",");
  return { step: String(step), view: state.view === "3d" ? "3d" : null, hide: hide || null, ...writeFormula(state) };
}

/** Play a lesson from its beginning; where less motion is preferred, show its end. */
export function startOver(player) {
  if (matchMedia("(prefers-reduced-motion: reduce)").matches) return;
  player.actions.first();
  player.actions.toggle();
}
