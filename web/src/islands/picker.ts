// Makes a long list of boxes pleasant: a field to search it by any word for a term, and what is chosen as chips above it. The boxes stay what is sent. For the keyboard the
// list is one stop: arrow keys move in it, and from the field into it.
export default function picker(field: HTMLElement): void {
  const boxes = field.querySelector<HTMLElement>(".ew-boxes");
  if (!boxes) return;
  const labels = [...boxes.querySelectorAll<HTMLLabelElement>("label[data-words]")];
  const name = field.querySelector("legend")?.firstChild?.textContent?.trim() ?? "the list";

  const chosen = document.createElement("div");
  chosen.className = "ew-chosen";
  const search = document.createElement("input");
  search.type = "text";
  search.className = "in find-in";
  search.placeholder = "Type, and Enter takes the first";
  search.autocomplete = "off";
  search.setAttribute("aria-label", `Search ${name}: Enter takes the first that is found, arrow keys go through the list`);
  const told = document.createElement("span");
  told.className = "vh";
  told.setAttribute("role", "status");
  boxes.before(chosen, search, told);

  const inputs = labels.map((l) => l.querySelector("input")!);
  const seen = (): HTMLInputElement[] => inputs.filter((_, i) => !labels[i]!.hidden);

  /** Makes one box the stop of the list. */
  function stop(at: HTMLInputElement | undefined): void {
    for (const box of inputs) box.tabIndex = box === at ? 0 : -1;
  }

  boxes.removeAttribute("tabindex"); // what scrolls has a box with a stop in it
  boxes.addEventListener("keydown", (event) => {
    const all = seen();
    const at = all.indexOf(event.target as HTMLInputElement);
    const to = { ArrowDown: at + 1, ArrowRight: at + 1, ArrowUp: at - 1, ArrowLeft: at - 1, Home: 0, End: all.length - 1 }[event.key];
    if (at < 0 || to === undefined) return;
    event.preventDefault();
    const next = all[to];
    if (!next) {
      if (to < 0) search.focus();
      return;
    }
    stop(next);
    next.focus();
  });
  boxes.addEventListener("focusin", (event) => stop(event.target as HTMLInputElement));

  function show(): void {
    chosen.replaceChildren();
    for (const label of labels) {
      const box = label.querySelector("input")!;
      if (!box.checked) continue;
      const chip = document.createElement("button");
      chip.type = "button";
      const text = label.querySelector("span")?.firstChild?.textContent ?? box.value;
      chip.textContent = `${text} ×`;
      chip.setAttribute("aria-label", `Take out ${text}`);
      chip.addEventListener("click", () => {
        box.checked = false;
        show();
        search.focus();
      });
      chosen.append(chip);
    }
    chosen.hidden = !chosen.childElementCount;
  }

  function filter(): void {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    let found = 0;
    for (const label of labels) {
      const of = (label.dataset.words ?? "").toLowerCase();
      label.hidden = !words.every((w) => of.includes(w));
      if (!label.hidden) found++;
    }
    stop(seen()[0]);
    told.textContent = words.length ? `${found} found` : "";
  }

  search.addEventListener("input", filter);
  search.addEventListener("keydown", (event) => {
    if (event.key === "ArrowDown") {
      event.preventDefault();
      seen()[0]?.focus();
    }
    if (event.key !== "Enter") return;
    event.preventDefault(); // the form is not sent from a search
    const first = seen()[0];
    if (!first || !search.value) return;
    first.checked = true;
    search.value = "";
    filter();
    show();
  });
  boxes.addEventListener("change", show);
  stop(inputs[0]);
  show();
}
