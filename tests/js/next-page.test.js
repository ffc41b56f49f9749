import assert from "node:assert/strict";
import { test } from "node:test";
import { pageOnSite } from "../../static/js/next-page.js";

const SITE = "https://books.example:8443";

const TEMPTING = [
  ...["//evil.example", "///evil.example", "/\\evil.example", "\\\\evil.example", "\\/evil.example", "/\t/evil.example"],
  ...["\t//evil.example", "/\n/evil.example", " //evil.example", "\u0000//evil.example", "/.//evil.example"],
  ...["/x/..//evil.example", "/./x/../..//evil.example", "/%2e//evil.example", "/x/%2E%2e//evil.example", "/.\\/evil"],
  ...["https://evil.example", "https:evil.example", "https:\\\\evil.example", "http://books.example:8443/"],
  ...["https://books.example:8443@evil.example/", "https://books.example/", "https://books.example:8443.evil.example"],
  ...["javascript:alert(1)", "JavaScript:alert(1)", "java\nscript:alert(1)", "data:text/html,x", "vbscript:x"],
  ...["blob:https://books.example:8443/a", "filesystem:https://books.example:8443/a", "about:blank", "file:///etc"],
  ...["//[", "http://[", "https://%", "%2F%2Fevil.example", "/%2F/evil.example", "/%5Cevil.example", "\u3002evil.example"],
  ...["/\u2028/evil.example", "////", "/..", "?//evil.example", "#//evil.example", "", null],
];

test("nobody is sent to another site", () => {
  for (const wanted of TEMPTING) {
    const page = pageOnSite(wanted, SITE);
    assert.ok(page.startsWith(`${SITE}/`), `${wanted}: ${page}`);
    // Read once more, as an address, it is still here.
    assert.equal(new URL(page, "https://elsewhere.example/").origin, SITE, String(wanted));
    assert.equal(new URL(page).username, "");
  }
});

test("pages of this site are kept", () => {
  for (const wanted of ["/", "/projects/abc", "/projects/abc?x=1#y", "/a//b", "/?next=//x", "/书"]) {
    assert.equal(pageOnSite(wanted, SITE), SITE + new URL(wanted, SITE).href.slice(SITE.length));
  }
  assert.equal(pageOnSite(`${SITE}/projects/abc`, SITE), `${SITE}/projects/abc`);
});
