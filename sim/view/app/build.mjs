// Bundles the page's script and styles into ../bundle, or with --tests the unit tests into
// build/view-tests. With --to DIR the bundle goes there, to compare it with the committed one.
import { build } from "esbuild";
import { readdirSync, rmSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";

const here = dirname(fileURLToPath(import.meta.url));
const at = process.argv.indexOf("--to");
const target = at < 0 ? join(here, "..", "bundle") : resolve(process.argv[at + 1]);

if (process.argv.includes("--tests")) {
  const out = join(here, "..", "..", "..", "build", "view-tests");
  rmSync(out, { recursive: true, force: true });
  await build({
    absWorkingDir: here,
    entryPoints: readdirSync(join(here, "test"))
      .filter((name) => name.endsWith(".test.ts"))
      .map((name) => join("test", name)),
    outdir: out,
    outExtension: { ".js": ".mjs" },
    bundle: true,
    format: "esm",
    platform: "node",
    target: "node20",
    logLevel: "warning",
  });
} else {
  await build({
    absWorkingDir: here,
    entryPoints: { app: join("src", "main.ts") },
    outdir: target,
    bundle: true,
    minify: true,
    format: "iife",
    platform: "browser",
    target: ["chrome100", "firefox113", "safari16.4"],
    charset: "ascii",
    legalComments: "inline",
    logLevel: "warning",
  });
}
