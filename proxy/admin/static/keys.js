// Keys: `/` searches, `s` swaps, `?` helps. Esc closes a dialog by itself.

/** Listen for the keys, where nobody is typing. */
export function onKeys() {
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input, select, textarea, dialog")) return;
    const target = wanted(event.key);
    if (!target) return;
    event.preventDefault();
    if (target.localName === "input") target.select();
    else target.click();
  });
}

function wanted(key) {
  if (!["/", "s", "?"].includes(key)) return null;
  const selector = `[data-key="${key}"]`;
  return document.activeElement.closest("[data-model]")?.querySelector(selector) ?? document.querySelector(selector);
}
