/** The projects page: the list as it is now, live, and what of it one has asked to see. */

import { api } from "./api.js";
import { PaintQueue } from "./components/paint-queue.js";
import { byId } from "./components/parts.js";
import { ProjectItem } from "./components/project-item.js";
import { goToSignIn } from "./components/topbar.js";
import { describeError, formatSize, t } from "./i18n.js";
import { isNewer } from "./progress/cursor.js";
import { applyToJob } from "./progress/reducer.js";

/** From so many projects on, one may search. */
const WORTH_SEARCHING = 4;
const STATES = { parsing: ["waiting", "active"], ready: ["completed"], failed: ["failed", "cancelled"] };

export class ProjectsPage {
  #actions;
  /** @type {Map<string, any>} */
  #projects = new Map();
  /** @type {Map<string, ProjectItem>} */
  #items = new Map();
  /** Narrations known to be under way, by project. @type {Map<string, Set<string>>} */
  #narrations = new Map();
  #filter = byId("filter");
  /** @type {{again: boolean} | null} */
  #loading = null;
  #failure = null;
  /** @type {Awaited<ReturnType<typeof api.usage>> | null} */
  #usage = null;
  #queue = new PaintQueue((ids) => ids.forEach((id) => this.#paint(id)));

  /** @param {{edit: (project: any) => void, delete: (project: any) => void}} actions */
  constructor(actions) {
    this.#actions = actions;
    this.#filter.addEventListener("submit", (event) => event.preventDefault());
    this.#filter.addEventListener("input", () => this.render());
    byId("show-all").addEventListener("click", () => {
      this.#filter.reset();
      this.render();
      this.#filter.elements.query.focus();
    });
  }

  /** Loads the list; asked for again while it does, once more after that. */
  async load() {
    if (this.#loading) {
      this.#loading.again = true;
      return;
    }
    this.#loading = { again: false };
    try {
      this.#take(await api.projects());
      this.#failure = null;
      this.#loadUsage();
    } catch (error) {
      if (error.status === 401) return goToSignIn();
      this.#failure = error;
    }
    const { again } = this.#loading;
    this.#loading = null;
    this.render();
    if (again) this.load();
  }

  /** @param {import("./progress/reducer.js").StoredEvent} event */
  hear(event) {
    if (event.type.startsWith("audio:")) this.#hearNarration(event);
    if (!event.type.startsWith("parse:")) return;
    const project = this.#projects.get(event.data.projectId);
    // Made in another tab; or its counts are now known.
    if (!project || event.type === "parse:complete" || event.type === "project:changed") this.load();
    if (!project) return;
    const job = applyToJob(project.job ?? undefined, event);
    this.#projects.set(project.id, { ...project, job });
    this.#queue.mark(project.id);
  }

  /** Takes in a project that was changed. */
  put(project) {
    const { job } = this.#projects.get(project.id) ?? project;
    this.#projects.set(project.id, { ...project, job });
    this.render();
  }

  /** @param {string} id */
  remove(id) {
    this.#projects.delete(id);
    this.render();
  }

  render() {
    byId("loading").hidden = true;
    byId("load-error").hidden = !this.#failure;
    byId("load-error-text").textContent = this.#failure
      ? `${t("projects.loadFailed")} ${describeError(this.#failure)}`
      : "";
    byId("empty").hidden = Boolean(this.#failure) || this.#projects.size > 0;
    this.#filter.hidden = this.#projects.size < WORTH_SEARCHING;
    for (const id of this.#items.keys()) if (!this.#projects.has(id)) this.#items.delete(id);
    for (const id of this.#projects.keys()) this.#paint(id);
    this.#showUsage();
    this.#show([...this.#projects.values()].filter((project) => this.#isWanted(project)));
  }

  /** What one has is told where it can be; the list does not wait for it. */
  async #loadUsage() {
    try {
      this.#usage = await api.usage();
    } catch {
      this.#usage = null;
    }
    this.#showUsage();
  }

  #showUsage() {
    const usage = this.#usage;
    byId("usage").hidden = !usage || this.#projects.size === 0;
    if (!usage) return;
    byId("usage").textContent = t("projects.usage", {
      projects: usage.projects.used,
      mostProjects: usage.projects.limit,
      bytes: formatSize(usage.storageBytes.used),
      mostBytes: formatSize(usage.storageBytes.limit),
    });
  }

  #take(list) {
    const known = this.#projects;
    const withJob = (project) => ({ ...project, job: newer(project.job, known.get(project.id)?.job) });
    this.#projects = new Map(list.map((project) => [project.id, withJob(project)]));
  }

  /** @param {import("./progress/reducer.js").StoredEvent} event */
  #hearNarration({ type, data: { projectId, jobId } }) {
    const jobs = this.#narrations.get(projectId) ?? new Set();
    if (type === "audio:progress") jobs.add(jobId);
    else jobs.delete(jobId);
    this.#narrations.set(projectId, jobs);
    this.#queue.mark(projectId);
  }

  #paint(id) {
    const project = this.#projects.get(id);
    if (!project) return;
    if (!this.#items.has(id)) this.#items.set(id, this.#makeItem(id));
    this.#items.get(id).update(project, Boolean(this.#narrations.get(id)?.size));
  }

  #makeItem(id) {
    return new ProjectItem({
      edit: () => this.#actions.edit(this.#projects.get(id)),
      delete: () => this.#actions.delete(this.#projects.get(id)),
    });
  }

  #isWanted({ title, job }) {
    if (this.#filter.hidden) return true;
    const { query, state } = this.#filter.elements;
    const named = title.toLocaleLowerCase().includes(query.value.trim().toLocaleLowerCase());
    return named && (!state.value || STATES[state.value].includes(job?.state ?? "completed"));
  }

  #show(projects) {
    byId("none-found").hidden = this.#projects.size === 0 || projects.length > 0;
    const roots = projects.map(({ id }) => this.#items.get(id).root);
    const list = byId("project-list");
    // Moving nodes would take the focus from them.
    if (roots.length !== list.children.length || roots.some((root, index) => root !== list.children[index])) {
      list.replaceChildren(...roots);
    }
  }
}

const newer = (job, known) => (known && known.id === job?.id && isNewer(known.version, job.version) ? known : job);
