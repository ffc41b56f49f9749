/** The browsers that one is signed in with, and signing them out. */

import { api } from "../api.js";
import { formatWhen, t } from "../i18n.js";
import { describeAgent } from "./agent.js";
import { setAttribute, setText } from "./job-text.js";
import { byId, iconHref, instantiate } from "./parts.js";

/** @typedef {{id: string, createdAt: string, lastUsedAt: string, userAgent: string, address: string, current: boolean}} Session */

export class SessionList {
  #list = byId("session-list");
  #endOthers = byId("end-others");
  #handlers;
  /** @type {Session[]} */
  #sessions = [];

  /** @param {{tell: (text: string) => void, fail: (error: any) => void}} handlers */
  constructor(handlers) {
    this.#handlers = handlers;
    this.#endOthers.addEventListener("click", () =>
      this.#do(() => api.endOtherSessions(), () => t("account.endedOthers")),
    );
  }

  async load() {
    try {
      this.#sessions = await api.sessions();
      this.render();
    } catch (error) {
      this.#handlers.fail(error);
    }
  }

  render() {
    // The present one first, then by their last use.
    const order = [...this.#sessions].sort(
      (one, other) => Number(other.current) - Number(one.current) || other.lastUsedAt.localeCompare(one.lastUsedAt),
    );
    this.#list.replaceChildren(...order.map((session) => this.#item(session)));
    this.#endOthers.hidden = order.filter(({ current }) => !current).length < 2;
  }

  #item(session) {
    const { root, parts } = instantiate("session-item");
    const { name, icon } = describeAgent(session.userAgent);
    setText(parts.agent, name);
    setAttribute(parts.agent, "title", session.userAgent);
    setAttribute(parts.icon, "href", iconHref(icon));
    setText(parts.present, t("account.present"));
    setText(parts.facts, factsOf(session).join(" · "));
    setText(parts.end, t("app.signOut"));
    setAttribute(parts.end, "aria-label", t("account.endOne", { name }));
    parts.present.hidden = !session.current;
    parts.end.hidden = session.current;
    parts.end.addEventListener("click", () =>
      this.#do(() => api.endSession(session.id), () => t("account.endedOne", { name })),
    );
    return root;
  }

  async #do(end, said) {
    try {
      await end();
      this.#handlers.tell(said());
    } catch (error) {
      // It has ended by itself.
      if (error.status !== 404) this.#handlers.fail(error);
    }
    await this.load();
    byId("sessions-title").focus();
  }
}

/** @param {Session} session @returns {string[]} */
function factsOf({ address, createdAt, lastUsedAt }) {
  const used = t("account.used", { when: formatWhen(lastUsedAt) });
  const since = t("account.since", { when: formatWhen(createdAt) });
  return [address, used, since].filter(Boolean);
}
