/** The server's HTTP interface, and its problems (RFC 9457) as `ApiError`. */

/** What the server refused, or `code` `network` and status 0 where it was not reached at all. */
export class ApiError extends Error {
  /** @param {{status: number, code: string, detail: string}} problem */
  constructor({ status, code, detail }) {
    super(detail || code);
    this.name = "ApiError";
    this.status = status;
    this.code = code;
    this.detail = detail;
  }
}

/**
 * @param {string} method
 * @param {string} path
 * @param {object | FormData} [body] sent as JSON, or as multipart where it is a FormData
 * @returns {Promise<any>} the JSON of the answer, null where it is empty
 * @throws {ApiError}
 */
async function request(method, path, body) {
  const response = await fetch(path, { method, ...encoded(body) }).catch(() => {
    throw new ApiError({ status: 0, code: "network", detail: "" });
  });
  const document = await response.json().catch(() => null);
  if (response.ok) return document;
  throw new ApiError({
    status: response.status,
    code: document?.code ?? `http_${response.status}`,
    detail: document?.detail ?? document?.title ?? "",
  });
}

function encoded(body) {
  if (body === undefined) return { headers: { Accept: "application/json" } };
  if (body instanceof FormData) return { headers: { Accept: "application/json" }, body };
  return {
    headers: { Accept: "application/json", "Content-Type": "application/json" },
    body: JSON.stringify(body),
  };
}

const projectPath = (id) => `/api/projects/${encodeURIComponent(id)}`;

/** One method for each thing that the pages ask for; all of them throw `ApiError`. */
export const api = {
  /** @returns {Promise<{user: string, name: string, signOutUrl?: string}>} */
  session: () => request("GET", "/api/session"),
  /** @param {{username: string, password: string} | {link: string}} credential */
  signIn: (credential) => request("POST", "/api/session", credential),
  signOut: () => request("DELETE", "/api/session"),
  /** @returns {Promise<{oidc: {name: string, url: string} | null}>} */
  signInOptions: () => request("GET", "/api/sign-in-options"),

  projects: async () => (await request("GET", "/api/projects")).projects,
  project: (id) => request("GET", projectPath(id)),
  /** @param {{title?: string, text: string, language?: string} | FormData} manuscript */
  createProject: (manuscript) => request("POST", "/api/projects", manuscript),
  changeProject: (id, changes) => request("PATCH", projectPath(id), changes),
  deleteProject: (id) => request("DELETE", projectPath(id)),

  generateChapter: (id, chapterId) =>
    request("POST", `${projectPath(id)}/chapters/${encodeURIComponent(chapterId)}/audio`),
  generateAll: async (id) => (await request("POST", `${projectPath(id)}/audio`)).jobs,
  cancelJob: ({ queue, id }) => request("DELETE", `/api/jobs/${queue}/${encodeURIComponent(id)}`),

  voices: () => request("GET", "/api/voices"),
};
