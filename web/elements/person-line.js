// A person as a line in a list: picture, name, and a note beside it, made as DOM.
// It must not know where the line stands or what follows from choosing it.

/** @type {Record<import("../wire.js").Role, string>} */
export const ROLE_NAMES = { guest: "Guest", member: "Member", moderator: "Moderator", admin: "Admin", owner: "Owner" };

/**
 * @param {{id: string, name: string, picture: string, note?: string}} person
 * @returns {HTMLButtonElement} whose value is the person's id
 */
export function personLine({ id, name, picture, note = "" }) {
  const line = document.createElement("button");
  line.type = "button";
  line.className = "person-line";
  line.value = id;
  const image = document.createElement("img");
  image.className = "avatar";
  image.alt = "";
  image.width = 28;
  image.height = 28;
  image.loading = "lazy";
  image.src = picture;
  line.append(image, part("name", name), part("note", note));
  return line;
}

/**
 * @param {"name" | "note"} kind
 * @param {string} words
 */
function part(kind, words) {
  const span = document.createElement("span");
  span.className = `person-line__${kind}`;
  if (kind === "name") span.dir = "auto";
  span.textContent = words;
  return span;
}
