// Take one image: chosen, dropped or pasted.

import { byId, dataOf } from "./elements.js";
import { Problem } from "./problem.js";

/** Call `take` with the image, or `refuse` with a problem, while `isOpen` says that one is wanted. */
export function watchForImages(isOpen, take, refuse) {
  const drop = byId("drop");
  const offer = (files) => {
    if (!isOpen() || files.length === 0) {
      return;
    }
    const problem = objection(files);
    problem ? refuse(problem) : take(files[0]);
  };

  byId("file").addEventListener("change", ({ target }) => {
    offer([...target.files]);
    target.value = ""; // so that the same file can be chosen again
  });
  // Anywhere on the page: a file that misses the mark would make the browser leave the page.
  document.addEventListener("dragover", (event) => {
    event.preventDefault();
    event.dataTransfer.dropEffect = isOpen() ? "copy" : "none";
    drop.classList.toggle("aimed", isOpen());
  });
  document.addEventListener("dragleave", () => drop.classList.remove("aimed"));
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    drop.classList.remove("aimed");
    offer([...event.dataTransfer.files]);
  });
  document.addEventListener("paste", ({ clipboardData }) => offer([...clipboardData.files]));
}

/** Say what is wrong with the files before they are sent: a refused upload may end as a broken connection. */
function objection(files) {
  if (files.length > 1) {
    const detail = `Expected one image, got ${files.length}. Choose one; POST /async/batch of the API takes many.`;
    return new Problem({ title: "More than one file", detail, status: 413 });
  }
  const most = dataOf("limits").bytes;
  if (files[0].size > most) {
    const detail = `Expected at most ${megabytes(most)}, got ${megabytes(files[0].size)}. Choose a smaller file.`;
    return new Problem({ title: "Upload too large", detail, status: 413 });
  }
  return null;
}

function megabytes(bytes) {
  return `${(bytes / 1e6).toFixed(1)} MB`;
}
