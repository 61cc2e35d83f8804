// @ts-check
// The way from a notebook's cell to its Python: the cell gives a port, and each request goes through it.

import { writeFields } from "../static/address.js";
import { reachBy } from "../static/api.js";

/** Wait for the port; from then on, requests go through it. @param {{setTheme: Function, show: Function}} page */
export function connect({ setTheme, show }) {
  const waiting = new Map();
  let last = 0;
  return new Promise((ready) => {
    addEventListener("message", ({ source, data, ports: [port] }) => {
      if (source !== parent || !port) return;
      setTheme(data.theme);
      reachBy((path, query, options) =>
        new Promise((answered) => {
          last += 1;
          waiting.set(last, answered);
          port.postMessage({ number: last, path, query, method: options.method ?? "GET", body: options.body ?? "" });
        }));
      port.onmessage = ({ data: { number, status, content, fields } }) => {
        if (number) {
          waiting.get(number)?.(new Response(content, { status }));
          waiting.delete(number);
        } else if (fields) {
          writeFields(fields);
          show();
        }
      };
      new ResizeObserver(() => port.postMessage({ height: Math.ceil(document.body.getBoundingClientRect().height) })).observe(document.body);
      writeFields(data.fields);
      ready(null);
    });
  });
}
