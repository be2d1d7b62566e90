// Applies migrations/*.sql to D1, forward only, in the same table that wrangler keeps.
import { readFileSync, readdirSync } from "node:fs";
import path from "node:path";

const TABLE = `CREATE TABLE IF NOT EXISTS d1_migrations(
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  name TEXT UNIQUE,
  applied_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP NOT NULL
)`;

/** Splits a script into statements; understands quotes, comments and trigger bodies. */
export function statements(script) {
  const found = [];
  let current = "";
  let depth = 0;
  const token = /'(?:[^']|'')*'|"(?:[^"]|"")*"|--[^\n]*|\/\*[\s\S]*?\*\/|\b(?:BEGIN|CASE|END)\b|;|[^;'"\-/A-Za-z]+|[A-Za-z_]\w*|[\s\S]/gi;
  for (const [part] of script.matchAll(token)) {
    if (part.startsWith("--") || part.startsWith("/*")) {
      current += " ";
      continue;
    }
    const word = part.toUpperCase();
    if (word === "BEGIN" || word === "CASE") depth += 1;
    if (word === "END") depth -= 1;
    if (part === ";" && depth === 0) {
      if (current.trim()) found.push(current.trim());
      current = "";
    } else {
      current += part;
    }
  }
  if (current.trim()) found.push(current.trim());
  return found;
}

/** Names to apply, in order. Fails when `applied` is not a beginning of `available`. */
export function pending(available, applied) {
  const unknown = applied.find((name, index) => available[index] !== name);
  if (unknown !== undefined) {
    throw new Error(
      `this state has migration ${unknown}, which this version does not have at that place: `
        + "it was made by another version. Go back to that version, or start over with `cargo xtask up --fresh`",
    );
  }
  return available.slice(applied.length);
}

/** Brings `db` up to date with the scripts in `folder`; returns the names applied now. */
export async function migrate(db, folder) {
  await db.prepare(TABLE).run();
  const { results } = await db.prepare("SELECT name FROM d1_migrations ORDER BY id").all();
  const available = readdirSync(folder).filter((name) => name.endsWith(".sql")).sort();
  const names = pending(available, results.map((row) => row.name));
  for (const name of names) {
    const batch = statements(readFileSync(path.join(folder, name), "utf8")).map((sql) => db.prepare(sql));
    batch.push(db.prepare("INSERT INTO d1_migrations (name) VALUES (?)").bind(name));
    try {
      await db.batch(batch);
    } catch (error) {
      throw new Error(`migration ${name} failed: ${error?.message ?? error}`);
    }
  }
  return names;
}
