/** What works the player beside its own buttons: the keyboard, and the keys and lock screen of the device. */

const SKIP_SECONDS = 10;
/** Where keys have a meaning of their own. */
const TYPED_INTO = "input, textarea, select, dialog, [contenteditable]";
const PRESSED = "button, a, summary";

/**
 * Space plays and pauses, the arrows go back and forth by 10 s: wherever a key has no meaning of its own.
 *
 * @param {import("./player.js").Player} player
 */
export function wireKeys(player) {
  addEventListener("keydown", (event) => {
    if (!player.isOpen || event.defaultPrevented || event.ctrlKey || event.altKey || event.metaKey) return;
    const action = actionOf(event, player);
    if (!action) return;
    event.preventDefault();
    action();
  });
}

function actionOf({ key, target }, player) {
  if (target.closest(TYPED_INTO)) return null;
  if (key === " ") return target.closest(PRESSED) ? null : () => player.toggle();
  if (key === "ArrowLeft") return () => player.seek(player.seconds - SKIP_SECONDS);
  if (key === "ArrowRight") return () => player.seek(player.seconds + SKIP_SECONDS);
  return null;
}

/** @param {import("./player.js").Player} player */
export function wireMediaSession(player) {
  /** @type {Partial<Record<MediaSessionAction, MediaSessionActionHandler>>} */
  const actions = {
    play: () => player.toggle(),
    pause: () => player.toggle(),
    previoustrack: () => player.step(-1),
    nexttrack: () => player.step(1),
    seekbackward: ({ seekOffset }) => player.seek(player.seconds - (seekOffset ?? SKIP_SECONDS)),
    seekforward: ({ seekOffset }) => player.seek(player.seconds + (seekOffset ?? SKIP_SECONDS)),
    seekto: ({ seekTime }) => player.seek(seekTime),
  };
  for (const [action, handler] of Object.entries(actions)) {
    navigator.mediaSession?.setActionHandler(/** @type {MediaSessionAction} */ (action), handler);
  }
}
