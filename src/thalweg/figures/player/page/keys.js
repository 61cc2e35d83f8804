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

/** Fields and lists keep their own keys; the slider does not: its arrows step, as everywhere. */
function keepsKeys(target) {
  return target instanceof HTMLElement && target.matches("input[type=number], select");
}

function actionFor(event, onPicture, actions) {
  const { key, shiftKey } = event;
  if (key === " ") return event.target instanceof HTMLButtonElement ? null : actions.toggle;
  if (key in ARROWS) return arrow(ARROWS[key], shiftKey, onPicture, actions);
  if (/^[1-8]$/.test(key)) return () => actions.toggleRule(Number(key) - 1);
  return {
    Home: actions.first,
    End: actions.last,
    "+": () => actions.zoom(1.25),
    "=": () => actions.zoom(1.25),
    "-": () => actions.zoom(0.8),
    0: actions.resetPicture,
    "?": actions.help,
  }[key];
}

function arrow([dx, dy], far, onPicture, actions) {
  if (onPicture) return () => actions.movePicture(dx * TURN, dy * TURN);
  return dx ? () => actions.step(dx * (far ? 10 : 1)) : null;
}
