// `node bundle.mjs <entry> <output>`: one ES module from the shim and the glue; wasm stays a file.
import path from "node:path";
import { build } from "esbuild";

const [entry, output] = process.argv.slice(2).map((name) => path.resolve(name));

await build({
  entryPoints: [entry],
  outfile: output,
  bundle: true,
  format: "esm",
  target: "es2022",
  platform: "neutral",
  external: ["cloudflare:*", "*.wasm"],
  legalComments: "none",
  logLevel: "warning",
  // A Worker without cron triggers exports no `scheduled`; the shim looks before it calls.
  logOverride: { "import-is-undefined": "silent" },
});
