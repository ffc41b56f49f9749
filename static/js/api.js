/** The server's HTTP interface, and its problems (RFC 9457) as `ApiError`. */

/** What the server refused, or `code` `network` and status 0 where it was not reached at all. */
export class ApiError extends Error {
  /** @param {{status: number, code: string, detail: string, limit?: number}} problem */
  constructor({ status, code, detail, limit }) {
    super(detail || code);
    this.name = "ApiError";
    this.status = status;
    this.code = code;
    this.detail = detail;
    this.limit = limit;
  }
}

const unreached = () => new ApiError({ status: 0, code: "network", detail: "" });

/**
 * @param {string} method
 * @param {string} path
 * @param {object} [body] sent as JSON
 * @returns {Promise<any>} the JSON of the answer, null where it is empty
 * @throws {ApiError}
 */
async function request(method, path, body) {
  const response = await fetch(path, { method, ...encoded(body) }).catch(() => {
    throw unreached();
  });
  const document = await response.json().catch(() => null);
  if (response.ok) return document;
  throw problemOf(response.status, document);
}

function encoded(body) {
  if (body === undefined) return { headers: { Accept: "application/json" } };
  return {
    headers: { Accept: "application/json", "Content-Type": "application/json" },
    body: JSON.stringify(body),
  };
}

function problemOf(status, document) {
  return new ApiError({
    status,
    code: document?.code ?? `http_${status}`,
    detail: document?.detail ?? document?.title ?? "",
    limit: document?.limit,
  });
}

/**
 * @typedef {object} UploadOptions
 * @property {(share: number) => void} [onProgress] how much is sent, 0 to 1
 * @property {AbortSignal} [signal] ends it; it then fails with `code` `cancelled`
 */

/**
 * Posts a form. By XMLHttpRequest, since `fetch` does not tell how far a request is.
 *
 * @param {string} path
 * @param {FormData} form
 * @param {UploadOptions} options
 * @returns {Promise<any>} the JSON of the answer
 * @throws {ApiError}
 */
function upload(path, form, { onProgress, signal }) {
  return new Promise((resolve, reject) => {
    const sending = new XMLHttpRequest();
    sending.open("POST", path);
    sending.setRequestHeader("Accept", "application/json");
    sending.upload.addEventListener("progress", ({ loaded, total }) => onProgress?.(total ? loaded / total : 0));
    sending.addEventListener("error", () => reject(unreached()));
    sending.addEventListener("abort", () => reject(new ApiError({ status: 0, code: "cancelled", detail: "" })));
    sending.addEventListener("load", () => {
      const document = parsed(sending.responseText);
      if (sending.status < 300) resolve(document);
      else reject(problemOf(sending.status, document));
    });
    signal?.addEventListener("abort", () => sending.abort());
    sending.send(form);
  });
}

function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

const projectPath = (id) => `/api/projects/${encodeURIComponent(id)}`;
const chapterPath = (id, chapterId) => `${projectPath(id)}/chapters/${encodeURIComponent(chapterId)}`;

/** One method for each thing that the pages ask for; all of them throw `ApiError`. */
export const api = {
  /** @returns {Promise<{user: string, name: string, signOutUrl?: string}>} */
  session: () => request("GET", "/api/session"),
  /** @param {{username?: string, password?: string, link?: string, code?: string}} credential */
  signIn: (credential) => request("POST", "/api/session", credential),
  signOut: () => request("DELETE", "/api/session"),
  /** @returns {Promise<{oidc: {name: string, url: string} | null}>} */
  signInOptions: () => request("GET", "/api/sign-in-options"),

  /** @returns {Promise<Record<"projects" | "storageBytes", {used: number, limit: number}>>} */
  usage: () => request("GET", "/api/usage"),
  /** @returns {Promise<{user: string, name: string, password: boolean, secondFactor: boolean, recoveryCodes: number,
   *   minPasswordCharacters: number}>} */
  account: () => request("GET", "/api/account"),
  /** @param {string} currentPassword @param {string} newPassword */
  changePassword: (currentPassword, newPassword) =>
    request("POST", "/api/account/password", { currentPassword, newPassword }),
  /** @returns {Promise<{secret: string, uri: string, qr: string}>} `qr` as SVG */
  beginSecondFactor: () => request("POST", "/api/account/second-factor"),
  /** @param {{password: string, code: string}} proof @returns {Promise<string[]>} the recovery codes */
  enableSecondFactor: async (proof) => (await request("POST", "/api/account/second-factor/enable", proof)).recoveryCodes,
  /** @param {{password: string, code: string}} proof */
  disableSecondFactor: (proof) => request("POST", "/api/account/second-factor/disable", proof),
  /** @param {{password: string, code: string}} proof @returns {Promise<string[]>} the recovery codes */
  renewRecoveryCodes: async (proof) =>
    (await request("POST", "/api/account/second-factor/recovery-codes", proof)).recoveryCodes,
  sessions: async () => (await request("GET", "/api/sessions")).sessions,
  /** @param {string} id */
  endSession: (id) => request("DELETE", `/api/sessions/${encodeURIComponent(id)}`),
  endOtherSessions: () => request("DELETE", "/api/sessions"),

  projects: async () => (await request("GET", "/api/projects")).projects,
  project: (id) => request("GET", projectPath(id)),
  /** @param {{title?: string, text: string, language?: string}} text */
  createFromText: (text) => request("POST", "/api/projects", text),
  /** @param {FormData} form with the `file` @param {UploadOptions} [options] */
  createFromFile: (form, options = {}) => upload("/api/projects", form, options),
  /** @param {string} id @param {{title?: string, language?: string, voice?: string | null}} changes */
  changeProject: (id, changes) => request("PATCH", projectPath(id), changes),
  deleteProject: (id) => request("DELETE", projectPath(id)),

  /** With its `text`. */
  chapter: (id, chapterId) => request("GET", chapterPath(id, chapterId)),
  /** @param {string} id @param {string} chapterId @param {{title?: string, text?: string}} changes */
  changeChapter: (id, chapterId, changes) => request("PATCH", chapterPath(id, chapterId), changes),
  /** @param {string} id @param {string} chapterId @param {number} offset a character of the line that begins the second */
  splitChapter: (id, chapterId, offset) => request("POST", `${chapterPath(id, chapterId)}/split`, { offset }),
  /** Merges it with the chapter before. */
  mergeChapter: (id, chapterId) => request("POST", `${chapterPath(id, chapterId)}/merge`),
  /** How completely its audio says its text. @returns {Promise<{segments: object[], suspicious: number[]}>} */
  report: (id, chapterId) => request("GET", `${chapterPath(id, chapterId)}/report`),
  /** @param {number[]} redo segments of the report that are to be said anew */
  redo: (id, chapterId, redo) => request("POST", `${chapterPath(id, chapterId)}/audio`, { redo }),
  generateChapter: (id, chapterId) => request("POST", `${chapterPath(id, chapterId)}/audio`),
  generateAll: async (id) => (await request("POST", `${projectPath(id)}/audio`)).jobs,
  /** @param {string} id @param {"m4b" | "zip"} format @param {boolean} allowMissing whether chapters may lack audio */
  makeBook: (id, format, allowMissing) => request("POST", `${projectPath(id)}/book`, { format, allowMissing }),
  cancelJob: ({ queue, id }) => request("DELETE", `/api/jobs/${queue}/${encodeURIComponent(id)}`),

  voices: () => request("GET", "/api/voices"),
  /** For administrators. */
  status: () => request("GET", "/api/status"),
};
