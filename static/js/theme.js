/* Sets the theme that was chosen, before the first paint: a classic script, since a module would run too late. */
try {
  const chosen = localStorage.getItem("smartvoice.theme");
  if (chosen === "light" || chosen === "dark") document.documentElement.dataset.theme = chosen;
} catch {
  // Storage is denied: the system's theme it is.
}
