/** One project in the list. */

import { describeError, formatWhen, t } from "../i18n.js";
import { isRunning, percentage, setAttribute, setText, showProgress, stageText } from "./job-text.js";
import { instantiate } from "./parts.js";

export class ProjectItem {
  #parts;

  /** @param {{edit: () => void, delete: () => void}} actions */
  constructor(actions) {
    const { root, parts } = instantiate("project-item");
    this.root = root;
    this.#parts = parts;
    parts.edit.addEventListener("click", actions.edit);
    parts.delete.addEventListener("click", actions.delete);
  }

  /**
   * @param {Record<string, any>} project with its parse job
   * @param {boolean} narrating whether audio of it is being generated
   */
  update(project, narrating) {
    const { title, meta, reason, bar } = this.#parts;
    const { job } = project;
    setText(title, project.title);
    setAttribute(title, "href", `/projects/${encodeURIComponent(project.id)}`);
    setText(meta, factsOf(project).join(" · "));
    this.#updateState(job, narrating);
    this.#nameButtons(project.title);
    reason.hidden = job?.state !== "failed";
    setText(reason, job?.state === "failed" && job.error ? describeError(job.error) : "");
    bar.hidden = !isRunning(job);
    if (isRunning(job)) showProgress(bar, percentage(job), project.title);
  }

  #updateState(job, narrating) {
    const { state } = this.#parts;
    const parsed = !job || job.state === "completed";
    state.hidden = parsed && !narrating;
    if (state.hidden) return;
    setAttribute(state, "data-state", parsed ? "active" : job.state);
    setText(state, parsed ? t("projects.narrating") : isRunning(job) ? stageText(job) : t(`state.${job.state}`));
  }

  #nameButtons(title) {
    for (const action of ["edit", "delete"]) {
      const said = t(`project.${action}`);
      setAttribute(this.#parts[action], "title", said);
      setAttribute(this.#parts[action], "aria-label", t("project.action", { action: said, title }));
    }
  }
}

/** @param {Record<string, any>} project @returns {string[]} what there is to say of it beside its title */
export function factsOf(project) {
  const facts = [t(`language.${project.language}`)];
  if (project.author) facts.unshift(project.author);
  if (project.chapterCount) facts.push(t("unit.chapters", { count: project.chapterCount }));
  if (project.characters) facts.push(t("unit.characters", { count: project.characters }));
  facts.push(t("projects.updated", { when: formatWhen(project.updatedAt) }));
  return facts;
}
