// @ts-check
// From the box [-1, 1] × [-1, 1] × [0, 1] to the screen, seen from far away (lines that are parallel stay so). Pure.

/** @typedef {{azimuth: number, elevation: number, zoom: number}} Camera angles in radians */

/** @type {Camera} */
export const START = { azimuth: -0.9, elevation: 0.6, zoom: 1 };

const MARGIN = 90; // pixels, for the upright scale's texts
const TALL = 0.95; // the box's height, where its half-width is 1

/**
 * @param {Camera} camera
 * @returns {(x: number, y: number, height: number) => [number, number]}
 */
export function projector(camera, width, height) {
  const [sinA, cosA] = [Math.sin(camera.azimuth), Math.cos(camera.azimuth)];
  const [sinE, cosE] = [Math.sin(camera.elevation), Math.cos(camera.elevation)];
  const size = camera.zoom * Math.min((width - MARGIN) / 2.85, height / 2.7);
  return (x, y, z) => {
    const across = x * cosA - y * sinA;
    const away = x * sinA + y * cosA;
    const up = (z - 0.5) * TALL;
    return [width / 2 + size * across, height / 2 - size * (up * cosE + away * sinE)];
  };
}

/** Turn by pixels dragged; never below the floor nor past the top. */
export function turned(camera, dx, dy) {
  const elevation = Math.min(1.5, Math.max(0.05, camera.elevation + dy * 0.008));
  return { ...camera, azimuth: camera.azimuth + dx * 0.008, elevation };
}

/** Rows and columns of a square grid in the order in which the farthest is drawn first. */
export function farToNear(camera, count) {
  const rise = Array.from({ length: count }, (_, index) => index);
  const fall = [...rise].reverse();
  return { columns: Math.sin(camera.azimuth) > 0 ? fall : rise, rows: Math.cos(camera.azimuth) > 0 ? fall : rise };
}
