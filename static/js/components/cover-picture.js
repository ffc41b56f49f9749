/** The picture on the cover of a book, where its manuscript has one. */

export class CoverPicture {
  #image;

  /** @param {HTMLImageElement} image */
  constructor(image) {
    this.#image = image;
    image.addEventListener("error", () => (image.hidden = true));
  }

  /** @param {{id: string, coverType: string}} project */
  update({ id, coverType }) {
    const address = coverType ? `/api/projects/${encodeURIComponent(id)}/cover` : "";
    if (this.#image.getAttribute("src") === address) return;
    this.#image.hidden = !address;
    if (address) this.#image.setAttribute("src", address);
  }
}
