// @ts-check
// A player's cursor in the address: the step, the view, and the traces that are hidden.

export function cursorOf({ step, view, hide }) {
  const at = step === undefined ? null : Number(step);
  const hidden = (hide ?? "").split(",").filter(Boolean).map((number) => Number(number) - 1);
  return { step: Number.isFinite(at) ? at : null, view: view === "3d" ? "3d" : null, hidden: new Set(hidden) };
}

export function fieldsOf({ view, hidden }, step) {
  const hide = [...hidden].map((number) => number + 1).join(",");
  return { step: String(step), view: view === "3d" ? "3d" : null, hide: hide || null };
}

/** Play a lesson from its beginning; where less motion is preferred, show its end. */
export function startOver(player) {
  if (matchMedia("(prefers-reduced-motion: reduce)").matches) return;
  player.actions.first();
  player.actions.toggle();
}
