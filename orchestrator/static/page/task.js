// Send an image, fetch what came of it, forget it.

import { firstEntry } from "./archive.js";
import { pause } from "./pause.js";
import { ask, Problem } from "./problem.js";

const RUNNING = 409;
const UNREADABLE = {
  title: "A file that can't be read",
  detail: "Expected one image, got a folder, or a file that was moved, deleted or protected. Choose an image.",
  status: 400, // for the same, over again
};
const GONE = new Set([404, 410]);

// The page draws the heatmaps itself, so it wants maps and radiograph, and no finished pictures.
const OPTIONS = { heatmaps: "none", maps: "true", radiograph: "true" };

// Of images that were not accepted as far as is known: another try finds the task of the one before, if there is one.
const keys = new WeakMap();

/** Send an image and return the identifier of its task. */
export async function submit(image) {
  await read(image);
  const form = new FormData();
  for (const [name, value] of Object.entries(OPTIONS)) {
    form.append(name, value);
  }
  form.append("file", image, "image"); // not the file's own name: it may be a patient's
  const key = keys.get(image) ?? randomKey();
  keys.set(image, key);
  const init = { method: "POST", body: form, headers: { "Idempotency-Key": key } };
  const accepted = await ask("async/densenet_predict", init);
  keys.delete(image);
  return accepted.task_id;
}

/** Make sure that there is something to send: the browser takes what it can't read for a lost connection. */
async function read(image) {
  try {
    await image.slice(0, 1).arrayBuffer();
  } catch {
    throw new Problem(UNREADABLE);
  }
}

function randomKey() {
  const bytes = crypto.getRandomValues(new Uint8Array(16)); // randomUUID is there with TLS and on loopback only
  return [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** Return the report of a task that is done; one that failed throws its own problem. */
export async function fetchReport({ task_id, status }, { wait, signal }) {
  for (;;) {
    try {
      const archive = await ask(`tasks/${task_id}/result`, { signal }, (response) => response.arrayBuffer());
      return JSON.parse(new TextDecoder().decode(firstEntry(archive)));
    } catch (problem) {
      const isItsOwn = status === "FAILURE" && !problem.isAway && !problem.isLimit;
      if (isItsOwn || !problem.passes) {
        throw problem;
      }
      wait(problem);
      await pause(problem.retryAfter);
    }
  }
}

/**
 * Cancel a task that waits, or delete it with its result as soon as it is done. A request outlives the page, waiting
 * does not: what is worked on when the page is left stays until its time is over.
 */
export async function forget(task) {
  try {
    await ask(`tasks/${task}`, { method: "DELETE", keepalive: true }, () => null);
  } catch (problem) {
    if (problem.status === RUNNING || problem.isLimit) {
      await pause(problem.retryAfter);
      await forget(task);
    } else if (!GONE.has(problem.status)) {
      throw problem;
    }
  }
}
