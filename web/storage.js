// The browser's storage behind four words, in memory where the browser refuses it (private windows, full disks).
// It must not know what is kept.

/**
 * @typedef {object} Storage
 * @property {(key: string) => string | null} get
 * @property {(key: string, value: string) => void} set
 * @property {(key: string) => void} remove
 * @property {(prefix: string) => string[]} keys
 */

/** @returns {Storage} */
export function memoryStorage() {
  /** @type {Map<string, string>} */
  const map = new Map();
  return {
    get: (key) => map.get(key) ?? null,
    set: (key, value) => void map.set(key, value),
    remove: (key) => void map.delete(key),
    keys: (prefix) => [...map.keys()].filter((key) => key.startsWith(prefix)),
  };
}

/** @returns {Storage} */
export function browserStorage() {
  /** @type {globalThis.Storage} */
  let local;
  try {
    local = globalThis.localStorage;
    local.setItem("chinwag:probe", "1");
    local.removeItem("chinwag:probe");
  } catch {
    return memoryStorage();
  }
  return {
    get: (key) => local.getItem(key),
    set: (key, value) => {
      try {
        local.setItem(key, value);
      } catch {
        // A full disk costs what would have survived a reload, not the conversation.
      }
    },
    remove: (key) => local.removeItem(key),
    keys: (prefix) => Object.keys(local).filter((key) => key.startsWith(prefix)),
  };
}
