// Sheets as dialogs: the links that lead to one open it here, and its form is sent from here.

import { adopt, fetchPage, renew, replaceKeepingFocus } from "./fragments.js";
import { onDragging } from "./dragging.js";

const dialog = () => document.getElementById("dialog");
const REVIEW_AFTER_MS = 250;
let latest = 0;
let soon = 0;

/** Make all links to sheets and all forms in them work in place. */
export function onSheets() {
  document.addEventListener("click", (event) => {
    const link = event.target.closest("a");
    if (!link || event.metaKey || event.ctrlKey || event.shiftKey || event.button) return;
    if ("sheet" in link.dataset) {
      event.preventDefault();
      openSheet(link.href);
    } else if ("close" in link.dataset && dialog().open) {
      event.preventDefault();
      dialog().close();
    }
  });
  dialog().addEventListener("submit", (event) => {
    event.preventDefault();
    send(event.target, event.submitter);
  });
  dialog().addEventListener("input", (event) => {
    const form = event.target.form;
    if (form && "review" in form.dataset) reviewSoon(form);
  });
  dialog().addEventListener("close", () => {
    latest += 1;
    dialog().replaceChildren();
  });
  onDragging(dialog(), (form) => send(form, form.querySelector("button[value=review]")));
}

/** Show the sheet at an address. */
export async function openSheet(url) {
  const own = (latest += 1);
  const { page, url: at } = await fetchPage(url).catch(() => ({}));
  if (own === latest && page) show(page, at);
  else if (own === latest) location.assign(url);
}

function show(page, at) {
  const sheet = page.getElementById("sheet");
  if (!sheet) return location.assign(at);
  const older = dialog().firstElementChild;
  if (older) replaceKeepingFocus(older, document.adoptNode(sheet));
  else dialog().replaceChildren(document.adoptNode(sheet));
  if (!dialog().open) dialog().showModal();
}

/** Send a sheet's form: what comes of it is the sheet again, or the page that the change leads back to. */
async function send(form, button) {
  const own = (latest += 1);
  clearTimeout(soon);
  const answer = await post(form, button);
  if (own !== latest) return;
  if (!answer) return unreachable(form);
  if (!answer.redirected) return show(answer.page, answer.url);
  dialog().close();
  adopt(answer.page, "notices");
  await renew();
}

/** What the draft would change is shown while it is typed. */
function reviewSoon(form) {
  clearTimeout(soon);
  soon = setTimeout(async () => {
    const own = (latest += 1);
    const answer = await post(form, form.querySelector("button[value=review]"));
    if (own === latest && answer && !answer.redirected) adopt(answer.page, "review");
  }, REVIEW_AFTER_MS);
}

function post(form, button) {
  const fields = new URLSearchParams(new FormData(form));
  if (button?.name) fields.append(button.name, button.value);
  return fetchPage(form.action, { method: "POST", body: fields }).catch(() => null);
}

function unreachable(form) {
  const note = document.createElement("p");
  note.className = "notice refused";
  note.setAttribute("role", "alert");
  note.textContent = "Pointsman can't be reached. It isn't known whether the change was made: look before you try again.";
  form.querySelector(".unreachable")?.remove();
  note.classList.add("unreachable");
  form.append(note);
}
