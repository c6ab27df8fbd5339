// One entry of a list in a dialog, as DOM: what it is, what is to be known of it, and the buttons beside it.
// It must not know what is listed.

/**
 * @param {{title: string, facts: string, text?: string}} words
 * @param {...HTMLElement} acts
 */
export function entry({ title, facts, text = "" }, ...acts) {
  const item = document.createElement("li");
  item.className = "entry";
  const words = document.createElement("div");
  words.className = "entry__words";
  words.append(line("strong", "entry__title", title), line("span", "entry__facts", facts));
  if (text) words.append(line("p", "entry__text", text));
  item.append(words);
  if (acts.length > 0) {
    const place = document.createElement("div");
    place.className = "entry__acts";
    place.append(...acts);
    item.append(place);
  }
  return item;
}

/**
 * @param {string} act
 * @param {string} words
 * @param {string} value
 */
export function entryButton(act, words, value) {
  const button = document.createElement("button");
  button.type = "button";
  button.className = "button button--small";
  button.dataset.act = act;
  button.value = value;
  button.textContent = words;
  return button;
}

/**
 * @param {string} tag
 * @param {string} name
 * @param {string} words
 */
function line(tag, name, words) {
  const element = document.createElement(tag);
  element.className = name;
  element.dir = "auto";
  element.textContent = words;
  return element;
}
