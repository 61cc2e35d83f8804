// @ts-check
// Viridis for cells: a share to a ground and an ink that is read on it.

const STOPS = ["#440154", "#482878", "#3e4989", "#31688e", "#26828e", "#1f9e89", "#35b779", "#6ece58", "#b5de2b", "#fde725"];
const DARK = 4; // stops below this one carry white letters

/** @param {number} share from 0 to 1 */
export function heatColor(share) {
  const at = Math.min(STOPS.length - 1, Math.floor(share * STOPS.length));
  return { ground: STOPS[at], ink: at <= DARK ? "#ffffff" : "#000000" };
}
