// Hashes files in two workers.
type Waiting = { resolve: (sum: string) => void; reject: (error: Error) => void };

const workers: Worker[] = [];
const waiting = new Map<number, Waiting>();
let next = 0;

export function sumOf(file: File): Promise<string> {
  if (workers.length < 2) {
    const worker = new Worker(new URL("./hash.worker.ts", import.meta.url), { type: "module" });
    worker.onmessage = (event: MessageEvent<{ id: number; sum?: string }>) => {
      const who = waiting.get(event.data.id);
      waiting.delete(event.data.id);
      if (event.data.sum) who?.resolve(event.data.sum);
      else who?.reject(new Error("the file cannot be read any more"));
    };
    worker.onerror = () => {
      for (const who of waiting.values()) who.reject(new Error("the file's digest cannot be computed"));
      waiting.clear();
    };
    workers.push(worker);
  }
  const id = next++;
  return new Promise((resolve, reject) => {
    waiting.set(id, { resolve, reject });
    workers[id % workers.length]!.postMessage({ id, file });
  });
}
