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
 * @property {boolean} outdated
 */

const MANUSCRIPT = "manuscript";
const RUNNING = new Set(["waiting", "active"]);

export class ProjectModel {
  #project = null;
  /** @type {Map<string, object>} as the server gave them, in order */
  #chapters = new Map();
  /** @type {Map<string, Job>} the latest job of each chapter, by its id, and of the manuscript */
  #latest = new Map();

  get project() {
    return this.#project;
  }

  /** @returns {Job | null} */
  get parseJob() {
    return this.#latest.get(MANUSCRIPT) ?? null;
  }

  /** @returns {string[]} in order */
  get chapterIds() {
    return [...this.#chapters.keys()];
  }

  /** @param {object} snapshot a project with its chapters; jobs of which more is known already stay as they are */
  load({ chapters, job, cursor, ...project }) {
    this.#project = project;
    const inOrder = [...chapters].sort((left, right) => left.position - right.position);
    this.#chapters = new Map(inOrder.map((chapter, index) => [chapter.id, { ...chapter, number: index + 1 }]));
    for (const known of [job, ...chapters.map((chapter) => chapter.job)]) if (known) this.putJob(known);
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
    if (event.data.projectId !== this.#project?.id || event.type.startsWith("book:")) return null;
    const owner = event.data.chapterId ?? MANUSCRIPT;
    const known = this.#latest.get(owner);
    const sameJob = known?.id === event.data.jobId;
    // The end of an earlier job may be told after the next one has begun.
    if (known && !sameJob && known.createdAt > event.data.at) return null;
    const after = applyToJob(sameJob ? known : undefined, event);
    if (!after || after === known) return null;
    this.#latest.set(owner, after);
    return after;
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
      outdated: fresh ? false : chapter.outdated,
    };
  }

  /** @returns {Chapter[]} */
  chapters() {
    return this.chapterIds.map((id) => this.chapter(id));
  }

  /**
   * All chapters taken together. `percentage` is of the work under way: what still runs, and what has ended since the
   * first of that was asked for; null where nothing runs.
   *
   * @returns {{count: number, ready: number, running: number, percentage: number | null, seconds: number}}
   */
  overall() {
    const chapters = this.chapters();
    const jobs = chapters.flatMap(({ job }) => (job ? [job] : []));
    const running = jobs.filter((job) => RUNNING.has(job.state));
    return {
      count: chapters.length,
      ready: chapters.filter((chapter) => chapter.audioUrl).length,
      running: running.length,
      percentage: running.length ? shareDone(jobs, running) : null,
      seconds: chapters.reduce((sum, chapter) => sum + (chapter.durationSeconds ?? 0), 0),
    };
  }
}

const ownerOf = (job) => job.chapterId ?? MANUSCRIPT;

function shareDone(jobs, running) {
  const since = running.reduce((first, job) => (job.createdAt < first ? job.createdAt : first), running[0].createdAt);
  const batch = jobs.filter((job) => RUNNING.has(job.state) || job.updatedAt >= since);
  const done = batch.reduce((sum, job) => sum + (RUNNING.has(job.state) ? (job.progress?.percentage ?? 0) : 100), 0);
  return Math.floor(done / batch.length);
}
