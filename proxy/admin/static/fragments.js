// Fetching pages and putting parts of them in place.

/** Fetch a page: its document, where it came from, and whether another address answered. */
export async function fetchPage(url, init = {}) {
  const response = await fetch(url, { ...init, headers: { Accept: "text/html", ...init.headers } });
  const page = new DOMParser().parseFromString(await response.text(), "text/html");
  return { page, url: response.url, redirected: response.redirected };
}

/** Put the newer elements of these ids in place of the older; what has the focus keeps it. */
export function adopt(page, ...ids) {
  for (const id of ids) {
    const [older, newer] = [document.getElementById(id), page.getElementById(id)];
    if (older && newer) replaceKeepingFocus(older, document.adoptNode(newer));
  }
}

/** Fetch the page anew and put in place what changes in it. Leads to the login where that is what comes. */
export async function renew() {
  const answer = await fetchPage(location.href).catch(() => null);
  if (answer && !answer.page.getElementById("standing")) location.assign(answer.url);
  else if (answer) adopt(answer.page, "standing", "routes", "providers", "history", "requests");
}

/** Replace an element; the focus goes to the one that looks like the one that had it. */
export function replaceKeepingFocus(older, newer) {
  const focused = older.contains(document.activeElement) ? document.activeElement : null;
  const again = focused && selectorOf(focused);
  const open = [...older.querySelectorAll("details[open]")].map(selectorOf);
  older.replaceWith(newer);
  for (const selector of open) newer.querySelector(selector)?.setAttribute("open", "");
  if (again) newer.querySelector(again)?.focus({ preventScroll: true });
}

function selectorOf(element) {
  if (element.id) return `#${CSS.escape(element.id)}`;
  const row = element.closest("[data-model]");
  const within = row ? `[data-model="${CSS.escape(row.dataset.model)}"] ` : "";
  const label = element.getAttribute("aria-label");
  return within + element.localName + (label ? `[aria-label="${CSS.escape(label)}"]` : "");
}
