/** The sign-in page: by name and password, or by a link that carries a token in its fragment. */

import { api } from "./api.js";
import { wireLanguageButton } from "./components/language-button.js";
import { byId } from "./components/parts.js";
import { SecondStep } from "./components/second-step.js";
import { describeError, has, onLocaleChange, t, translate } from "./i18n.js";
import { pageOnSite } from "./next-page.js";

const form = byId("sign-in");
const submit = form.querySelector("[type=submit]");
let failure = () => "";
let providerName = "";
/** What was right in the first step, until the second is done. @type {object | null} */
let proven = null;
const second = new SecondStep({
  send: (code) => signIn({ ...proven, code }, codeFailure),
  missing: () => showFailure(() => t("signin.codeMissing")),
  back: () => {
    showFailure(() => "");
    showFirstStep();
  },
});

translate(document);
wireLanguageButton(byId("language"));
onLocaleChange(() => {
  showFailure(failure);
  nameProvider();
});
form.addEventListener("submit", (event) => {
  event.preventDefault();
  signInByPassword();
});
// A link that is pasted while this page is open changes its fragment only.
addEventListener("hashchange", signInByLink);
signInByLink();
goOn();
showProblem();
showProvider();

async function signInByPassword() {
  const { username, password } = /** @type {Record<string, string>} */ (Object.fromEntries(new FormData(form)));
  if (!username.trim() || !password) {
    showFailure(() => t("signin.missing"));
    (username.trim() ? form.elements.password : form.elements.username).focus();
    return;
  }
  setBusy(true);
  await signIn({ username: username.trim(), password }, (error) =>
    error.status === 401 ? t("signin.refused") : otherFailure(error),
  );
  setBusy(false);
}

async function signInByLink() {
  const token = new URLSearchParams(location.hash.slice(1)).get("link");
  if (!token) return form.elements.username.focus();
  // At once, so that the token stays neither in the address bar nor in the history.
  history.replaceState(null, "", location.pathname + location.search);
  form.hidden = true;
  byId("by-link").hidden = false;
  await signIn({ link: token }, linkFailure);
  form.hidden = proven !== null;
  byId("by-link").hidden = true;
}

/** Who is signed in has nothing to do here: another page of this browser may have been sent away while it was so. */
async function goOn() {
  if (location.hash || new URLSearchParams(location.search).has("problem")) return;
  if (await api.session().catch(() => null)) location.replace(nextPage());
}

async function signIn(credential, explain) {
  showFailure(() => "");
  try {
    await api.signIn(credential);
    location.replace(nextPage());
  } catch (error) {
    if (error.code === "second_factor_required") return showSecondStep(credential);
    // Where it is not the code that was wrong, one begins anew.
    if (proven && error.status === 401 && error.code !== "bad_code") showFirstStep();
    showFailure(() => explain(error));
  }
}

function showSecondStep(credential) {
  proven = credential;
  form.hidden = true;
  byId("provider").hidden = true;
  second.open();
}

function showFirstStep() {
  proven = null;
  second.close();
  form.hidden = false;
  byId("provider").hidden = !providerName;
  form.elements.password.value = "";
  form.elements.username.focus();
}

function codeFailure(error) {
  if (error.code === "bad_code") return t("signin.codeWrong");
  return error.status === 401 ? t("signin.refused") : otherFailure(error);
}

/** What came of signing in at the provider, which sends one back here. */
function showProblem() {
  const code = new URLSearchParams(location.search).get("problem");
  if (!code) return;
  const key = `signin.problem.${code}`;
  showFailure(() => t(has(key) ? key : "signin.problem"));
}

/** The button for the OpenID provider, where one is configured; without it the page is as good. */
async function showProvider() {
  const { oidc } = await api.signInOptions().catch(() => ({ oidc: null }));
  if (!oidc) return;
  providerName = oidc.name;
  const link = byId("provider");
  const next = nextPage().slice(location.origin.length); // the server wants a path, and looks at it itself
  link.href = `${oidc.url}?${new URLSearchParams({ next })}`;
  link.hidden = false;
  nameProvider();
}

function nameProvider() {
  byId("provider").textContent = t("signin.provider", { name: providerName });
}

function linkFailure(error) {
  if (error.code === "link_used") return t("signin.linkUsed");
  return error.status >= 400 && error.status < 429 ? t("signin.linkRefused") : otherFailure(error);
}

const otherFailure = (error) => (error.status === 429 ? t("signin.tooMany") : describeError(error));

const nextPage = () => pageOnSite(new URLSearchParams(location.search).get("next"), location.origin);

function showFailure(text) {
  failure = text;
  const message = byId("message");
  message.textContent = text();
  message.hidden = !message.textContent;
}

function setBusy(busy) {
  submit.disabled = busy;
  submit.dataset.i18n = busy ? "signin.busy" : "signin.submit";
  submit.textContent = t(submit.dataset.i18n);
}
