/** The player at the foot of the page: plays the chapter chosen, then the one after it. */

/** @typedef {{id: string, title: string, audioUrl: string, fileName: string, album: string}} Track */

/**
 * @typedef {object} PlayerParts
 * @property {HTMLElement} root
 * @property {HTMLAudioElement} audio
 * @property {HTMLElement} title
 * @property {HTMLAnchorElement} download
 * @property {HTMLButtonElement} close
 */

export class Player {
  #parts;
  #next;
  #onChange;
  /** @type {Track | null} */
  #track = null;

  /**
   * @param {PlayerParts} parts
   * @param {object} options
   * @param {(id: string) => Track | null} options.next what comes after a track
   * @param {(ids: string[]) => void} options.onChange tracks that began or stopped playing
   * @param {() => void} options.onFail
   */
  constructor(parts, { next, onChange, onFail }) {
    this.#parts = parts;
    this.#next = next;
    this.#onChange = onChange;
    for (const type of ["play", "pause"]) parts.audio.addEventListener(type, () => this.#changed(this.#track));
    parts.audio.addEventListener("ended", () => this.#playNext());
    parts.audio.addEventListener("error", () => this.#track && onFail());
    parts.close.addEventListener("click", () => this.close());
  }

  /** @param {string} id @returns {boolean} */
  isPlaying(id) {
    return this.#track?.id === id && !this.#parts.audio.paused;
  }

  /** Plays a track; pauses it, or goes on with it, where it is the one chosen already. @param {Track} track */
  toggle(track) {
    const { audio } = this.#parts;
    if (this.#track?.id !== track.id || this.#track.audioUrl !== track.audioUrl) this.#choose(track);
    else if (!audio.paused) return audio.pause();
    // Refused where the file cannot be played: the error event tells that.
    audio.play().catch(() => {});
  }

  close() {
    const before = this.#track;
    this.#track = null;
    this.#parts.audio.pause();
    this.#parts.audio.removeAttribute("src");
    this.#parts.audio.load();
    this.#parts.root.hidden = true;
    this.#changed(before);
  }

  #choose(track) {
    const { root, audio, title, download } = this.#parts;
    const before = this.#track;
    this.#track = track;
    root.hidden = false;
    title.textContent = title.title = track.title;
    download.href = audio.src = track.audioUrl;
    download.download = track.fileName;
    if (navigator.mediaSession) {
      navigator.mediaSession.metadata = new MediaMetadata({ title: track.title, album: track.album });
    }
    this.#changed(before);
  }

  #playNext() {
    const next = this.#track && this.#next(this.#track.id);
    if (next) this.toggle(next);
  }

  #changed(before) {
    this.#onChange([before, this.#track].flatMap((track) => (track ? [track.id] : [])));
  }
}
