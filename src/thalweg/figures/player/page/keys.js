// @ts-check
// The keyboard: Space, arrows, Home and End, plus and minus, digits, question mark. Arrows move the picture while it
// has the focus.

const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
const TURN = 0.05; // of the picture, a key

/** @param {{isPicture: (target: EventTarget | null) => boolean, actions: Record<string, Function>}} page */
export function listenToKeys({ isPicture, actions }) {
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || keepsKeys(event.target)) return;
    const action = actionFor(event, isPicture(event.target), actions);
    if (!action) return;
    event.preventDefault();
    action();
  });
}

/** Fields, lists and what opens keep their own keys; the player's slider does not: its arrows step, as everywhere. */
function keepsKeys(target) {
  return target instanceof HTMLElement && target.matches("input:not(.scrub), textarea, select, summary");
}

/** What a key does; nothing where the page has no such action. */
function actionFor(event, onPicture, actions) {
  const { key, shiftKey } = event;
  if (key === " ") return event.target instanceof HTMLButtonElement ? null : actions.toggle;
  if (key in ARROWS) return arrow(ARROWS[key], shiftKey, onPicture, actions);
  if (/^[1-8]$/.test(key)) return withGiven(actions.toggleOptimizer, Number(key) - 1);
  return {
    Home: actions.first,
    End: actions.last,
    "+": withGiven(actions.zoom, 1.25),
    "=": withGiven(actions.zoom, 1.25),
    "-": withGiven(actions.zoom, 0.8),
    0: actions.resetPicture,
    "?": actions.help,
  }[key];
}

function arrow([dx, dy], far, onPicture, actions) {
  if (onPicture) return withGiven(actions.movePicture, dx * TURN, dy * TURN);
  return dx ? withGiven(actions.step, dx * (far ? 10 : 1)) : null;
}

function withGiven(action, ...given) {
  return action && (() => action(...given));
}
