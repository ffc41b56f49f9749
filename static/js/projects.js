/** The projects page: the list, live, and the form for a new one. */

import { api } from "./api.js";
import { ManuscriptForm } from "./components/manuscript-form.js";
import { PaintQueue } from "./components/paint-queue.js";
import { byId } from "./components/parts.js";
import { ProjectItem } from "./components/project-item.js";
import { goToSignIn, showUser, wireTopbar } from "./components/topbar.js";
import { describeError, onLocaleChange, t, translate } from "./i18n.js";
import { createProgressClient } from "./progress/client.js";
import { isNewer } from "./progress/cursor.js";
import { applyToJob } from "./progress/reducer.js";

const client = createProgressClient({ url: "/api/events" });
/** @type {Map<string, any>} */
let projects = new Map();
/** @type {Map<string, ProjectItem>} */
const items = new Map();
let loading = null;
let failure = null;
const queue = new PaintQueue((ids) => ids.forEach((id) => items.get(id)?.update(projects.get(id))));

translate(document);
wireTopbar(client);
onLocaleChange(render);
new ManuscriptForm(
  {
    form: byId("create"),
    pasteField: byId("paste-field"),
    uploadField: byId("upload-field"),
    fileTitle: byId("file-title"),
    error: byId("create-error"),
    veil: byId("drop-veil"),
  },
  create,
);
byId("reload").addEventListener("click", load);
client.onEvent(hear);
client.onReset(load);
client.onConnectionChange(({ state }) => state === "live" && load());
start();

async function start() {
  if (!(await showUser())) return;
  // The list carries no cursor: it is loaded once more as soon as the stream is live, so that nothing falls between.
  client.connect();
  load();
}

async function create(manuscript) {
  const project = await api.createProject(manuscript);
  location.assign(`/projects/${encodeURIComponent(project.id)}`);
}

/** Loads the list; asked for again while it does, once more after that. */
async function load() {
  if (loading) {
    loading.again = true;
    return;
  }
  loading = { again: false };
  try {
    take(await api.projects());
    failure = null;
  } catch (error) {
    if (error.status === 401) return goToSignIn();
    failure = error;
  }
  const { again } = loading;
  loading = null;
  render();
  if (again) load();
}

function take(list) {
  const known = projects;
  projects = new Map(list.map((project) => [project.id, { ...project, job: newer(project.job, known.get(project.id)?.job) }]));
}

const newer = (job, known) => (known && known.id === job?.id && isNewer(known.version, job.version) ? known : job);

function hear(event) {
  if (!event.type.startsWith("parse:")) return;
  const project = projects.get(event.data.projectId);
  // Made in another tab; or its counts are now known.
  if (!project || event.type === "parse:complete") load();
  if (!project) return;
  const job = applyToJob(project.job ?? undefined, event);
  projects.set(project.id, { ...project, job });
  queue.mark(project.id);
}

function render() {
  byId("loading").hidden = true;
  byId("load-error").hidden = !failure;
  byId("load-error-text").textContent = failure ? `${t("projects.loadFailed")} ${describeError(failure)}` : "";
  byId("empty").hidden = Boolean(failure) || projects.size > 0;
  for (const id of items.keys()) if (!projects.has(id)) items.delete(id);
  for (const [id, project] of projects) {
    if (!items.has(id)) items.set(id, new ProjectItem());
    items.get(id).update(project);
  }
  const roots = [...projects.keys()].map((id) => items.get(id).root);
  const list = byId("project-list");
  // Moving nodes would take the focus from them.
  if (roots.length !== list.children.length || roots.some((root, index) => root !== list.children[index])) {
    list.replaceChildren(...roots);
  }
}
