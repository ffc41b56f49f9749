/** What an event does to the jobs: a pure function from the jobs before it to the jobs after it. */

import { isNewer } from "./cursor.js";

/**
 * @typedef {object} Progress
 * @property {number} percentage 0 to 100; never falls within an attempt
 * @property {string} message in the job's language
 * @property {string} currentStep in the job's language
 * @property {number} step
 * @property {number} totalSteps
 * @property {string} stage stable, machine-readable
 * @property {number} unitsDone
 * @property {number} unitsTotal
 * @property {number | null} etaSeconds
 */

/**
 * @typedef {object} Job
 * @property {string} id
 * @property {"text-parsing" | "audio-generation" | "book-assembly"} queue
 * @property {string} projectId
 * @property {string | null} chapterId
 * @property {"waiting" | "active" | "completed" | "failed" | "cancelled"} state
 * @property {Progress | null} progress
 * @property {number} attempt
 * @property {string | null} version id of the latest event it includes
 * @property {string} createdAt RFC 3339, UTC
 * @property {string} updatedAt RFC 3339, UTC
 * @property {Record<string, unknown> | null} result
 * @property {{code: string, message: string} | null} error
 * @property {"m4b" | "zip" | null} format of the book that it makes
 */

/** @typedef {{id: string, type: string, data: Record<string, any>}} StoredEvent */

/** @type {Record<string, Job["queue"]>} */
const QUEUES = { parse: "text-parsing", audio: "audio-generation", book: "book-assembly" };
const WAITING = new Set(["queued", "retrying"]);
const RESULT_MEMBERS = [
  ...["chapters", "characters", "charactersIn", "charactersSpoken", "leftOut"],
  ...["audioUrl", "durationSeconds", "downloadUrl", "bytes", "missing"],
];

/** @type {Record<string, (data: Record<string, any>) => Partial<Job>>} */
const CHANGES = {
  progress: ({ progress }) => ({ state: WAITING.has(progress.stage) ? "waiting" : "active", progress }),
  complete: (data) => ({ state: "completed", result: resultOf(data), error: null }),
  failed: ({ error }) => ({ state: "failed", error }),
  cancelled: () => ({ state: "cancelled" }),
};

/**
 * The jobs after `event`. Where the event changes nothing (it is no job's, or its job already includes it) the very
 * same `jobs` come back; else a new collection of the same kind, with only the event's job replaced.
 *
 * @template {Map<string, Job> | Record<string, Job>} Jobs
 * @param {Jobs} jobs by job id
 * @param {StoredEvent} event
 * @returns {Jobs}
 */
export function applyEvent(jobs, event) {
  if (event.type === "project:changed") return without(jobs, event.data.gone ?? []);
  const before = jobs instanceof Map ? jobs.get(event.data.jobId) : jobs[event.data.jobId];
  const after = applyToJob(before, event);
  if (after === undefined || after === before) return jobs;
  return /** @type {Jobs} */ (
    jobs instanceof Map ? new Map(jobs).set(after.id, after) : { ...jobs, [after.id]: after }
  );
}

/**
 * The jobs without those of chapters that are gone.
 *
 * @template {Map<string, Job> | Record<string, Job>} Jobs
 * @param {Jobs} jobs
 * @param {string[]} gone
 * @returns {Jobs}
 */
function without(jobs, gone) {
  const entries = jobs instanceof Map ? [...jobs] : Object.entries(jobs);
  const left = entries.filter(([, { chapterId }]) => !gone.includes(chapterId ?? ""));
  if (left.length === entries.length) return jobs;
  return /** @type {Jobs} */ (jobs instanceof Map ? new Map(left) : Object.fromEntries(left));
}

/**
 * One job after `event`: the same object where the event changes nothing, undefined where it is no job's event.
 *
 * @param {Job | undefined} job
 * @param {StoredEvent} event
 * @returns {Job | undefined}
 */
export function applyToJob(job, event) {
  const [prefix, verb] = event.type.split(":");
  const change = CHANGES[verb];
  if (!QUEUES[prefix] || !change) return job;
  if (job && !isNewer(event.id, job.version)) return job;
  const { at, attempt } = event.data;
  return {
    ...(job ?? firstSeen(QUEUES[prefix], event)),
    ...change(event.data),
    attempt: attempt ?? job?.attempt ?? 0,
    version: event.id,
    updatedAt: at,
  };
}

/** @param {Job["queue"]} queue @param {StoredEvent} event @returns {Job} */
function firstSeen(queue, { data }) {
  return {
    id: data.jobId,
    queue,
    projectId: data.projectId,
    chapterId: data.chapterId ?? null,
    state: "waiting",
    progress: null,
    attempt: 0,
    version: null,
    createdAt: data.at,
    updatedAt: data.at,
    result: null,
    error: null,
    format: data.format ?? null,
  };
}

/** @param {Record<string, any>} data */
function resultOf(data) {
  return Object.fromEntries(RESULT_MEMBERS.filter((name) => name in data).map((name) => [name, data[name]]));
}
