/**
 * `sqlite.test.ts` in another process: opens the database given as JSON, writes so many `rows` of 1 kB, and says
 * how that went: `open`, or the error's code and hint, and then how many rows it wrote and how many are there.
 * It holds the file until its input ends.
 */
import { X0Error } from "../errors.ts";
import { databaseError, openDatabase } from "../sqlite.ts";

const { path, migrations, exclusive, rows = 0 } = JSON.parse(process.argv[2] ?? "{}");
const say = (line: string): boolean => process.stdout.write(`${line}\n`);
const describe = (error: unknown): string =>
  error instanceof X0Error ? `${error.code}: ${error.hint}` : `${error}`;
try {
  const database = openDatabase({ path, migrations, exclusive });
  let written = 0;
  try {
    for (; written < rows; written++) database.exec("INSERT INTO a VALUES (randomblob(1000))");
    say("open");
  } catch (error) {
    const { kept } = database.prepare("SELECT count(*) AS kept FROM a").get() ?? {};
    say(`${describe(databaseError(path, error))}; wrote ${written}, kept ${kept}`);
  }
  process.stdin.resume().on("end", () => database.close());
} catch (error) {
  say(describe(error));
}
