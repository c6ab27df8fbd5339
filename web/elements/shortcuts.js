// The keyboard's shortcuts: which keys there are, and which of them an event is.
// It must not know how any of them is carried out.

export const SHORTCUTS = [
  { keys: "Ctrl or ⌘ + K", does: "Find a room" },
  { keys: "Alt + ↑ or ↓", does: "The room above or below" },
  { keys: "Alt + Shift + ↓", does: "The next room with something unread" },
  { keys: "Escape", does: "Close what is open; else to the newest message" },
  { keys: "any letter", does: "Write, wherever the focus is" },
];

/** @typedef {"find" | "above" | "below" | "unread" | "escape" | "write"} Shortcut */

/**
 * @param {KeyboardEvent} event
 * @returns {Shortcut | null}
 */
export function shortcutOf(event) {
  const command = event.ctrlKey || event.metaKey;
  if (command && !event.altKey && event.key.toLowerCase() === "k") return "find";
  if (event.altKey && !command && event.key === "ArrowUp") return "above";
  if (event.altKey && !command && event.key === "ArrowDown") return event.shiftKey ? "unread" : "below";
  if (event.key === "Escape") return "escape";
  const printable = event.key.length === 1 && event.key !== " ";
  return printable && !command && !event.altKey && !isControl(event.target) ? "write" : null;
}

/** @param {EventTarget | null} target */
function isControl(target) {
  return target instanceof Element && target.closest("input, textarea, select, button, [contenteditable]") !== null;
}
