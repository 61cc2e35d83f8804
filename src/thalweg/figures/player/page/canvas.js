// @ts-check
// What every drawing shares: a canvas at the screen's resolution, the page's colors, text with a halo, and the marks of
// traces and of critical points.

/** Size a canvas to its box, and give its context in CSS pixels. */
export function prepare(canvas) {
  const ratio = window.devicePixelRatio || 1;
  const width = canvas.clientWidth;
  const height = canvas.clientHeight;
  const pixels = [Math.round(width * ratio), Math.round(height * ratio)];
  if (canvas.width !== pixels[0] || canvas.height !== pixels[1]) [canvas.width, canvas.height] = pixels;
  const context = canvas.getContext("2d");
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.clearRect(0, 0, width, height);
  useFont(context);
  context.lineJoin = "round";
  return { context, width, height };
}

/** The page's letters, at the size of a drawing. */
export function useFont(context) {
  context.font = `12px ${getComputedStyle(document.body).fontFamily}`;
}

/** Let what is drawn next stay inside a frame, until `context.restore()`. */
export function clipTo(context, { left, right, top, bottom }) {
  context.save();
  context.beginPath();
  context.rect(left, top, right - left, bottom - top);
  context.clip();
}

/** The page's colors in force, by their names in the style sheet, and the theme that chooses a trace's color. */
export function pageColors() {
  const style = getComputedStyle(document.documentElement);
  const read = (name) => style.getPropertyValue(`--${name}`).trim();
  const names = ["background", "ink", "muted", "line", "faint", "low", "high", "contour"];
  const colors = Object.fromEntries(names.map((name) => [name, read(name)]));
  return { ...colors, theme: document.documentElement.dataset.theme };
}

/** Text on a halo of the background's color, so that it is read on any line. */
export function haloText(context, text, x, y, color, halo) {
  context.lineWidth = 4;
  context.strokeStyle = halo;
  context.strokeText(text, x, y);
  context.fillStyle = color;
  context.fillText(text, x, y);
}

const ARM = 0.42; // half the width of a plus's arms
const PLUS = [0, 1, 2, 3].flatMap((quarter) => {
  const turn = ([x, y]) => [[x, y], [-y, x], [-x, -y], [y, -x]][quarter];
  return [[-ARM, -ARM], [-ARM, -1], [ARM, -1]].map(turn);
});
const CORNERS = {
  square: regular(4, Math.PI / 4),
  triangle: regular(3, -Math.PI / 2),
  diamond: regular(4, 0),
  down: regular(3, Math.PI / 2),
  plus: PLUS.map(([x, y]) => [1.1 * x, 1.1 * y]),
  cross: PLUS.map(([x, y]) => [(x - y) * 0.8, (x + y) * 0.8]),
  star: Array.from({ length: 10 }, (_, corner) => polar(corner % 2 ? 0.55 : 1.3, ((2 * corner - 5) * Math.PI) / 10)),
};

function regular(corners, turn) {
  return Array.from({ length: corners }, (_, corner) => polar(1.15, turn + (corner * 2 * Math.PI) / corners));
}

function polar(radius, angle) {
  return [radius * Math.cos(angle), radius * Math.sin(angle)];
}

/** A trace's mark: filled with its color, cased by the background. */
export function drawMark(context, shape, x, y, radius, color, casing) {
  context.beginPath();
  if (shape in CORNERS) {
    for (const [dx, dy] of CORNERS[shape]) context.lineTo(x + radius * dx, y + radius * dy);
    context.closePath();
  } else {
    context.arc(x, y, radius, 0, 2 * Math.PI);
  }
  context.setLineDash([]);
  context.lineWidth = 3.5;
  context.strokeStyle = casing;
  context.stroke();
  context.fillStyle = color;
  context.fill();
}

/** A critical point's mark, told apart by shape: a filled disk, a ring, a cross, a plus; or the shape that it names. */
export function drawCritical(context, kind, x, y, ink, halo, size = 1) {
  if (kind in CORNERS) {
    drawMark(context, kind, x, y, 5 * size, ink, halo);
    return;
  }
  const paint = (width, color) => {
    context.lineWidth = width * size;
    context.strokeStyle = color;
    context.stroke();
  };
  context.setLineDash([]);
  context.beginPath();
  if (kind === "minimum" || kind === "maximum") {
    context.arc(x, y, 5 * size, 0, 2 * Math.PI);
  } else {
    const [a, b] = (kind === "saddle" ? [4.5, 4.5] : [6, 0]).map((length) => length * size);
    for (const [dx, dy] of [[a, b], [-b, a]]) {
      context.moveTo(x - dx, y - dy);
      context.lineTo(x + dx, y + dy);
    }
  }
  paint(5, halo);
  if (kind === "minimum") {
    context.fillStyle = ink;
    context.fill();
  }
  paint(2, ink);
}
