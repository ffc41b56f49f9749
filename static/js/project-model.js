/** A project as it is now: a snapshot of the server, and every event since applied to it. */

import { isNewer } from "./progress/cursor.js";
import { applyToJob } from "./progress/reducer.js";

/** @typedef {import("./progress/reducer.js").Job} Job */

/**
 * @typedef {object} Chapter
 * @property {string} id
 * @property {number} number from 1
 * @property {string} title
 * @property {number} characters
 * @property {Job | null} job its latest
 * @property {string | null} audioUrl
 * @property {number | null} durationSeconds
 * @property {number} estimatedSeconds how long it will about be
 * @property {number | null} estimatedCost what it will about cost; null where there is no price
 * @property {string} currency of that, by ISO 4217
 * @property {"high" | "low"} confidence how sure it is that a chapter begins here
 * @property {boolean} outdated
 */

/**
 * @typedef {object} Overall
 * @property {number} count of chapters
 * @property {number} ready how many have audio
 * @property {number} running how many are waiting or under way
 * @property {number} wanting how many have no audio of their present text, and none on its way
 * @property {number} failed
 * @property {number} wantingSeconds how long the audio of those that want it will about be
 * @property {number | null} wantingCost what it will about cost; null where there is no price
 * @property {string} currency of that
 * @property {number | null} percentage of the work under way; null where nothing runs
 * @property {number | null} etaSeconds until it ends, where one can tell
 * @property {number} seconds of audio there is
 */

/**
 * @typedef {object} Book
 * @property {"m4b" | "zip"} format
 * @property {string} downloadUrl
 * @property {number} bytes
 * @property {number[]} missing positions of the chapters that it lacks
 * @property {boolean} outdated whether a chapter has other audio by now
 */

const MANUSCRIPT = "manuscript";
const BOOK = "book";
const RUNNING = new Set(["waiting", "active"]);
/** Below this share done, what is left cannot be told from what it took. */
const TELLING_PERCENT = 5;

export class ProjectModel {
  #project = null;
  /** @type {Map<string, any>} as the server gave them, in order */
  #chapters = new Map();
  /** @type {Map<string, Job>} the latest job of each chapter, by its id, and of the manuscript */
  #latest = new Map();
  /** @type {Map<string, Book>} by format */
  #books = new Map();

  get project() {
    return this.#project;
  }

  /** The latest job of the book. @returns {Job | null} */
  get bookJob() {
    return this.#latest.get(BOOK) ?? null;
  }

  /** The books that are there; what events told since the snapshot included. @returns {Book[]} */
  get books() {
    return [...this.#books.values()];
  }

  /** @returns {Job | null} */
  get parseJob() {
    return this.#latest.get(MANUSCRIPT) ?? null;
  }

  /** @returns {string[]} in order */
  get chapterIds() {
    return [...this.#chapters.keys()];
  }

  /** @param {any} snapshot a project with its chapters; jobs of which more is known already stay as they are */
  load({ chapters, job, cursor, books = [], bookJob = null, ...project }) {
    this.#project = project;
    this.#books = new Map(books.map((book) => [book.format, book]));
    const inOrder = [...chapters].sort((left, right) => left.position - right.position);
    this.#chapters = new Map(inOrder.map((chapter, index) => [chapter.id, { ...chapter, number: index + 1 }]));
    for (const known of [job, bookJob, ...chapters.map((chapter) => chapter.job)]) if (known) this.putJob(known);
  }

  /** Takes in what the server answered to a change of the project. */
  putProject({ job, ...project }) {
    this.#project = { ...this.#project, ...project };
  }

  /** Takes in what the server answered to a change of a chapter. */
  putChapter({ job, text, ...chapter }) {
    const known = this.#chapters.get(chapter.id);
    if (known) this.#chapters.set(chapter.id, { ...known, ...chapter });
  }

  /** Puts the server's jobs in the place of all that are known. @param {Job[]} jobs of this and other projects */
  reset(jobs) {
    this.#latest.clear();
    for (const job of jobs) if (job.projectId === this.#project?.id) this.putJob(job);
  }

  /**
   * Takes in a job that the server answered with, unless it is older than what events have told.
   *
   * @param {Job} job
   */
  putJob(job) {
    const owner = ownerOf(job);
    const known = this.#latest.get(owner);
    const older = known && (known.id === job.id ? isNewer(known.version, job.version) : known.createdAt > job.createdAt);
    if (!older) this.#latest.set(owner, job);
  }

  /**
   * @param {import("./progress/reducer.js").StoredEvent} event
   * @returns {Job | null} the job it changed, null where it changed none
   */
  apply(event) {
    if (event.data.projectId !== this.#project?.id) return null;
    const owner = event.data.chapterId ?? (event.type.startsWith("book:") ? BOOK : MANUSCRIPT);
    const known = this.#latest.get(owner);
    const sameJob = known?.id === event.data.jobId;
    // The end of an earlier job may be told after the next one has begun.
    if (known && !sameJob && known.createdAt > event.data.at) return null;
    const after = applyToJob(sameJob ? known : undefined, event);
    if (!after || after === known) return null;
    this.#latest.set(owner, after);
    if (event.type === "audio:complete") this.#outdate(known?.result?.audioUrl, event.data.audioUrl);
    if (event.type === "book:complete") this.#putBook(event.data);
    return after;
  }

  /** @param {any} book as its end told */
  #putBook(book) {
    this.#books.set(book.format, { ...book, outdated: false });
  }

  /** A chapter has new audio: the books still have the earlier one, or none. */
  #outdate(before, now) {
    if (before === now) return;
    for (const [format, book] of this.#books) this.#books.set(format, { ...book, outdated: true });
  }

  /** @param {string} id @returns {Chapter | null} */
  chapter(id) {
    const chapter = this.#chapters.get(id);
    if (!chapter) return null;
    const job = this.#latest.get(id) ?? null;
    const made = job?.state === "completed" ? job.result : null;
    // The snapshot may be older than the job, or newer: then it says the same.
    const fresh = made?.audioUrl && made.audioUrl !== chapter.audioUrl;
    return {
      ...chapter,
      job,
      audioUrl: made?.audioUrl ?? chapter.audioUrl,
      durationSeconds: made?.durationSeconds ?? chapter.durationSeconds,
      currency: this.#project.priceCurrency,
      outdated: fresh ? false : chapter.outdated,
    };
  }

  /** @returns {Chapter[]} */
  chapters() {
    return this.chapterIds.map((id) => this.chapter(id));
  }

  /** All chapters taken together. @returns {Overall} */
  overall() {
    const chapters = this.chapters();
    const running = chapters.filter(isRunning);
    const wanting = chapters.filter((chapter) => lacksAudio(chapter) && !isRunning(chapter));
    const priced = wanting.some(({ estimatedCost }) => estimatedCost !== null);
    return {
      count: chapters.length,
      ready: chapters.filter((chapter) => chapter.audioUrl).length,
      running: running.length,
      wanting: wanting.length,
      wantingSeconds: wanting.reduce((sum, { estimatedSeconds }) => sum + estimatedSeconds, 0),
      wantingCost: priced ? wanting.reduce((sum, { estimatedCost }) => sum + estimatedCost, 0) : null,
      currency: this.#project?.priceCurrency ?? "",
      failed: chapters.filter(({ job }) => job?.state === "failed").length,
      seconds: chapters.reduce((sum, chapter) => sum + (chapter.durationSeconds ?? 0), 0),
      ...howFar(chapters, running),
    };
  }
}

const ownerOf = (job) => job.chapterId ?? (job.queue === "book-assembly" ? BOOK : MANUSCRIPT);
const isRunning = ({ job }) => job !== null && RUNNING.has(job.state);
const lacksAudio = ({ audioUrl, outdated }) => !audioUrl || outdated;

/** How far the work under way is: all that still runs, and what has ended since the first of that was asked for. */
function howFar(chapters, running) {
  if (running.length === 0) return { percentage: null, etaSeconds: null };
  const since = running.reduce((first, { job }) => (job.createdAt < first ? job.createdAt : first), "9");
  const batch = chapters.filter(({ job }) => job && (RUNNING.has(job.state) || job.updatedAt >= since));
  const whole = batch.reduce((sum, { characters }) => sum + characters, 0);
  const done = batch.reduce((sum, chapter) => sum + (chapter.characters * shareOf(chapter)) / 100, 0);
  const share = whole ? (done / whole) * 100 : 0;
  // By the server's clock alone: from when the first was asked for to the latest that is known.
  const latest = batch.reduce((last, { job }) => (job.updatedAt > last ? job.updatedAt : last), since);
  const taken = (Date.parse(latest) - Date.parse(since)) / 1000;
  const telling = share >= TELLING_PERCENT && taken > 0;
  return { percentage: Math.floor(share), etaSeconds: telling ? (taken / share) * (100 - share) : null };
}

const shareOf = (chapter) => (isRunning(chapter) ? (chapter.job.progress?.percentage ?? 0) : 100);
