/** The account page's wiring: the password, the second factor, the browsers one is signed in with. */

import { api } from "./api.js";
import { byId } from "./components/parts.js";
import { PasswordForm } from "./components/password-form.js";
import { SecondFactor } from "./components/second-factor.js";
import { SessionList } from "./components/session-list.js";
import { Toaster } from "./components/toaster.js";
import { goToSignIn, showUser, wireButtons } from "./components/topbar.js";
import { describeError, onLocaleChange, t, translate } from "./i18n.js";

translate(document);
wireButtons();

const toaster = new Toaster(byId("toasts"));
const tell = (text) => toaster.show(text);
const sessions = new SessionList({ tell, fail });
const password = new PasswordForm(() => changed(t("account.passwordChanged")));
const factor = new SecondFactor({ changed, fail });
let failure = null;

onLocaleChange(() => {
  for (const part of [sessions, password, factor]) part.render();
  showFailure(failure);
});
byId("reload").addEventListener("click", load);
// A browser may have been signed out elsewhere, this one too.
addEventListener("visibilitychange", () => document.hidden || sessions.load());
if (await showUser()) load();

async function load() {
  showFailure(null);
  try {
    const account = await api.account();
    for (const id of ["password", "factor"]) byId(id).hidden = !account.password;
    byId("no-password").hidden = account.password;
    password.show(account);
    factor.show(account);
    await sessions.load();
  } catch (error) {
    if (error.status === 401) return goToSignIn();
    showFailure(error);
  }
}

function changed(said) {
  tell(said);
  load();
}

function fail(error) {
  if (error.status === 401) return goToSignIn();
  toaster.show(describeError(error), "error");
}

function showFailure(error) {
  failure = error;
  byId("load-error").hidden = !error;
  byId("load-error-text").textContent = error ? describeError(error) : "";
}
