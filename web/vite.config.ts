import { defineConfig } from "vite";

// One entry, main.ts; each island is a chunk of its own that a page loads when it needs it. Names are fixed, because pages refer to main.js and main.css
// by name; the address carries the content's digest as a query.
export default defineConfig({
  base: "/static/",
  worker: {
    format: "es",
    rollupOptions: { output: { entryFileNames: "chunk-[name]-[hash].js", chunkFileNames: "chunk-[name]-[hash].js" } },
  },
  build: {
    outDir: "dist",
    emptyOutDir: false,
    target: "es2022",
    modulePreload: false,
    assetsInlineLimit: 0,
    rollupOptions: {
      input: "src/main.ts",
      output: {
        entryFileNames: "[name].js",
        chunkFileNames: "chunk-[name]-[hash].js",
        assetFileNames: (a) => (a.names.some((n) => n.endsWith(".css")) ? "main.css" : "[name]-[hash][extname]"),
      },
    },
  },
});
