/** The projects page's wiring: the list, the form for a new project, and the dialogs. */

import { api } from "./api.js";
import { isConnected } from "./components/connection-label.js";
import { ask } from "./components/dialog.js";
import { setText } from "./components/job-text.js";
import { ManuscriptForm } from "./components/manuscript-form.js";
import { byId } from "./components/parts.js";
import { ProjectDialog } from "./components/project-dialog.js";
import { Toaster } from "./components/toaster.js";
import { goToSignIn, showUser, wireTopbar } from "./components/topbar.js";
import { describeError, onLocaleChange, t, translate } from "./i18n.js";
import { forgetPlace } from "./place.js";
import { createProgressClient } from "./progress/client.js";
import { ProjectsPage } from "./projects-page.js";

const client = createProgressClient({ url: "/api/events" });
translate(document);
wireTopbar(client);

const toaster = new Toaster(byId("toasts"));
const dialog = new ProjectDialog(byId("project-dialog"), (project) => page.put(project));
const page = new ProjectsPage({ edit: (project) => dialog.open(project), delete: remove });
onLocaleChange(() => page.render());
new ManuscriptForm(
  {
    form: byId("create"),
    pasteField: byId("paste-field"),
    uploadField: byId("upload-field"),
    fileTitle: byId("file-title"),
    error: byId("create-error"),
    veil: byId("drop-veil"),
    work: byId("upload-work"),
    bar: byId("upload-bar"),
    stage: byId("upload-text"),
    percent: byId("upload-percent"),
    cancel: byId("upload-cancel"),
  },
  create,
);
byId("reload").addEventListener("click", () => page.load());
client.onEvent((event) => page.hear(event));
client.onReset(() => page.load());
// The list carries no cursor: it is loaded once more as soon as events come in, so that nothing falls between.
client.onConnectionChange((connection) => isConnected(connection) && page.load());
addEventListener("online", () => page.load());
if (await showUser()) {
  client.connect();
  page.load();
}

async function create(manuscript, options) {
  const asked = manuscript instanceof FormData ? api.createFromFile(manuscript, options) : api.createFromText(manuscript);
  const project = await asked;
  location.assign(`/projects/${encodeURIComponent(project.id)}`);
}

async function remove(project) {
  setText(byId("delete-text"), t("delete.text", { title: project.title }));
  if ((await ask(byId("delete-dialog"))) !== "delete") return;
  try {
    await api.deleteProject(project.id);
  } catch (error) {
    if (error.status === 401) return goToSignIn();
    if (error.status !== 404) return toaster.show(describeError(error), "error");
  }
  forgetPlace(project.id);
  page.remove(project.id);
  toaster.show(t("project.deleted", { title: project.title }));
}
