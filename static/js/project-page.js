/** The project page: one project, its chapters, and what is done with them, live. */

import { api } from "./api.js";
import { ask } from "./components/dialog.js";
import { fileName, titleOf } from "./components/chapter-row.js";
import { isRunning, percentage, setText, stageText } from "./components/job-text.js";
import { byId } from "./components/parts.js";
import { factsOf } from "./components/project-item.js";
import { goToSignIn } from "./components/topbar.js";
import { describeError, formatDuration, t } from "./i18n.js";
import { forgetPlace, keepPlace, recallPlace } from "./place.js";
import { ProjectModel } from "./project-model.js";

/** @typedef {ReturnType<typeof import("./project.js").makeParts>} Parts */

const FRAME_EVERY_MS = 250;
const MANUSCRIPT = "";
const CANCELLED_AT_ONCE = 6;

export class ProjectPage {
  #id;
  #client;
  /** @type {Parts} */
  #parts;
  #model = new ProjectModel();
  /** @type {import("./api.js").ApiError | null} */
  #failure = null;
  #frameTimer = 0;
  #wasRunning = 0;
  #starting = false;
  #making = false;
  /** Chapters whose text or voice was changed while their audio was made: which text it has, only the server knows. */
  #editedMeanwhile = new Set();

  /**
   * @param {object} options
   * @param {string} options.id the project's
   * @param {any} options.client a progress client, not yet connected
   * @param {(page: ProjectPage) => Parts} options.makeParts
   */
  constructor({ id, client, makeParts }) {
    this.#id = id;
    this.#client = client;
    this.#parts = makeParts(this);
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

  /** Loads again what could not be loaded. */
  retry() {
    if (this.#failure) this.load();
  }

  generate = (id) => this.#attempt(async () => this.#take(await api.generateChapter(this.#id, id)));

  cancel = (id) => this.#attempt(async () => this.#take(await api.cancelJob(this.#model.chapter(id).job)));

  generateAll = async () => {
    this.#starting = true;
    this.#paintFrame();
    await this.#attempt(async () => {
      const jobs = await api.generateAll(this.#id);
      for (const job of jobs) this.#take(job);
      if (jobs.length === 0) this.#parts.toaster.show(t("project.nothingToDo"));
    });
    this.#starting = false;
    this.#paintFrame();
  };

  /** @param {boolean} partly whether chapters that lack audio may be left out */
  async makeBook(partly) {
    this.#making = true;
    this.#paintFrame();
    await this.#attempt(async () => this.#take(await api.makeBook(this.#id, this.#parts.bookPanel.format, partly)));
    this.#making = false;
    this.#paintFrame();
  }

  cancelBook = () =>
    this.#attempt(async () => {
      if (isRunning(this.#model.bookJob)) this.#take(await api.cancelJob(this.#model.bookJob));
    });

  cancelAll = () =>
    this.#attempt(async () => {
      const waiting = this.#model.chapters().filter(({ job }) => isRunning(job));
      // From the last: else what is freed by a cancelled one begins just to be cancelled.
      const one = async () => {
        for (let next = waiting.pop(); next; next = waiting.pop()) this.#take(await api.cancelJob(next.job));
      };
      await Promise.all(Array.from({ length: CANCELLED_AT_ONCE }, one));
      this.#paintFrame();
    });

  play = (id) => this.#parts.player.toggle(this.#track(this.#model.chapter(id)));

  /** Goes on where one has stopped, or begins with the first chapter that has audio. */
  listen = () => {
    const { player } = this.#parts;
    if (player.isOpen) return player.toggle();
    const place = recallPlace(this.#id);
    const left = place && this.#model.chapter(place.chapterId);
    const chapter = left?.audioUrl ? left : this.#model.chapters().find(({ audioUrl }) => audioUrl);
    if (!chapter) return;
    player.cue(this.#track(chapter), chapter === left ? place.seconds : 0);
    player.toggle();
  };

  merge = (id) =>
    this.#attempt(async () => {
      const { title } = await api.mergeChapter(this.#id, id);
      this.#parts.toaster.show(t("chapter.merged", { title }));
      await this.load();
    });

  editChapter = (id) =>
    this.#attempt(() => this.#parts.editor.open(this.#id, id, this.#model.project.language));

  /** Takes in a job that was started elsewhere on the page. */
  take = (job) => this.#take(job);

  edit = () => this.#parts.dialog.open(this.#model.project);

  async delete() {
    const { title } = this.#model.project;
    setText(byId("delete-text"), t("delete.text", { title }));
    if ((await ask(byId("delete-dialog"))) !== "delete") return;
    await this.#attempt(async () => {
      await api.deleteProject(this.#id);
      this.#client.disconnect();
      this.#parts.player.close();
      forgetPlace(this.#id);
      location.assign("/");
    });
  }

  /** @param {string | null} voice @returns {Promise<boolean>} whether it was accepted */
  chooseVoice(voice) {
    return this.#attempt(async () => {
      this.#model.putProject(await api.changeProject(this.#id, { voice }));
      this.#parts.toaster.show(t("project.voiceSaved"));
      // Which audio is of another voice now, the server knows.
      await this.load();
    });
  }

  /** Takes in a project that was changed. */
  putProject(project) {
    const other = project.language !== this.#model.project.language;
    this.#model.putProject(project);
    if (other) this.#parts.voices.load(this.#model.project);
    for (const { id, job } of this.#model.chapters()) if (isRunning(job)) this.#editedMeanwhile.add(id);
    this.render();
    // Which audio is read in another way now, the server knows.
    this.load();
  }

  /** Takes in a chapter that was changed. */
  putChapter(chapter, changes) {
    const other = ["text", "voice", "speed"].some((name) => name in changes);
    if (other && isRunning(this.#jobOf(chapter.id))) this.#editedMeanwhile.add(chapter.id);
    this.#model.putChapter(chapter);
    this.#parts.toaster.show(t(chapter.outdated ? "editor.savedOutdated" : "project.saved"));
    this.#parts.list.mark(chapter.id);
    this.#paintFrame();
  }

  /** @param {string} id @returns {import("./project-model.js").Chapter | null} */
  chapter = (id) => this.#model.chapter(id);

  /** The chapter with audio after a chapter, or the one before it. @param {string} id @param {1 | -1} step */
  neighbour = (id, step) => {
    const withAudio = this.#model.chapters().filter((chapter) => chapter.audioUrl || chapter.id === id);
    const found = withAudio[withAudio.findIndex((chapter) => chapter.id === id) + step];
    return found ? this.#track(found) : null;
  };

  keepPlace = (chapterId, seconds) => keepPlace(this.#id, chapterId, seconds);

  /** Paints everything: after a load, and in another language. */
  render() {
    byId("loading").hidden = true;
    const { project } = this.#model;
    byId("content").hidden = !project;
    byId("load-error").hidden = !this.#failure;
    byId("load-error-text").textContent = this.#failure ? failureText(this.#failure) : "";
    byId("reload").hidden = this.#failure?.status === 404;
    if (!project) return;
    this.#parts.list.show(this.#model.chapterIds);
    this.#paintFrame();
  }

  #begin({ cursor }) {
    this.#parts.voices.load(this.#model.project);
    this.#client.connect({ after: cursor });
    this.#client.subscribeToProject(this.#id);
    const place = recallPlace(this.#id);
    const chapter = place && this.#model.chapter(place.chapterId);
    if (chapter?.audioUrl) this.#parts.player.cue(this.#track(chapter), place.seconds);
  }

  #hear(event) {
    if (event.type === "project:changed" && event.data.projectId === this.#id) {
      this.load();
      return;
    }
    const isBook = event.type.startsWith("book:");
    const before = isBook ? this.#model.bookJob : this.#jobOf(event.data.chapterId);
    const job = this.#model.apply(event);
    if (!job) return;
    this.#speak(before, job);
    this.#changed(job);
    if (event.type === "parse:complete") this.load();
    if (event.type === "audio:complete" && this.#editedMeanwhile.delete(job.chapterId)) this.#lookUp(job.chapterId);
  }

  async #reset(jobs) {
    this.#model.reset(jobs);
    await this.load();
    this.#parts.toaster.show(t("project.synced"));
  }

  async #lookUp(id) {
    await this.#attempt(async () => this.#model.putChapter(await api.chapter(this.#id, id)));
    this.#parts.list.mark(id);
  }

  #take(job) {
    this.#model.putJob(job);
    this.#changed(job);
  }

  #changed(job) {
    if (job.chapterId) this.#parts.list.mark(job.chapterId);
    // By a timer: a tab in the background paints no frames, and its title is all one sees of it.
    this.#frameTimer ||= setTimeout(() => this.#paintFrame(), FRAME_EVERY_MS);
  }

  #jobOf(chapterId) {
    return chapterId ? this.#model.chapter(chapterId)?.job : this.#model.parseJob;
  }

  /** Speaks of stages and ends only: percentages would drown all else. */
  #speak(before, job) {
    const stage = job.progress?.stage;
    const same = before?.id === job.id && before.state === job.state && before.progress?.stage === stage;
    if (same || (job.state === "waiting" && stage === "queued") || (job.state === "active" && stage === "done")) return;
    const chapter = job.chapterId ? this.#model.chapter(job.chapterId) : null;
    const title = chapter ? titleOf(chapter) : this.#model.project.title;
    this.#parts.announcer.say(job.chapterId ?? MANUSCRIPT, t("speak.stage", { title, stage: spoken(job) }));
  }

  /** All but the chapters' rows: what stands around them, and the tab's title. */
  #paintFrame() {
    clearTimeout(this.#frameTimer);
    this.#frameTimer = 0;
    const { project, parseJob } = this.#model;
    const overall = this.#model.overall();
    setText(byId("title"), project.title);
    const facts = factsOf({ ...project, chapterCount: overall.count });
    if (overall.seconds) facts.splice(-1, 0, formatDuration(overall.seconds));
    setText(byId("meta"), facts.join(" · "));
    this.#parts.parsePanel.update(parseJob);
    this.#parts.foundPanel.update(project);
    this.#parts.cover.update(project);
    this.#parts.overallPanel.update(overall, { parsed: parseJob?.state === "completed", starting: this.#starting });
    this.#parts.bookPanel.update(this.#bookState(overall));
    this.#parts.player.refresh();
    this.#nameTab(overall);
    this.#tellTheEnd(overall);
  }

  #bookState({ count, running }) {
    const { bookJob: job, books } = this.#model;
    const lacking = this.#model.chapters().filter(({ audioUrl }) => !audioUrl);
    return { job, books, lacking, count, narrating: running > 0 || this.#starting, starting: this.#making };
  }

  #nameTab(overall) {
    const { project, parseJob } = this.#model;
    const share = isRunning(parseJob) ? percentage(parseJob) : overall.percentage;
    const title = `${project.title} – SmartVoice`;
    document.title = share === null ? title : `${t("unit.percent", { value: share })} · ${title}`;
  }

  #tellTheEnd({ running, ready, count, failed }) {
    if (this.#wasRunning && !running) {
      const body = [t("notify.done", { done: ready, count }), failed ? t("notify.failed", { count: failed }) : ""];
      this.#parts.notifier.tell(this.#model.project.title, { body: body.filter(Boolean).join(" · "), tag: this.#id });
    }
    this.#wasRunning = running;
  }

  #track(chapter) {
    const { id, audioUrl } = chapter;
    const album = this.#model.project.title;
    return { id, audioUrl, title: titleOf(chapter), fileName: fileName(chapter), album };
  }

  /** @returns {Promise<boolean>} whether the server did it; where not, the reader is told why */
  async #attempt(action) {
    try {
      await action();
      return true;
    } catch (error) {
      if (error.status === 401) goToSignIn();
      else this.#parts.toaster.show(describeError(error), "error");
      return false;
    }
  }
}

function spoken(job) {
  if (isRunning(job)) return stageText(job);
  return job.error && job.state === "failed"
    ? `${t("state.failed")}. ${describeError(job.error)}`
    : t(`state.${job.state}`);
}

function failureText(error) {
  return error.status === 404 ? t("project.notFound") : `${t("project.loadFailed")} ${describeError(error)}`;
}
