// Makes a long list of boxes pleasant: a field to search it by any word for a term, and what is chosen as chips above it. The boxes stay what is sent.
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
  search.placeholder = "Type to search";
  search.autocomplete = "off";
  search.setAttribute("aria-label", `Search ${name}`);
  const told = document.createElement("span");
  told.className = "vh";
  told.setAttribute("role", "status");
  boxes.before(chosen, search, told);

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
    told.textContent = words.length ? `${found} found` : "";
  }

  search.addEventListener("input", filter);
  search.addEventListener("keydown", (event) => {
    if (event.key !== "Enter") return;
    event.preventDefault(); // the form is not sent from a search
    const first = labels.find((l) => !l.hidden)?.querySelector("input");
    if (!first || !search.value) return;
    first.checked = true;
    search.value = "";
    filter();
    show();
  });
  boxes.addEventListener("change", show);
  show();
}
