/** The project page's wiring: the elements, the server and the live stream joined to `ProjectPage`. */

import { Announcer } from "./components/announcer.js";
import { BookPanel } from "./components/book-panel.js";
import { ChapterEditor } from "./components/chapter-editor.js";
import { ChapterList } from "./components/chapter-list.js";
import { isConnected } from "./components/connection-label.js";
import { Notifier } from "./components/notifier.js";
import { OverallPanel } from "./components/overall-panel.js";
import { ParsePanel } from "./components/parse-panel.js";
import { CoverPicture } from "./components/cover-picture.js";
import { FoundPanel } from "./components/found-panel.js";
import { byId, byIds } from "./components/parts.js";
import { wireKeys } from "./components/player-keys.js";
import { Player } from "./components/player.js";
import { ProjectDialog } from "./components/project-dialog.js";
import { Toaster } from "./components/toaster.js";
import { showUser, wireTopbar } from "./components/topbar.js";
import { VoiceSelect } from "./components/voice-select.js";
import { onLocaleChange, t, translate } from "./i18n.js";
import { createProgressClient } from "./progress/client.js";
import { ProjectPage } from "./project-page.js";

const client = createProgressClient({ url: "/api/events" });
translate(document);
wireTopbar(client);

/** @param {ProjectPage} page */
export function makeParts(page) {
  const toaster = new Toaster(byId("toasts"));
  const player = makePlayer(page, toaster);
  const list = new ChapterList(byId("chapter-list"), {
    actions: { generate: page.generate, cancel: page.cancel, edit: page.editChapter, play: page.play, merge: page.merge },
    look: page.chapter,
    isPlaying: (id) => player.isPlaying(id),
  });
  player.onChange = (ids) => ids.forEach((id) => list.mark(id));
  return {
    toaster,
    player,
    list,
    announcer: new Announcer(byId("announcements"), (count) => t("speak.many", { count })),
    parsePanel: new ParsePanel(byIds("parse", ["title", "work", "bar", "stage", "percent", "reason", "hint"])),
    foundPanel: new FoundPanel(byIds("found", ["title", "list"])),
    cover: new CoverPicture(byId("cover")),
    overallPanel: new OverallPanel({
      ...byIds("overall", ["text", "share", "percent", "eta", "bar"]),
      root: byId("chapters"),
      none: byId("no-chapters"),
      generate: byId("generate-all"),
      cancel: byId("cancel-all"),
      listen: byId("listen"),
    }),
    bookPanel: new BookPanel({
      ...byIds("book", ["text", "format", "make", "partly", "cancel", "missing", "generate", "work", "bar", "stage"]),
      ...byIds("book", ["percent", "reason", "files"]),
      missingText: byId("book-missing-text"),
      whole: byId("book-whole"),
    }),
    notifier: new Notifier(byId("notify"), toaster),
    editor: new ChapterEditor(byId("chapter-dialog"), {
      onSaved: (chapter, changes) => page.putChapter(chapter, changes),
      onRearranged: () => page.load(),
      onRedo: (job) => page.take(job),
    }),
    dialog: new ProjectDialog(byId("project-dialog"), (project) => page.putProject(project)),
    voices: new VoiceSelect(byId("voice-field"), byId("voice"), (voice) => page.chooseVoice(voice)),
  };
}

function makePlayer(page, toaster) {
  const names = ["title", "play", "previous", "next", "seek", "elapsed", "total", "speed", "download", "close"];
  const player = new Player(
    { ...byIds("player", names), audio: byId("audio") },
    { neighbour: page.neighbour, onPlace: page.keepPlace, onFail: () => toaster.show(t("player.failed"), "error") },
  );
  wireKeys(player);
  return player;
}

const page = new ProjectPage({ id: decodeURIComponent(location.pathname.split("/")[2] ?? ""), client, makeParts });
onLocaleChange(() => page.render());
// What failed for want of a connection is tried again as soon as there is one.
client.onConnectionChange((connection) => isConnected(connection) && page.retry());
addEventListener("online", () => page.retry());
byId("reload").addEventListener("click", () => page.load());
byId("generate-all").addEventListener("click", page.generateAll);
byId("cancel-all").addEventListener("click", page.cancelAll);
byId("book-make").addEventListener("click", () => page.makeBook(false));
byId("book-partly").addEventListener("click", () => page.makeBook(true));
byId("book-cancel").addEventListener("click", page.cancelBook);
byId("book-generate").addEventListener("click", page.generateAll);
byId("listen").addEventListener("click", page.listen);
byId("edit").addEventListener("click", page.edit);
byId("delete").addEventListener("click", () => page.delete());
if (await showUser()) page.load();
