// @ts-check
// Questions to the server. What it refuses is thrown with its sentence.

import { readFrame } from "./frames.js";
import { language, t } from "./texts.js";

/** What the server would not do, in its own words. */
export class Refusal extends Error {}

async function ask(path, query, options) {
  const fields = new URLSearchParams({ ...query, lang: language });
  let response;
  try {
    response = await fetch(`/api/${path}?${fields}`, options);
  } catch {
    throw new Refusal(t("js_unreachable"));
  }
  if (response.ok) return response;
  let message = `${response.status} ${response.statusText}`;
  try {
    message = (await response.json()).error.message;
  } catch {
    // an answer that is no JSON has nothing more to say
  }
  throw new Refusal(message);
}

const sent = (body) => ({ method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body) });

export const getJson = async (path, query = {}) => (await ask(path, query, {})).json();
export const postJson = async (path, body, query = {}) => (await ask(path, query, sent(body))).json();
export const getFrame = async (path, query = {}) => readFrame(await (await ask(path, query, {})).arrayBuffer());
export const postFrame = async (path, body) => readFrame(await (await ask(path, {}, sent(body))).arrayBuffer());
export const postFile = async (path, query, file) => (await ask(path, query, { method: "POST", body: file })).json();

/** The address of a picture that the server draws. */
export const pictureAddress = (path, query) => `/api/${path}?${new URLSearchParams({ ...query, lang: language })}`;

/**
 * Do the newest only: while one is under way, later wishes wait, and of them the last is done.
 * @param {() => Promise<void>} work
 */
export function newestOnly(work) {
  let busy = false;
  let again = false;
  return async function run() {
    if (busy) {
      again = true;
      return;
    }
    busy = true;
    try {
      await work();
    } finally {
      busy = false;
    }
    if (again) {
      again = false;
      await run();
    }
  };
}
