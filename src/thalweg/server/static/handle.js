// @ts-check
// The start of all traces as a ring on the picture: dragged by the pointer, or moved by arrow keys.

const STEP = 0.02; // of the window, a key
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };

/**
 * @param {HTMLButtonElement} ring
 * @param {(start: [number, number]) => void} moved
 */
export function makeHandle(ring, moved) {
  let start = [0, 0];
  let view = null;
  const put = (next) => {
    start = next;
    draw();
    moved([start[0], start[1]]);
  };
  function draw() {
    ring.hidden = !view?.place;
    if (!view?.place) return;
    const [x, y] = view.point(start[0], start[1]);
    const { left, right, top, bottom } = view.frame;
    ring.hidden = x < left || x > right || y < top || y > bottom;
    ring.style.transform = `translate(${x}px, ${y}px)`;
  }
  ring.addEventListener("pointerdown", (event) => {
    event.stopPropagation();
    ring.setPointerCapture(event.pointerId);
    const follow = (to) => {
      const box = ring.parentElement.getBoundingClientRect();
      const { left, right, top, bottom } = view.frame;
      const x = Math.min(right, Math.max(left, to.clientX - box.left));
      const y = Math.min(bottom, Math.max(top, to.clientY - box.top));
      put(view.place(x, y));
    };
    const end = () => ring.removeEventListener("pointermove", follow);
    ring.addEventListener("pointermove", follow);
    ring.addEventListener("pointerup", end, { once: true });
    ring.addEventListener("pointercancel", end, { once: true });
  });
  ring.addEventListener("keydown", (event) => {
    if (!(event.key in ARROWS) || !view) return;
    event.preventDefault();
    event.stopPropagation();
    const [dx, dy] = ARROWS[event.key];
    const [[left, right], [low, high]] = view.shown;
    const far = event.shiftKey ? 5 * STEP : STEP;
    put([start[0] + dx * far * (right - left), start[1] + dy * far * (high - low)]);
  });
  return {
    place(next) {
      start = [...next];
      draw();
    },
    /** The picture was drawn: stay on it. The 3-D view has no ring. */
    follow(drawn) {
      view = drawn;
      draw();
    },
  };
}
