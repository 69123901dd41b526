// What every page runs. An island is an element with data-island="name"; its code is loaded when such an element is on the page.
import "@fontsource-variable/inter/wght.css";

type Island = (element: HTMLElement) => void | Promise<void>;

const islands: Record<string, () => Promise<{ default: Island }>> = Object.fromEntries(
  Object.entries(import.meta.glob<{ default: Island }>("./islands/*.ts")).map(([path, load]) => [path.replace(/^.*\/|\.ts$/g, ""), load]),
);

function start(root: ParentNode): void {
  for (const element of root.querySelectorAll<HTMLElement>("[data-island]:not([data-started])")) {
    const load = islands[element.dataset.island ?? ""];
    if (!load) continue;
    element.dataset.started = "";
    void load().then((module) => module.default(element));
  }
}

// On a narrow screen the navigation scrolls sideways: where one is has to be seen.
const nav = document.querySelector<HTMLElement>(".nav");
const here = nav?.querySelector<HTMLElement>("[aria-current]");
if (nav && here) nav.scrollLeft = here.offsetLeft + here.offsetWidth / 2 - nav.offsetLeft - nav.clientWidth / 2;

// The slash key goes to the page's search box.
document.addEventListener("keydown", (event) => {
  const at = event.target as HTMLElement;
  if (event.key !== "/" || event.ctrlKey || event.metaKey || event.altKey || at.closest("input, textarea, select, [contenteditable]")) return;
  const box = document.querySelector<HTMLInputElement>("input[type=search]");
  if (!box) return;
  event.preventDefault();
  box.focus();
  box.select();
});

// An island that has brought a new part of the page says so, for the islands in it.
document.addEventListener("swap", (event) => start(event.target as HTMLElement));

document.documentElement.classList.add("script");
start(document);
