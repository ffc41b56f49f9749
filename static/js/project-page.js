/** The project page: one project, its chapters, and what is done with them, live. */

import { api } from "./api.js";
import { ChapterRow, fileName, titleOf } from "./components/chapter-row.js";
import { isRunning, percentage, setText, stageText } from "./components/job-text.js";
import { PaintQueue } from "./components/paint-queue.js";
import { byId } from "./components/parts.js";
import { Player } from "./components/player.js";
import { factsOf } from "./components/project-item.js";
import { goToSignIn } from "./components/topbar.js";
import { VoiceSelect } from "./components/voice-select.js";
import { describeError, formatDuration, t } from "./i18n.js";
import { ProjectModel } from "./project-model.js";

const TITLE_EVERY_MS = 250;
const FRAME = "";

export class ProjectPage {
  #id;
  #client;
  #toaster;
  #announcer;
  #parsePanel;
  #player;
  #voices;
  #model = new ProjectModel();
  /** @type {Map<string, ChapterRow>} */
  #rows = new Map();
  /** @type {import("./api.js").ApiError | null} */
  #failure = null;
  #titleTimer = 0;
  #queue = new PaintQueue((keys) => this.#paint(keys));

  /**
   * @param {object} options
   * @param {string} options.id the project's
   * @param {any} options.client a progress client, not yet connected
   * @param {import("./components/toaster.js").Toaster} options.toaster
   * @param {import("./components/announcer.js").Announcer} options.announcer
   * @param {import("./components/parse-panel.js").ParsePanel} options.parsePanel
   */
  constructor({ id, client, toaster, announcer, parsePanel }) {
    this.#id = id;
    this.#client = client;
    this.#toaster = toaster;
    this.#announcer = announcer;
    this.#parsePanel = parsePanel;
    this.#player = this.#makePlayer();
    this.#voices = new VoiceSelect(byId("voice-field"), byId("voice"), (voice) => this.#chooseVoice(voice));
    client.onEvent((event) => this.#hear(event));
    client.onReset(({ jobs }) => this.#reset(jobs));
  }

  /** Loads the project, and the first time connects from its cursor. */
  async load() {
    try {
      const snapshot = await api.project(this.#id);
      const first = !this.#model.project;
      this.#model.load(snapshot);
      this.#failure = null;
      if (first) this.#begin(snapshot);
    } catch (error) {
      if (error.status === 401) return goToSignIn();
      this.#failure = error;
    }
    this.render();
  }

  async generateAll() {
    const button = byId("generate-all");
    button.disabled = true;
    await this.#attempt(async () => {
      const jobs = await api.generateAll(this.#id);
      for (const job of jobs) this.#take(job);
      if (jobs.length === 0) this.#toaster.show(t("project.nothingToDo"));
    });
    this.#queue.mark(FRAME);
  }

  async delete() {
    await this.#attempt(async () => {
      await api.deleteProject(this.#id);
      this.#client.disconnect();
      location.assign("/");
    });
  }

  /** Paints everything: after a load, and in another language. */
  render() {
    byId("loading").hidden = true;
    const { project } = this.#model;
    byId("content").hidden = !project;
    byId("load-error").hidden = !this.#failure;
    byId("load-error-text").textContent = this.#failure ? failureText(this.#failure) : "";
    byId("reload").hidden = this.#failure?.status === 404;
    if (!project) return;
    this.#renderRows();
    this.#paint(new Set(this.#model.chapterIds));
    this.#renderTitle();
  }

  #begin({ cursor }) {
    this.#voices.load(this.#model.project);
    this.#client.connect({ after: cursor });
    this.#client.subscribeToProject(this.#id);
  }

  #hear(event) {
    const before = this.#jobOf(event.data.chapterId);
    const job = this.#model.apply(event);
    if (!job) return;
    this.#speak(before, job);
    this.#changed(job);
    if (event.type === "parse:complete") this.load();
  }

  async #reset(jobs) {
    this.#model.reset(jobs);
    await this.load();
    this.#toaster.show(t("project.synced"));
  }

  #take(job) {
    this.#model.putJob(job);
    this.#changed(job);
  }

  #changed(job) {
    this.#queue.mark(job.chapterId ?? FRAME);
    // By a timer: a tab in the background paints no frames, and its title is all one sees of it.
    this.#titleTimer ||= setTimeout(() => this.#renderTitle(), TITLE_EVERY_MS);
  }

  #jobOf(chapterId) {
    return chapterId ? this.#model.chapter(chapterId)?.job : this.#model.parseJob;
  }

  /** Speaks of stages and ends only: percentages would drown all else. */
  #speak(before, job) {
    const stage = job.progress?.stage;
    const same = before?.id === job.id && before.state === job.state && before.progress?.stage === stage;
    if (same || job.state === "waiting" || (job.state === "active" && stage === "done")) return;
    const chapter = job.chapterId ? this.#model.chapter(job.chapterId) : null;
    const title = chapter ? titleOf(chapter) : this.#model.project.title;
    this.#announcer.say(job.chapterId ?? FRAME, t("speak.stage", { title, stage: this.#spoken(job) }));
  }

  #spoken(job) {
    if (job.state === "active") return stageText(job);
    return job.error && job.state === "failed"
      ? `${t("state.failed")}. ${describeError(job.error)}`
      : t(`state.${job.state}`);
  }

  #renderRows() {
    const ids = this.#model.chapterIds;
    const known = [...this.#rows.keys()];
    if (ids.length === known.length && ids.every((id, index) => id === known[index])) return;
    const actions = {
      generate: (id) => this.#attempt(async () => this.#take(await api.generateChapter(this.#id, id))),
      cancel: (id) => this.#attempt(async () => this.#take(await api.cancelJob(this.#model.chapter(id).job))),
      play: (id) => this.#player.toggle(this.#track(this.#model.chapter(id))),
    };
    this.#rows = new Map(ids.map((id) => [id, this.#rows.get(id) ?? new ChapterRow(id, actions)]));
    byId("chapter-list").replaceChildren(...[...this.#rows.values()].map((row) => row.root));
  }

  #paint(keys) {
    if (!this.#model.project) return;
    for (const id of keys) {
      const chapter = this.#model.chapter(id);
      if (chapter) this.#rows.get(id)?.update(chapter, this.#player.isPlaying(id));
    }
    this.#paintFrame();
  }

  #paintFrame() {
    const { project, parseJob } = this.#model;
    const overall = this.#model.overall();
    setText(byId("title"), project.title);
    setText(byId("delete-text"), t("delete.text", { title: project.title }));
    const facts = factsOf({ ...project, chapterCount: overall.count });
    if (overall.seconds) facts.splice(-1, 0, formatDuration(overall.seconds));
    setText(byId("meta"), facts.join(" · "));
    this.#parsePanel.update(parseJob);
    byId("chapters").hidden = overall.count === 0 && parseJob?.state !== "completed";
    byId("no-chapters").hidden = overall.count > 0;
    this.#paintOverall(overall);
  }

  #paintOverall({ count, ready, running, percentage: share }) {
    const all = count > 0 && ready === count;
    setText(byId("overall-text"), count ? t(all ? "project.allReady" : "project.ready", { count, done: ready }) : "");
    const button = byId("generate-all");
    const wanting = this.#model.chapters().some((chapter) => !chapter.audioUrl && !isRunning(chapter.job));
    button.hidden = all || count === 0;
    button.disabled = !wanting;
    byId("overall-work").hidden = share === null;
    if (share === null) return;
    const bar = byId("overall-bar");
    bar.value = share;
    bar.textContent = t("unit.percent", { value: share });
    setText(byId("overall-running"), t("project.generating", { count: running }));
    setText(byId("overall-percent"), t("unit.percent", { value: share }));
  }

  #renderTitle() {
    this.#titleTimer = 0;
    const { project, parseJob } = this.#model;
    const share = isRunning(parseJob) ? percentage(parseJob) : this.#model.overall().percentage;
    const title = `${project.title} – SmartVoice`;
    document.title = share === null ? title : `${t("unit.percent", { value: share })} · ${title}`;
  }

  #makePlayer() {
    const parts = {
      root: byId("player"),
      audio: byId("audio"),
      title: byId("player-title"),
      download: byId("player-download"),
      close: byId("player-close"),
    };
    return new Player(parts, {
      next: (id) => this.#trackAfter(id),
      onChange: (ids) => ids.forEach((id) => this.#queue.mark(id)),
      onFail: () => this.#toaster.show(t("player.failed"), "error"),
    });
  }

  #track(chapter) {
    const { id, audioUrl } = chapter;
    const album = this.#model.project.title;
    return { id, audioUrl, title: titleOf(chapter), fileName: fileName(chapter), album };
  }

  #trackAfter(id) {
    const chapters = this.#model.chapters();
    const later = chapters.slice(chapters.findIndex((chapter) => chapter.id === id) + 1);
    const next = later.find((chapter) => chapter.audioUrl);
    return next ? this.#track(next) : null;
  }

  async #chooseVoice(voice) {
    return this.#attempt(async () => {
      await api.changeProject(this.#id, { voice });
      this.#toaster.show(t("project.voiceSaved"));
    });
  }

  /** @returns {Promise<boolean>} whether the server did it; where not, the reader is told why */
  async #attempt(action) {
    try {
      await action();
      return true;
    } catch (error) {
      if (error.status === 401) goToSignIn();
      else this.#toaster.show(describeError(error), "error");
      return false;
    }
  }
}

function failureText(error) {
  return error.status === 404 ? t("project.notFound") : `${t("project.loadFailed")} ${describeError(error)}`;
}
