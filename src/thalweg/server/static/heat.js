// @ts-check
// Colors of cells: viridis for a share, with a text color that can be read on it; blue to red for an update ratio.

const STOPS = ["#440154", "#482878", "#3e4989", "#31688e", "#26828e", "#1f9e89", "#35b779", "#6ece58", "#b5de2b", "#fde725"];
const DARK = 4; // stops up to this one have white text

/** @param {number} share from 0 to 1 */
export function heatColor(share) {
  const at = Math.min(STOPS.length - 1, Math.floor(share * STOPS.length));
  return { background: STOPS[at], ink: at <= DARK ? "#ffffff" : "#000000" };
}

const SIDES = [["#f7f7f7", "#d1e5f0", "#92c5de", "#4393c3", "#2166ac", "#053061"], ["#f7f7f7", "#fddbc7", "#f4a582", "#d6604d", "#b2182b", "#67001f"]];
const [USUAL, REACH] = [-3, 3]; // as powers of ten: a thousandth is white, and the colors end three powers from it
const UNKNOWN = "#9a9a9a";

/** The color of an update ratio: white where it is usual, blue below, red above, gray if it is not known. */
export function ratioColor(ratio) {
  if (ratio === null || !Number.isFinite(ratio) || ratio < 0) return UNKNOWN;
  const away = Math.min(REACH, Math.max(-REACH, Math.log10(Math.max(ratio, 1e-9)) - USUAL));
  const side = SIDES[away < 0 ? 0 : 1];
  return side[Math.min(side.length - 1, Math.round((Math.abs(away) / REACH) * (side.length - 1)))];
}
