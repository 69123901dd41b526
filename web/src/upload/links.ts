// The links by which somebody outside sends, as this browser remembers them: so that sending goes on after days, from the same browser, without the invitation.
export type Known = {
  id: string;
  secret: string;
  visit: string; // made up here: it keeps apart what different people send by one link
  collection: string;
  until: string;
};

const key = "vitrine-links";
const form = /vitrine-link_[\w-]{43}/;

/** The secret in an address or in what somebody pasted; nothing if there is none. */
export function secretIn(text: string): string | undefined {
  return form.exec(text)?.[0];
}

let here: Known[] | undefined; // where the browser keeps nothing, as in private windows

/** The links that are remembered and have not expired. */
export function known(): Known[] {
  let all = here ?? [];
  try {
    all = JSON.parse(localStorage.getItem(key) ?? "[]") as Known[];
  } catch {
    // it is blocked
  }
  return Array.isArray(all) ? all.filter((l) => typeof l.secret === "string" && typeof l.visit === "string" && Date.parse(l.until) > Date.now()) : [];
}

function keep(all: Known[]): void {
  here = all;
  try {
    if (all.length > 0) localStorage.setItem(key, JSON.stringify(all));
    else localStorage.removeItem(key);
  } catch {
    // it is remembered for as long as the page is open
  }
}

export function remember(link: Known): void {
  keep([...known().filter((l) => l.secret !== link.secret), link]);
}

export function forgetLink(secret: string): void {
  keep(known().filter((l) => l.secret !== secret));
}

/** 192 random bits as text. */
export function newVisit(): string {
  return btoa(String.fromCharCode(...crypto.getRandomValues(new Uint8Array(24)))).replace(/\+/g, "-").replace(/\//g, "_");
}
