/** Where one has stopped listening to a project: kept in this browser. */

import { keep, recall } from "./storage.js";

const name = (projectId) => `place.${projectId}`;

/**
 * @param {string} projectId
 * @returns {{chapterId: string, seconds: number} | null}
 */
export function recallPlace(projectId) {
  const [chapterId, seconds] = (recall(name(projectId)) ?? "").split("@");
  return chapterId && Number.isFinite(Number(seconds)) ? { chapterId, seconds: Number(seconds) } : null;
}

/** @param {string} projectId @param {string} chapterId @param {number} seconds from its start */
export const keepPlace = (projectId, chapterId, seconds) =>
  keep(name(projectId), `${chapterId}@${Math.round(seconds * 10) / 10}`);

/** @param {string} projectId */
export const forgetPlace = (projectId) => keep(name(projectId), null);
