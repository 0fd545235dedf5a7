// Endpoints are put in order by dragging; the buttons beside them do the same.

/** Let the rows within an element be dragged by their grips; `dropped` is told of the form. */
export function onDragging(within, dropped) {
  let row = null;
  within.addEventListener("pointerdown", (event) => {
    const grip = event.target.closest("[data-grip]");
    for (const each of within.querySelectorAll("[data-row]")) each.draggable = each === grip?.closest("[data-row]");
  });
  within.addEventListener("dragstart", (event) => {
    row = event.target.closest("[data-row]");
    row?.classList.add("dragged");
    event.dataTransfer.effectAllowed = "move";
  });
  within.addEventListener("dragover", (event) => {
    const over = event.target.closest("[data-row]");
    if (!row || !over) return;
    event.preventDefault();
    if (over === row) return;
    const middle = over.getBoundingClientRect().top + over.offsetHeight / 2;
    if (event.clientY < middle) over.before(row);
    else over.after(row);
  });
  within.addEventListener("drop", (event) => event.preventDefault());
  within.addEventListener("dragend", () => {
    if (!row) return;
    row.classList.remove("dragged");
    row.draggable = false;
    dropped(row.closest("form"));
    row = null;
  });
}
