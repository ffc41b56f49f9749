/** The bar on top of a signed-in page: who one is, signing out, the language, the connection. */

import { api } from "../api.js";
import { onLocaleChange } from "../i18n.js";
import { ConnectionLabel } from "./connection-label.js";
import { wireLanguageButton } from "./language-button.js";
import { byId } from "./parts.js";
import { wireThemeButton } from "./theme-button.js";

/** Where one signs out who has signed in elsewhere. @type {string | undefined} */
let signOutUrl;

/** Goes to the sign-in page, from which one comes back here. */
export function goToSignIn() {
  const here = location.pathname + location.search;
  location.assign(here === "/" ? "/signin" : `/signin?next=${encodeURIComponent(here)}`);
}

/**
 * @param {ReturnType<typeof import("../progress/client.js").createProgressClient>} client
 */
export function wireTopbar(client) {
  wireButtons(() => client.disconnect());
  const label = new ConnectionLabel(byId("connection"), byId("connection-text"));
  label.show(client.connection);
  client.onConnectionChange((connection) => {
    label.show(connection);
    if (connection.state === "signed-out") goToSignIn();
  });
  onLocaleChange(() => label.render());
}

/** @param {() => void} [onSignOut] is called before one is signed out */
export function wireButtons(onSignOut = () => {}) {
  wireLanguageButton(byId("language"));
  wireThemeButton(byId("theme"));
  byId("sign-out").addEventListener("click", async () => {
    onSignOut();
    if (signOutUrl) return location.assign(signOutUrl);
    await api.signOut().catch(() => null);
    location.assign("/signin");
  });
}

/** Shows who is signed in; without a session, goes to the sign-in page. @returns {Promise<boolean>} */
export async function showUser() {
  try {
    const session = await api.session();
    signOutUrl = session.signOutUrl;
    byId("user-name").textContent = session.name || session.user;
    return true;
  } catch (error) {
    if (error.status === 401) goToSignIn();
    return error.status !== 401;
  }
}
