// Computes the SHA-256 of files away from the page. Small ones are hashed by the browser itself; larger ones piece by piece, so that they never lie in memory whole.
import { sha256 } from "@noble/hashes/sha2.js";

const small = 32 << 20;

function hex(bytes: Uint8Array): string {
  return [...bytes].map((b) => b.toString(16).padStart(2, "0")).join("");
}

async function sum(file: File): Promise<string> {
  if (file.size <= small && globalThis.crypto?.subtle) return hex(new Uint8Array(await crypto.subtle.digest("SHA-256", await file.arrayBuffer())));
  const hash = sha256.create();
  const reader = file.stream().getReader();
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return hex(hash.digest());
    hash.update(value);
  }
}

self.onmessage = async (event: MessageEvent<{ id: number; file: File }>) => {
  const { id, file } = event.data;
  try {
    self.postMessage({ id, sum: await sum(file) });
  } catch {
    self.postMessage({ id, failed: true }); // it cannot be read any more
  }
};
