// @ts-check
// Where a player's cursor stands, in the address and back: the step, the view, and the paths that are hidden.

export function cursorOf({ step, view, hide }) {
  const at = step === undefined ? null : Number(step);
  const hidden = (hide ?? "").split(",").filter(Boolean).map((number) => Number(number) - 1);
  return { step: Number.isFinite(at) ? at : null, view: view === "3d" ? "3d" : null, hidden: new Set(hidden) };
}

export function fieldsOf({ view, hidden }, step) {
  const hide = [...hidden].map((number) => number + 1).join(",");
  return { step: String(step), view: view === "3d" ? "3d" : null, hide: hide || null };
}

/** A lesson is played from its beginning; where less motion is wanted, it lies there finished. */
export function startOver(player) {
  if (matchMedia("(prefers-reduced-motion: reduce)").matches) return;
  player.actions.first();
  player.actions.toggle();
}
