/** Files dropped anywhere on the page, which a veil over it announces while they are dragged. */

/**
 * @param {HTMLElement} veil
 * @param {(files: FileList) => void} take
 */
export function wireDrop(veil, take) {
  // Entering an element within the page leaves the one around it: the page is left where as many were left as entered.
  let depth = 0;
  const show = (next) => {
    depth = next;
    veil.hidden = depth <= 0;
  };
  const on = (type, handle) => addEventListener(type, (event) => carriesFiles(event) && handle(event));
  on("dragenter", () => show(depth + 1));
  on("dragleave", () => show(depth - 1));
  on("dragover", (event) => event.preventDefault());
  on("drop", (event) => {
    event.preventDefault();
    show(0);
    // A dialog over the page is in the way of what stands on it.
    if (!document.querySelector("dialog[open]")) take(event.dataTransfer.files);
  });
}

const carriesFiles = (event) => event.dataTransfer?.types.includes("Files");
