// Show the radiograph with the evidence for one label over it.

import { byId, dataOf } from "./elements.js";
import { heatmap } from "./heatmap.js";
import { readMaps, strongestPlace } from "./maps.js";
import { paint } from "./paint.js";
import { isFinding, logitsText, spaced } from "./wording.js";

const drawing = dataOf("drawing");

/** Show a report's radiograph, and return a function that lays a prediction's heatmap over it. */
export function openViewer(report) {
  const { radiograph: shown, activation_maps: answered, image } = report;
  const maps = readMaps(answered);
  byId("radiograph").src = `data:${shown.media_type};base64,${shown.data}`;
  byId("frame").style.setProperty("--ratio", shown.width / shown.height);
  byId("scale-end").textContent = `${logitsText(report.heatmap_scale_logits)} logits`;
  return (prediction) => {
    const map = maps.get(prediction.label);
    const ceiling = isFinding(prediction) ? 1 : drawing.weak;
    const heat = heatmap(map, {
      placement: answered.placement,
      image,
      shown,
      scale: report.heatmap_scale_logits,
      ceiling,
    });
    paint(byId("heat"), heat, shown);
    const ramp = Float32Array.from({ length: 256 }, (_, level) => Math.min(level / 255, ceiling));
    paint(byId("colour-bar"), ramp, { width: 256, height: 1 });
    const place = strongestPlace(map, answered.placement, image);
    byId("caption").textContent = captionOf(prediction, place);
    byId("pale").textContent = place && !isFinding(prediction) ? "Pale, because this is not a finding." : "";
  };
}

/** Forget the pictures. */
export function closeViewer() {
  byId("radiograph").removeAttribute("src");
  paint(byId("heat"), new Float32Array(1), { width: 1, height: 1 });
}

/** Let the slider set how much of the heatmap is seen. */
export function watchOpacity() {
  const slider = byId("opacity");
  const apply = () => {
    const text = `${slider.value} %`;
    byId("result").style.setProperty("--opacity", slider.value / 100);
    byId("opacity-value").textContent = text;
    slider.setAttribute("aria-valuetext", text);
  };
  slider.value = Math.round(drawing.opacity * 100);
  slider.addEventListener("input", apply);
  apply();
}

function captionOf(prediction, place) {
  const label = spaced(prediction.label);
  return place
    ? `Evidence for ${label}, strongest in the ${place} part of the picture`
    : `No evidence for ${label} anywhere in the picture`;
}
