// The tray of collections that were put aside. Who is signed in has them kept by the node; for everybody else they stay in this browser.
type Item = { id: string; title: string };
const place = "shortlist";
const most = 6;

export default function shortlist(tray: HTMLElement): void {
  const kept = "kept" in tray.dataset;
  const list = tray.querySelector<HTMLElement>(".its");
  const count = tray.querySelector<HTMLElement>(".n");
  const compare = tray.querySelector<HTMLButtonElement>(".go");
  if (!list || !count || !compare) return;
  let items: Item[] = [];
  if (kept) {
    items = [...list.querySelectorAll<HTMLElement>("[data-id]")].map((e) => ({ id: e.dataset.id ?? "", title: e.textContent ?? "" }));
  } else {
    try {
      const read: unknown = JSON.parse(localStorage.getItem(place) ?? "[]");
      if (Array.isArray(read)) items = read.filter((i): i is Item => typeof i?.id === "string" && typeof i?.title === "string").slice(0, 100);
    } catch {
      items = []; // nothing is kept where the browser keeps nothing
    }
  }

  function boxes(): HTMLInputElement[] {
    return [...document.querySelectorAll<HTMLInputElement>('input[name="id"][form="tray"]')];
  }

  function draw(): void {
    for (const box of boxes()) box.checked = items.some((i) => i.id === box.value);
    tray.classList.toggle("none", items.length === 0);
    count!.textContent = items.length ? String(items.length) : "";
    compare!.textContent = items.length > most ? `Compare the first ${most}` : "Compare";
    list!.replaceChildren(
      ...items.map((i) => {
        const li = document.createElement("li");
        li.className = "it";
        const a = document.createElement("a");
        a.href = `/directory/${encodeURIComponent(i.id)}`;
        a.textContent = i.title;
        const off = document.createElement("button");
        off.type = "button";
        off.className = "ib";
        off.textContent = "×";
        off.setAttribute("aria-label", `Take ${i.title} off the shortlist`);
        off.addEventListener("click", () => void set(i, false));
        li.append(a, off);
        return li;
      }),
    );
  }

  async function set(item: Item, on: boolean): Promise<void> {
    const before = items;
    items = items.filter((i) => i.id !== item.id);
    if (on) items.push(item);
    draw();
    if (!kept) {
      try {
        localStorage.setItem(place, JSON.stringify(items));
      } catch {
        // it lasts as long as the page
      }
      return;
    }
    const body = new URLSearchParams(on ? { id: item.id } : { shown: item.id });
    const answer = await fetch("/shortlist", { method: "POST", body, headers: { Accept: "application/json" } }).catch(() => undefined);
    if (!answer?.ok) {
      items = before;
      draw();
    }
  }

  document.addEventListener("change", (event) => {
    const box = event.target;
    if (!(box instanceof HTMLInputElement) || box.name !== "id" || box.getAttribute("form") !== "tray") return;
    void set({ id: box.value, title: box.dataset.title ?? box.value }, box.checked);
  });
  document.addEventListener("swap", draw);
  tray.addEventListener("submit", (event) => {
    event.preventDefault();
    const ids = new URLSearchParams(items.slice(0, most).map((i) => ["id", i.id]));
    location.href = `/compare?${ids}`;
  });
  draw();
}
