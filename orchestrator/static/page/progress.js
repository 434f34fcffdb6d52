// Show how far a task is.

import { byId, element } from "./elements.js";

const STEPS = new Map([
  ["sending", "Sending"],
  ["waiting", "Waiting"],
  ["decoding", "Reading the image"],
  ["predicting", "Asking the model"],
  ["rendering", "Preparing the picture"],
  ["storing", "Storing the result"],
]);
const NAMES = [...STEPS.keys()];

/** Show that an image is on its way. */
export function showSending() {
  const steps = [...STEPS.values()].map((text) => element("li", {}, text));
  byId("steps").replaceChildren(...steps);
  reach("sending", `${STEPS.get("sending")}.`);
}

/** Show a task as the service describes it. */
export function showTask(task) {
  if (task.status === "RETRY") {
    reach("waiting", `Something it needs is away: ${task.waiting_for}. It is tried again by itself.`);
  } else if (task.status === "PENDING") {
    reach("waiting", `${STEPS.get("waiting")}${task.position ? `: place ${task.position} in the queue` : ""}.`);
  } else if (STEPS.has(task.stage)) {
    reach(task.stage, `${STEPS.get(task.stage)}.`);
  }
}

/** Say that the service can't be asked for a task just now. */
export function showWaiting({ isLimit }) {
  const why = isLimit ? "More was asked than is allowed in a while" : "The service is out of reach";
  say(`${why}; asking again. The image was accepted and is not lost.`);
}

function reach(step, text) {
  const reached = NAMES.indexOf(step);
  byId("progress-bar").value = reached;
  [...byId("steps").children].forEach((each, number) => {
    each.className = number < reached ? "done" : "";
    each.ariaCurrent = number === reached ? "step" : null;
  });
  say(text);
}

function say(text) {
  if (byId("progress-text").textContent !== text) {
    byId("progress-text").textContent = text; // a live region: what doesn't change isn't read out again
  }
}
