// @ts-check
// One network as it is drawn: its plane, its units, and its layers.

import { make, region } from "./dom.js";
import { makeLayers } from "./networkcharts.js";
import { makePlane } from "./networkplane.js";
import { makeUnits } from "./networkunits.js";
import { swatchesOf } from "./scatter.js";
import { t } from "./texts.js";

/**
 * @param {HTMLElement} home
 * @param {string} name of its settings, or empty
 * @param {any} header
 * @param {{listen: Function, bar: HTMLElement | null} | null} drawing who draws points on its plane
 */
export function makeView(home, name, header, drawing) {
  const [planeCanvas, unitsCanvas] = ["plane", "units"].map((one) => make("canvas", { role: "img", "aria-label": t(`network_${one}`) }));
  const frame = make("div", { class: "frame", ...(drawing && { tabindex: 0, role: "group", "aria-label": t("network_plane_keys") }) }, planeCanvas);
  const box = make("div", { class: "net-units" }, unitsCanvas);
  const layers = region("scroll", t("network_layers"));
  const left = make("div", {}, frame, drawing ? drawing.bar : swatchesOf(header.classes.map((one, at) => (one === String(at) ? t("network_class", { number: at + 1 }) : one))));
  const right = make("div", { class: "net-right" }, box, make("p", { class: "note" }, t("network_legend")), layers);
  home.append(make(name ? "section" : "div", { class: "net-one", "aria-label": name || null }, name ? make("h3", {}, name) : null, make("div", { class: "net-pictures" }, left, right)));
  const [plane, units, table] = [makePlane(planeCanvas), makeUnits(unitsCanvas), makeLayers(layers, header)];
  box.style.minHeight = `${units.height(header.layers)}px`;
  drawing?.listen(frame, plane.place);
  let known = null;
  let points = null;
  let version = 0;
  return {
    /** A frame, or the points alone; `own` are points that are not Python's. */
    draw(shown, own, cursor, colors, wholly) {
      if (shown && shown.arrays.points !== known) {
        const { points: places, labels, held } = (known = shown.arrays.points) && shown.arrays;
        const same = points && String(points.places) === String(places);
        if (!same) points = { places, labels, held, version: (version += 1) };
      }
      plane.draw({ ...(shown?.header ?? header), points: own ?? points, frame: shown, cursor }, colors);
      if (shown) units.draw(shown, colors, wholly);
    },
    /** The numbers of its layers. */
    tell: table,
  };
}
