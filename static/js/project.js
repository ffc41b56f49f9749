/** The project page's wiring: the elements, the server and the live stream joined to `ProjectPage`. */

import { Announcer } from "./components/announcer.js";
import { ParsePanel } from "./components/parse-panel.js";
import { byId } from "./components/parts.js";
import { Toaster } from "./components/toaster.js";
import { showUser, wireTopbar } from "./components/topbar.js";
import { onLocaleChange, t, translate } from "./i18n.js";
import { createProgressClient } from "./progress/client.js";
import { ProjectPage } from "./project-page.js";

const client = createProgressClient({ url: "/api/events" });
translate(document);
wireTopbar(client);

const page = new ProjectPage({
  id: decodeURIComponent(location.pathname.split("/")[2] ?? ""),
  client,
  toaster: new Toaster(byId("toasts")),
  announcer: new Announcer(byId("announcements"), (count) => t("speak.many", { count })),
  parsePanel: new ParsePanel({
    root: byId("parse"),
    title: byId("parse-title"),
    work: byId("parse-work"),
    bar: byId("parse-bar"),
    stage: byId("parse-stage"),
    percent: byId("parse-percent"),
    reason: byId("parse-reason"),
    hint: byId("parse-hint"),
  }),
});
onLocaleChange(() => page.render());
byId("reload").addEventListener("click", () => page.load());
byId("generate-all").addEventListener("click", () => page.generateAll());
byId("delete").addEventListener("click", () => byId("delete-dialog").showModal());
byId("delete-dialog").addEventListener("close", ({ target }) => target.returnValue === "delete" && page.delete());
// Escape closes the dialog without an answer: not with the one before.
byId("delete-dialog").addEventListener("cancel", ({ target }) => (target.returnValue = ""));
if (await showUser()) page.load();
