// Filters at once: each change of the search form brings the answer into the page, under an address of its own. Without this, the form's button does the same.
export default function facets(form: HTMLFormElement | HTMLElement): void {
  const search = form as HTMLFormElement;
  let asked = 0;
  let timer = 0;

  // target is the address of what the form says, without what is empty.
  function target(): string {
    const said = new URLSearchParams();
    for (const [name, value] of new FormData(search)) {
      if (typeof value === "string" && value.trim() !== "") said.append(name, value.trim());
    }
    const query = said.toString();
    return search.action.replace(/\?.*$/, "") + (query ? `?${query}` : "");
  }

  async function go(address: string, keep: "push" | "none"): Promise<void> {
    const mine = ++asked;
    const old = document.getElementById("dir");
    old?.querySelector(".res")?.setAttribute("aria-busy", "true");
    try {
      const answer = await fetch(address, { headers: { Accept: "text/html" } });
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      if (mine !== asked) return; // a later question was faster
      const fresh = page.getElementById("dir");
      if (!fresh || !old) {
        location.href = address;
        return;
      }
      if (keep === "push") history.pushState({ directory: true }, "", answer.url);
      document.title = page.title;
      swap(old, fresh);
      const box = search.querySelector<HTMLInputElement>("input[type=search]");
      const text = page.querySelector<HTMLInputElement>("#find input[type=search]");
      if (box && text && document.activeElement !== box) box.value = text.value;
    } catch {
      location.href = address; // the browser says what is wrong
    }
  }

  // swap puts the new answer in the place of the old one: what was unfolded stays so, and the focus stays where it was.
  function swap(old: HTMLElement, fresh: HTMLElement): void {
    const open = new Map<string, boolean>();
    for (const d of old.querySelectorAll<HTMLDetailsElement>("details[data-key]")) open.set(d.dataset.key ?? "", d.open);
    for (const d of fresh.querySelectorAll<HTMLDetailsElement>("details[data-key]")) {
      if (open.get(d.dataset.key ?? "")) d.open = true;
    }
    const unfold = old.querySelector<HTMLInputElement>("#unfold");
    const again = fresh.querySelector<HTMLInputElement>("#unfold");
    if (unfold && again) again.checked = unfold.checked;
    const at = document.activeElement;
    let find = "";
    if (at instanceof HTMLElement && old.contains(at)) {
      if (at instanceof HTMLInputElement && at.name) find = `input[name="${CSS.escape(at.name)}"][value="${CSS.escape(at.value)}"]`;
      else if (at instanceof HTMLSelectElement) find = `select[name="${CSS.escape(at.name)}"]`;
    } else if (at instanceof SVGElement && old.contains(at)) {
      find = `[data-name="${at.closest<HTMLElement>("[data-name]")?.dataset.name}"] [data-side="${at.getAttribute("data-side")}"]`;
    }
    old.replaceWith(document.adoptNode(fresh));
    fresh.dispatchEvent(new CustomEvent("swap", { bubbles: true }));
    if (!find) return;
    const focus = (): boolean => {
      const to = fresh.querySelector<HTMLElement>(find);
      to?.focus({ preventScroll: true });
      return to !== null;
    };
    if (!focus()) fresh.addEventListener("brushed", () => focus(), { once: true }); // the handles of a histogram are made by its own island
  }

  document.addEventListener("change", (event) => {
    const at = event.target;
    if (!(at instanceof HTMLInputElement || at instanceof HTMLSelectElement) || at.form !== search || at.type === "search") return;
    clearTimeout(timer);
    timer = window.setTimeout(() => void go(target(), "push"), 60);
  });
  search.addEventListener("submit", (event) => {
    event.preventDefault();
    void go(target(), "push");
  });
  document.addEventListener("click", (event) => {
    if (event.defaultPrevented || event.button !== 0 || event.ctrlKey || event.metaKey || event.shiftKey || event.altKey) return;
    const link = (event.target as Element).closest<HTMLAnchorElement>("#dir .rbar a, #dir .lacks a, #dir .keepers a, #dir .pages a");
    if (!link || link.origin !== location.origin || link.pathname !== "/" || link.search.includes("view=") !== location.search.includes("view=")) return;
    event.preventDefault();
    void go(link.href, "push").then(() => {
      if (link.closest(".pages")) document.getElementById("found")?.scrollIntoView({ block: "center" });
    });
  });
  addEventListener("popstate", () => {
    if (location.pathname === "/") void go(location.href, "none");
  });
}
