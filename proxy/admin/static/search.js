// The routes are found while their name is typed.

import { adopt, fetchPage } from "./fragments.js";

const AFTER_MS = 120;

/** Search with every pause in typing; the address follows, so that it can be shared. */
export function onSearch() {
  const field = document.getElementById("search");
  let soon = 0;
  let latest = 0;
  field?.addEventListener("input", () => {
    clearTimeout(soon);
    soon = setTimeout(async () => {
      const url = new URL(field.form.action);
      if (field.value.trim()) url.searchParams.set("q", field.value.trim());
      const own = (latest += 1);
      const answer = await fetchPage(url).catch(() => null);
      if (own !== latest || !answer) return;
      history.replaceState(null, "", url);
      adopt(answer.page, "routes");
    }, AFTER_MS);
  });
}
