/** One project in the list. */

import { describeError, formatWhen, t } from "../i18n.js";
import { isRunning, percentText, setText, showProgress, stageText } from "./job-text.js";
import { instantiate } from "./parts.js";

export class ProjectItem {
  #parts;

  constructor() {
    const { root, parts } = instantiate("project-item");
    this.root = root;
    this.#parts = parts;
  }

  /** @param {object} project with its parse job */
  update(project) {
    const { title, state, meta, work, bar, stage, percent, reason } = this.#parts;
    const { job } = project;
    setText(title, project.title);
    title.href = `/projects/${encodeURIComponent(project.id)}`;
    setText(meta, factsOf(project).join(" · "));
    state.hidden = !job || job.state === "completed";
    if (job) {
      state.dataset.state = job.state;
      setText(state, t(`state.${job.state}`));
    }
    reason.hidden = job?.state !== "failed";
    setText(reason, job?.state === "failed" && job.error ? describeError(job.error) : "");
    work.hidden = !isRunning(job);
    if (work.hidden) return;
    showProgress(bar, job, project.title);
    setText(stage, stageText(job));
    setText(percent, percentText(job));
  }
}

/** @param {object} project @returns {string[]} what there is to say of it beside its title */
export function factsOf(project) {
  const facts = [t(`language.${project.language}`)];
  if (project.chapterCount) facts.push(t("unit.chapters", { count: project.chapterCount }));
  if (project.characters) facts.push(t("unit.characters", { count: project.characters }));
  facts.push(t("projects.updated", { when: formatWhen(project.updatedAt) }));
  return facts;
}
