// List the labels with their probabilities, findings first; one of them is chosen.

import { byId, element } from "./elements.js";
import { isFinding, NO_FINDING, probabilityText, spaced, statusText } from "./wording.js";

/** Show predictions, and call `choose` with the one that is chosen, at first the strongest. */
export function showLabels(predictions, choose) {
  const sorted = predictions.toSorted(
    (one, other) => isFinding(other) - isFinding(one) || other.probability - one.probability,
  );
  const first = sorted.find((each) => each.label !== NO_FINDING) ?? sorted[0];
  byId("labels").replaceChildren(...sorted.map((each) => row(each, each === first, choose)));
  choose(first);
}

function row(prediction, checked, choose) {
  const radio = element("input", { type: "radio", name: "label", value: prediction.label });
  radio.checked = checked;
  radio.addEventListener("change", () => choose(prediction));
  const bar = element("span", { class: "bar", "aria-hidden": "true" });
  bar.style.setProperty("--probability", prediction.probability);
  bar.style.setProperty("--threshold", prediction.threshold);
  const parts = [
    element("span", { class: "label" }, spaced(prediction.label)),
    bar,
    element("span", { class: "number" }, probabilityText(prediction)),
    element("span", { class: "status" }, statusText(prediction)),
  ];
  const kind = isFinding(prediction) ? "row finding" : "row";
  return element("li", {}, element("label", { class: kind }, radio, ...parts));
}
