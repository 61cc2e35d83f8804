// @ts-check
// Points that the visitor places on the plane: by mouse, by touch, or by keys.

import { button, make } from "./dom.js";
import { t } from "./texts.js";

const FAR = 6; // the plane's reach
const STEP = 0.02; // of the window, a key; five times as much with Shift
const SPRAY = 0.05; // of the window, between two points of one stroke
const NEAR = 0.08; // of the window: a point is taken away if it is as near to the cursor
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };

/**
 * @param {HTMLElement} bar for its buttons
 * @param {{points: () => number[][], put: (points: number[][]) => void, moved: () => void, window: () => number[]}} given
 */
export function makeDrawing(bar, { points, put, moved, window: windowOf }) {
  let label = 0;
  const cursor = { x: 0, y: 0 };
  let isShown = false; // the cursor, while keys are used on the plane
  const classes = [0, 1].map((number) => button(`${"●■"[number]} ${t("network_class", { number: number + 1 })}`, () => choose(number), { class: "class", "aria-pressed": String(!number) }));
  bar.replaceChildren(...classes, button(t("network_clear"), () => put([])), make("span", { class: "note" }, t("network_draw_note")));

  function choose(number) {
    label = number;
    classes.forEach((one, at) => one.setAttribute("aria-pressed", String(at === number)));
    moved();
  }
  const reach = () => windowOf()[1] - windowOf()[0];
  const within = (value) => Number(Math.min(FAR, Math.max(-FAR, value)).toFixed(2));
  const place = (x, y) => put([...points(), [within(x), within(y), label]]);
  function takeAway() {
    const { x, y } = cursor;
    const away = points().map((point) => Math.hypot(point[0] - x, point[1] - y));
    const nearest = away.indexOf(Math.min(...away));
    if (away[nearest] < NEAR * reach()) put(points().filter((_, at) => at !== nearest));
  }
  function key(event) {
    const { key: name, shiftKey } = event;
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const [left, right, low, high] = windowOf();
    const arrow = ARROWS[name];
    if (arrow) {
      const far = STEP * (shiftKey ? 5 : 1);
      cursor.x = Math.min(right, Math.max(left, cursor.x + arrow[0] * far * (right - left)));
      cursor.y = Math.min(high, Math.max(low, cursor.y + arrow[1] * far * (high - low)));
    } else if (name === " " || name === "Enter") place(cursor.x, cursor.y);
    else if (name === "1" || name === "2") choose(Number(name) - 1);
    else if (name === "Delete" || name === "Backspace") takeAway();
    else return;
    event.preventDefault();
    event.stopPropagation();
    isShown = true;
    moved();
  }
  return {
    cursor: () => (isShown ? { ...cursor, label } : null),
    /** Let a plane be drawn on. @param {HTMLElement} frame @param {(x: number, y: number) => number[] | null} placeOf */
    listen(frame, placeOf) {
      let last = null;
      const at = (event) => {
        const box = frame.getBoundingClientRect();
        return placeOf(event.clientX - box.left, event.clientY - box.top);
      };
      frame.addEventListener("click", (event) => {
        const here = at(event);
        if (here && !last) place(here[0], here[1]);
        last = null;
      });
      frame.addEventListener("pointermove", (event) => {
        if (event.pointerType !== "mouse" || event.buttons !== 1) return;
        const here = at(event);
        if (!here || (last && Math.hypot(here[0] - last[0], here[1] - last[1]) < SPRAY * reach())) return;
        last = here;
        place(here[0], here[1]);
      });
      frame.addEventListener("keydown", key);
      const show = (isWanted) => {
        isShown = isWanted;
        moved();
      };
      frame.addEventListener("focus", () => show(frame.matches(":focus-visible")));
      frame.addEventListener("blur", () => show(false));
    },
  };
}
