// @ts-check
// Viridis for cells: a share as a background and a text color that can be read on it.

const STOPS = ["#440154", "#482878", "#3e4989", "#31688e", "#26828e", "#1f9e89", "#35b779", "#6ece58", "#b5de2b", "#fde725"];
const DARK = 4; // stops up to this one have white text

/** @param {number} share from 0 to 1 */
export function heatColor(share) {
  const at = Math.min(STOPS.length - 1, Math.floor(share * STOPS.length));
  return { background: STOPS[at], ink: at <= DARK ? "#ffffff" : "#000000" };
}
