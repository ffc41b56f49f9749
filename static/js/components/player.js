/** The player at the foot of the page: plays the chapter chosen, then the one after it, and remembers the place. */

import { formatDuration, formatRate, onLocaleChange, t } from "../i18n.js";
import { keep, recall } from "../storage.js";
import { setAttribute, setText } from "./job-text.js";
import { iconHref } from "./parts.js";
import { wireMediaSession } from "./player-keys.js";

/** @typedef {{id: string, title: string, audioUrl: string, fileName: string, album: string}} Track */

/** @typedef {Record<"root" | "audio" | "title" | "play" | "previous" | "next" | "seek" | "elapsed" | "total" | "speed" |
 *   "download" | "close", any>} PlayerParts */

/**
 * @typedef {object} PlayerOptions
 * @property {(id: string, step: 1 | -1) => Track | null} neighbour what comes after a track, or before it
 * @property {(id: string, seconds: number) => void} onPlace where one is, now and then
 * @property {() => void} onFail
 */

const SPEEDS = [0.75, 1, 1.25, 1.5, 1.75, 2];
const PLACE_EVERY_SECONDS = 5;

export class Player {
  #parts;
  #options;
  /** @type {Track | null} */
  #track = null;
  #startAt = 0;
  #toldAt = 0;
  /** Told the tracks that began or stopped playing. @type {(ids: string[]) => void} */
  onChange = () => {};

  /**
   * @param {PlayerParts} parts
   * @param {PlayerOptions} options
   */
  constructor(parts, options) {
    this.#parts = parts;
    this.#options = options;
    this.#wireAudio();
    parts.play.addEventListener("click", () => this.toggle());
    parts.previous.addEventListener("click", () => this.step(-1));
    parts.next.addEventListener("click", () => this.step(1));
    parts.seek.addEventListener("input", () => this.seek(Number(parts.seek.value)));
    parts.close.addEventListener("click", () => this.close());
    this.#wireSpeed();
    wireMediaSession(this);
    onLocaleChange(() => this.#render());
  }

  get isOpen() {
    return this.#track !== null;
  }

  get seconds() {
    return this.#parts.audio.currentTime;
  }

  /** @param {string} id @returns {boolean} */
  isPlaying(id) {
    return this.#track?.id === id && !this.#parts.audio.paused;
  }

  /** Plays a track; pauses it, or goes on with it, where it is the one chosen already. @param {Track | null} track */
  toggle(track = this.#track) {
    const { audio } = this.#parts;
    if (!track) return;
    if (this.#track?.id !== track.id || this.#track.audioUrl !== track.audioUrl) this.cue(track);
    else if (!audio.paused) return audio.pause();
    // Refused where the file cannot be played: the error event tells that.
    audio.play().catch(() => {});
  }

  /** Opens the player at a place without playing. @param {Track} track @param {number} [seconds] */
  cue(track, seconds = 0) {
    const { root, audio, download } = this.#parts;
    const before = this.#track;
    this.#track = track;
    this.#startAt = seconds;
    root.hidden = false;
    download.href = audio.src = track.audioUrl;
    download.download = track.fileName;
    if (navigator.mediaSession) {
      navigator.mediaSession.metadata = new MediaMetadata({ title: track.title, album: track.album });
    }
    this.#changed(before);
  }

  /** @param {1 | -1} step to the next chapter that has audio, or the one before */
  step(step) {
    const track = this.#track && this.#options.neighbour(this.#track.id, step);
    if (track) this.toggle(track);
  }

  /** @param {number} seconds from the start */
  seek(seconds) {
    const { audio } = this.#parts;
    if (!this.#track || !audio.duration) return;
    audio.currentTime = Math.min(Math.max(0, seconds), audio.duration);
    this.#renderPlace();
  }

  close() {
    const before = this.#track;
    const { audio, root } = this.#parts;
    this.#tellPlace();
    this.#track = null;
    audio.pause();
    audio.removeAttribute("src");
    audio.load();
    root.hidden = true;
    this.#changed(before);
  }

  /** What can be had now may have changed: the chapters beside this one. */
  refresh() {
    if (this.#track) this.#render();
  }

  #wireAudio() {
    const { audio } = this.#parts;
    for (const type of ["play", "pause"]) audio.addEventListener(type, () => this.#changed(this.#track));
    audio.addEventListener("loadedmetadata", () => {
      if (this.#startAt) audio.currentTime = Math.min(this.#startAt, Math.max(0, audio.duration - 1));
      this.#renderPlace();
    });
    audio.addEventListener("timeupdate", () => {
      this.#renderPlace();
      if (Math.abs(audio.currentTime - this.#toldAt) >= PLACE_EVERY_SECONDS) this.#tellPlace();
    });
    audio.addEventListener("pause", () => this.#tellPlace());
    audio.addEventListener("ended", () => this.step(1));
    audio.addEventListener("error", () => this.#track && this.#options.onFail());
    addEventListener("pagehide", () => this.#tellPlace());
  }

  #wireSpeed() {
    const { speed, audio } = this.#parts;
    const kept = Number(recall("speed"));
    const render = () => {
      const options = SPEEDS.map((rate) => new Option(formatRate(rate), String(rate), false, rate === audio.playbackRate));
      speed.replaceChildren(...options);
    };
    // The default too: a new source goes back to that.
    const set = (rate) => (audio.playbackRate = audio.defaultPlaybackRate = rate);
    set(SPEEDS.includes(kept) ? kept : 1);
    speed.addEventListener("change", () => {
      set(Number(speed.value));
      keep("speed", speed.value);
    });
    onLocaleChange(render);
    render();
  }

  #tellPlace() {
    const { audio } = this.#parts;
    if (!this.#track || !audio.duration) return;
    this.#toldAt = audio.currentTime;
    this.#options.onPlace(this.#track.id, audio.currentTime);
  }

  #changed(before) {
    this.#render();
    this.onChange([before, this.#track].flatMap((track) => (track ? [track.id] : [])));
  }

  #render() {
    const { audio, title, play, previous, next } = this.#parts;
    if (!this.#track) return;
    setText(title, this.#track.title);
    setAttribute(title, "title", this.#track.title);
    const action = t(audio.paused ? "chapter.play" : "chapter.pause");
    for (const attribute of ["aria-label", "title"]) setAttribute(play, attribute, action);
    setAttribute(play.querySelector("use"), "href", iconHref(audio.paused ? "play" : "pause"));
    previous.disabled = !this.#options.neighbour(this.#track.id, -1);
    next.disabled = !this.#options.neighbour(this.#track.id, 1);
    this.#renderPlace();
  }

  #renderPlace() {
    const { audio, seek, elapsed, total } = this.#parts;
    const duration = Number.isFinite(audio.duration) ? audio.duration : 0;
    const [now, whole] = [formatDuration(audio.currentTime), formatDuration(duration)];
    seek.max = String(Math.round(duration));
    seek.value = String(Math.round(audio.currentTime));
    seek.style.setProperty("--share", String(duration ? audio.currentTime / duration : 0));
    setAttribute(seek, "aria-valuetext", t("player.position", { elapsed: now, total: whole }));
    setText(elapsed, now);
    setText(total, whole);
  }
}
