// Send an image, fetch what came of it, forget it.

import { firstEntry } from "./archive.js";
import { pause } from "./pause.js";
import { ask } from "./problem.js";

const RUNNING = 409;
const GONE = new Set([404, 410]);

// The page draws the heatmaps itself, so it wants maps and radiograph, and no finished pictures.
const OPTIONS = { heatmaps: "none", maps: "true", radiograph: "true" };

/** Send an image and return the identifier of its task. */
export async function submit(image) {
  const form = new FormData();
  for (const [name, value] of Object.entries(OPTIONS)) {
    form.append(name, value);
  }
  form.append("file", image, "image"); // not the file's own name: it may be a patient's
  const response = await ask("async/densenet_predict", { method: "POST", body: form });
  return (await response.json()).task_id;
}

/** Return the report of a task that is done; one that failed throws its own problem. */
export async function fetchReport(task, signal) {
  for (;;) {
    try {
      const response = await ask(`tasks/${task}/result`, { signal });
      return JSON.parse(new TextDecoder().decode(firstEntry(await response.arrayBuffer())));
    } catch (problem) {
      if (!problem.isAway) {
        throw problem;
      }
    }
    await pause();
  }
}

/**
 * Cancel a task that waits, or delete it with its result as soon as it is done. A request outlives the page, waiting
 * does not: what is worked on when the page is left stays until its time is over.
 */
export async function forget(task) {
  try {
    await ask(`tasks/${task}`, { method: "DELETE", keepalive: true });
  } catch (problem) {
    if (problem.status === RUNNING) {
      await pause();
      await forget(task);
    } else if (!GONE.has(problem.status)) {
      throw problem;
    }
  }
}
