// A Unix socket beside the state, for `cargo xtask sql`: one JSON line in, one JSON line out.
import { rmSync } from "node:fs";
import net from "node:net";

const READS = /^\s*(?:--[^\n]*\n\s*)*(SELECT|WITH|EXPLAIN|VALUES|PRAGMA\s+table_(?:info|list|xinfo)\b)/i;

/** The statement to run, made unable to write; fails for anything that is not a read. */
export function readOnly(sql) {
  const statement = sql.trim().replace(/;\s*$/, "");
  const kind = READS.exec(statement)?.[1];
  if (!kind) throw new Error("only statements that read are run here: SELECT, WITH, VALUES, EXPLAIN, PRAGMA table_info");
  // WITH may precede an INSERT; inside a SELECT it may not.
  return /^WITH$/i.test(kind) ? `SELECT * FROM (${statement})` : statement;
}

async function answer(line, network) {
  try {
    const request = JSON.parse(line);
    const db = await network.getD1Database("DB");
    const [columns, ...rows] = await db.prepare(readOnly(request.sql)).raw({ columnNames: true });
    return { columns, rows };
  } catch (error) {
    return { error: String(error?.message ?? error) };
  }
}

/** Listens on the socket at `path`. */
export async function openControl(path, network) {
  rmSync(path, { force: true });
  const server = net.createServer((socket) => {
    let text = "";
    socket.setEncoding("utf8");
    socket.on("error", () => {});
    socket.on("data", async (chunk) => {
      text += chunk;
      const end = text.indexOf("\n");
      if (end < 0) return;
      const line = text.slice(0, end);
      text = "";
      socket.end(`${JSON.stringify(await answer(line, network))}\n`);
    });
  });
  await new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(path, resolve);
  });
  return server;
}
