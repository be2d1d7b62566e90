// Translates a network's config file into Miniflare's options.
import { existsSync, readFileSync } from "node:fs";
import path from "node:path";
import { Log, LogLevel } from "miniflare";

/** The runtime's behaviour is pinned to this day; wrangler.toml.example names the same one. */
export const COMPATIBILITY_DATE = "2026-04-01";

const OBJECTS = { RELAY: "Relay", LINK: "Link", AGENT: "Agent", FANOUT: "Fanout" };

/** Reads and checks a config file's text. */
export function parseConfig(text) {
  const config = JSON.parse(text);
  for (const key of ["name", "host", "script", "persist"]) {
    if (typeof config[key] !== "string") throw new Error(`config: "${key}" must be a string`);
  }
  if (!Number.isInteger(config.port)) throw new Error('config: "port" must be a whole number');
  config.vars ??= {};
  config.objects ??= OBJECTS;
  config.classes ??= [];
  return config;
}

function modules(folder) {
  const list = [{ type: "ESModule", path: "index.js", contents: readFileSync(path.join(folder, "index.js"), "utf8") }];
  const wasm = path.join(folder, "index_bg.wasm");
  if (existsSync(wasm)) list.push({ type: "CompiledWasm", path: "index_bg.wasm", contents: readFileSync(wasm) });
  return list;
}

function peersOf(config) {
  const own = config.vars.NETWORK_HOST;
  return String(config.vars.DEV_PEER_HOSTS ?? "")
    .split(",")
    .map((host) => host.trim())
    .filter((host) => host !== "" && host !== own);
}

// The only way out of a local network: exactly the hosts in DEV_PEER_HOSTS, on loopback.
function egress(config) {
  const peers = peersOf(config);
  const script = `
    const peers = new Map(${JSON.stringify(peers.map((host, index) => [host, `PEER_${index}`]))});
    export default {
      fetch(request, env) {
        const url = new URL(request.url);
        const binding = url.protocol === "http:" ? peers.get(url.host) : undefined;
        if (binding === undefined) return new Response("egress: host not allowed", { status: 403 });
        return env[binding].fetch(request);
      },
    };`;
  const bindings = peers.map((host, index) => {
    const port = new URL(`http://${host}`).port;
    return [`PEER_${index}`, { external: { address: `127.0.0.1:${port}`, http: {} } }];
  });
  return {
    name: "egress",
    compatibilityDate: COMPATIBILITY_DATE,
    modules: [{ type: "ESModule", path: "egress.js", contents: script }],
    serviceBindings: Object.fromEntries(bindings),
  };
}

// Static files live in a worker of their own, so that the network's socket leads straight to ours.
function assets(config) {
  return {
    name: "assets",
    compatibilityDate: COMPATIBILITY_DATE,
    modules: [{ type: "ESModule", path: "assets.js", contents: "export default { fetch: () => new Response(null, { status: 404 }) };" }],
    assets: {
      directory: config.assets,
      workerName: "assets",
      routerConfig: { has_user_worker: false },
      assetConfig: { html_handling: "auto-trailing-slash", not_found_handling: "none" },
    },
  };
}

const HINTS = { maxBatchSize: 100, maxBatchTimeout: 1, maxRetries: 3, retryDelay: 1, deadLetterQueue: "replica-dead" };
const MAIL = { maxBatchSize: 100, maxBatchTimeout: 1, maxRetries: 100, deadLetterQueue: "mail-dead" };

// Tests set LOCAL_QUEUE: "none" leaves the queues out, "tapped" shows all that is sent to them.
function isTapped(config) {
  return Boolean(config.migrations) && config.vars.LOCAL_QUEUE === "tapped";
}

function queues(config) {
  if (!config.migrations || config.vars.LOCAL_QUEUE === "none") return {};
  const consumed = (name) => (isTapped(config) ? `${name}-tapped` : name);
  return {
    queueProducers: { HINTS: "replica", MAIL: "mail" },
    queueConsumers: { [consumed("replica")]: HINTS, [consumed("mail")]: MAIL },
  };
}

// Writes all that is sent to the queues into the log, and passes it on.
function tap() {
  const script = `
    export default {
      async queue(batch, env) {
        for (const { body } of batch.messages) {
          console.log("queued:", JSON.stringify(body));
          await env[batch.queue].send(body);
        }
      },
    };`;
  return {
    name: "tap",
    compatibilityDate: COMPATIBILITY_DATE,
    modules: [{ type: "ESModule", path: "tap.js", contents: script }],
    queueProducers: { replica: "replica-tapped", mail: "mail-tapped" },
    queueConsumers: { replica: { maxBatchTimeout: 0 }, mail: { maxBatchTimeout: 0 } },
  };
}

// Tests set LOCAL_BUCKET to "none" to leave the bucket out.
function bucket(config) {
  const left = config.vars.LOCAL_BUCKET === "none" || !config.migrations;
  return left ? {} : { r2Buckets: { BLOBS: "blobs" } };
}

function main(config) {
  const objects = Object.entries(config.objects).map(([binding, className]) => [binding, { className, useSQLite: true }]);
  return {
    name: "network",
    compatibilityDate: COMPATIBILITY_DATE,
    modules: modules(config.script),
    bindings: config.vars,
    durableObjects: Object.fromEntries(objects),
    ...(config.migrations ? { d1Databases: { DB: "directory" } } : {}),
    ...bucket(config),
    ...queues(config),
    ...(config.assets ? { serviceBindings: { ASSETS: { name: "assets" } } } : {}),
    outboundService: { name: "egress" },
    stripCfConnectingIp: false,
    unsafeDirectSockets: [{ host: "127.0.0.1", port: config.port }],
  };
}

function pipe(stream, log, prefix) {
  let rest = "";
  stream.on("data", (chunk) => {
    const lines = (rest + chunk).split("\n");
    rest = lines.pop() ?? "";
    for (const line of lines) log(prefix, line);
  });
}

/** The options for one instance that serves `config`. */
export function miniflareOptions(config, log) {
  return {
    host: "127.0.0.1",
    port: 0,
    cf: false,
    logRequests: false,
    log: new Log(LogLevel.ERROR),
    defaultPersistRoot: config.persist,
    handleRuntimeStdio: (stdout, stderr) => {
      pipe(stdout, log, "[worker]");
      pipe(stderr, log, "[workerd]");
    },
    workers: [
      main(config),
      egress(config),
      ...(config.assets ? [assets(config)] : []),
      ...(isTapped(config) ? [tap()] : []),
    ],
  };
}
