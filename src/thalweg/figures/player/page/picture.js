// @ts-check
// The large picture, from above or in space: the traces on it, and how keys, buttons and dragging move it.

import { START, turned } from "./camera.js";
import { clipTo, pageColors, prepare } from "./canvas.js";
import { contourView } from "./contour.js";
import { heightmapView } from "./heightmap.js";
import { drawLines } from "./lines.js";

/** @param {HTMLElement} frame the focusable box around the canvas */
export function makePicture(frame, first, store, redraw) {
  const canvas = frame.querySelector("canvas");
  let scene = first;
  let surface = scene.surface; // the scene itself may be the same one, filled anew
  let views = viewsOf(surface);
  let camera = START;
  let shown = surface.window;

  /** Move by shares of the picture: a pan from above, a turn of the view in space. */
  const move = (dx, dy) => {
    if (store.get().view === "3d") camera = turned(camera, dx * canvas.clientWidth, dy * canvas.clientHeight);
    else shown = panned(shown, surface.window, dx, dy);
    redraw();
  };
  const zoom = (factor) => {
    if (store.get().view === "3d") camera = { ...camera, zoom: Math.min(8, Math.max(0.5, camera.zoom * factor)) };
    else shown = zoomed(shown, surface.window, factor);
    redraw();
  };
  const reset = () => {
    camera = START;
    shown = surface.window;
    redraw();
  };
  onDrag(frame, canvas, move);

  return {
    move,
    zoom,
    reset,
    /** Show another scene; on the same surface, from the same side. */
    show(next) {
      if (next.surface !== surface) {
        surface = next.surface;
        views = viewsOf(surface);
        shown = surface.window;
        camera = START;
      }
      scene = next;
    },
    draw({ index, view, hidden }) {
      const { context, width, height } = prepare(canvas);
      const colors = pageColors();
      const drawn = views[view].draw(context, width, height, view === "3d" ? camera : shown, colors);
      const seen = scene.series.filter((series, number) => !hidden.has(series.number ?? number));
      const traces = seen.map((series) => lineFor(series, drawn.point, colors.theme));
      clipTo(context, drawn.frame);
      drawLines(context, traces, index, drawn.frame, colors);
      context.restore();
      return drawn;
    },
  };
}

function viewsOf(surface) {
  return { contour: contourView(surface), "3d": heightmapView(surface) };
}

function lineFor({ label, color, dash, mark, dots, columns: { x, y, height } }, point, theme) {
  return { label, color: color[theme], dash, mark, dots, point: (index) => point(x[index], y[index], height[index]) };
}

/** The window moved against the pointer, never out of the surface's. */
function panned(shown, whole, dx, dy) {
  return shown.map(([low, high], axis) => {
    const wanted = (high - low) * (axis === 0 ? -dx : dy);
    const shift = Math.min(whole[axis][1] - high, Math.max(whole[axis][0] - low, wanted));
    return [low + shift, high + shift];
  });
}

function zoomed(shown, whole, factor) {
  return shown.map(([low, high], axis) => {
    const full = whole[axis][1] - whole[axis][0];
    const half = Math.min(full, Math.max(full / 4096, (high - low) / factor)) / 2;
    const middle = Math.min(whole[axis][1] - half, Math.max(whole[axis][0] + half, (low + high) / 2));
    return [middle - half, middle + half];
  });
}

function onDrag(frame, canvas, move) {
  let last = null;
  frame.addEventListener("pointerdown", (event) => {
    last = event;
    frame.setPointerCapture(event.pointerId);
  });
  frame.addEventListener("pointermove", (event) => {
    if (!last) return;
    move((event.clientX - last.clientX) / canvas.clientWidth, (event.clientY - last.clientY) / canvas.clientHeight);
    last = event;
  });
  for (const end of ["pointerup", "pointercancel"]) frame.addEventListener(end, () => (last = null));
}
