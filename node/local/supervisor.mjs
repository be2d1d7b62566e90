// Runs one network on local workerd: `node supervisor.mjs <config.json>`.
//
// Prints one JSON line on stdout: {"ready":true,"port":…} or {"error":"…"}; everything else goes to
// stderr. SIGTERM and SIGINT stop it in good order; so does the end of stdin when the config says
// `stopOnStdinEof`.
import { readFileSync } from "node:fs";
import { unlink } from "node:fs/promises";
import { Miniflare } from "miniflare";
import workerd from "workerd";

import { openControl } from "./control.mjs";
import { migrate } from "./migrate.mjs";
import { miniflareOptions, parseConfig } from "./options.mjs";

function say(line) {
  process.stdout.write(`${JSON.stringify(line)}\n`);
}

function log(...parts) {
  process.stderr.write(`${new Date().toISOString()} ${parts.join(" ")}\n`);
}

// Workerd must not outlive us, even when we are killed: the guard sees to that.
function guardWorkerd(guard) {
  process.env.ENTENTE_WORKERD = workerd.default ?? workerd;
  process.env.MINIFLARE_WORKERD_PATH = guard;
}

async function start(config) {
  if (config.guard) guardWorkerd(config.guard);
  const network = new Miniflare(miniflareOptions(config, log));
  await network.ready;
  if (config.migrations) {
    const applied = await migrate(await network.getD1Database("DB"), config.migrations);
    for (const name of applied) log("migration applied:", name);
  }
  const control = config.control ? await openControl(config.control, network) : undefined;
  return { network, control };
}

function stopWhenTold(config, running) {
  let stopping = false;
  const stop = async (why) => {
    if (stopping) return;
    stopping = true;
    log("stopping:", why);
    running.control?.close();
    if (config.control) await unlink(config.control).catch(() => {});
    await running.network.dispose();
    process.exit(0);
  };
  process.on("SIGTERM", () => stop("SIGTERM"));
  process.on("SIGINT", () => stop("SIGINT"));
  if (config.stopOnStdinEof) {
    process.stdin.resume();
    process.stdin.on("end", () => stop("stdin closed"));
    process.stdin.on("error", () => stop("stdin failed"));
  }
}

// The reader of stdout leaves once the network is ready.
process.stdout.on("error", () => {});
process.on("unhandledRejection", (error) => log("unhandled:", error?.stack ?? String(error)));

try {
  const config = parseConfig(readFileSync(process.argv[2], "utf8"));
  const running = await start(config);
  stopWhenTold(config, running);
  log("ready:", `${config.name} on ${config.host}`);
  say({ ready: true, port: config.port });
} catch (error) {
  log("failed:", error?.stack ?? String(error));
  say({ error: String(error?.message ?? error) });
  process.exit(1);
}
