/** Where somebody goes after signing in: a page of this site, whatever the address asks for. */

/**
 * By the origin of what a browser makes of it, never by how it is spelled. The answer begins with the origin: a path
 * alone, such as that of `/.//host`, could be another host's name when it is read once more.
 *
 * @param {string | null} wanted
 * @param {string} origin of this site
 * @returns {string} an address of this site
 */
export function pageOnSite(wanted, origin) {
  const home = `${origin}/`;
  const target = parsed(wanted ?? "", home);
  // A `blob:` has the origin of who made it, and would be a page of theirs.
  if (target?.origin !== origin || !home.startsWith(`${target.protocol}//`)) return home;
  return origin + target.pathname + target.search + target.hash;
}

function parsed(address, base) {
  try {
    return new URL(address, base);
  } catch {
    return null;
  }
}
