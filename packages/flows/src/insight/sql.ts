/** The verb of an SQL statement: its first word, if that is one of SQL's. Nothing else of the statement is told. */
import { knownWords, OTHER } from "./words.ts";

const verbs = knownWords(`
  ABORT ALTER ANALYZE BEGIN CALL CHANGE CHECK CHECKPOINT CLOSE CLUSTER COMMENT COMMIT COPY CREATE DEALLOCATE DECLARE
  DELETE DESC DESCRIBE DISCARD DO DROP END EXECUTE EXPLAIN FETCH FLUSH GRANT HANDLER IMPORT INSERT INSTALL KILL LISTEN
  LOAD LOCK MERGE MOVE NOTIFY OPTIMIZE PREPARE PURGE REASSIGN REFRESH REINDEX RELEASE RENAME REPAIR REPLACE RESET
  REVOKE ROLLBACK SAVEPOINT SECURITY SELECT SET SHOW SHUTDOWN SIGNAL START STOP TABLE TRUNCATE UNINSTALL UNLISTEN
  UNLOCK UPDATE USE VACUUM VALUES WITH XA
`);

/** OTHER also where comments go on to the end of what was captured. */
export function sqlVerb(bytes: Uint8Array, start: number): string {
  let at = start;
  for (; at < bytes.length; at++) {
    const byte = bytes[at] as number;
    const next = bytes[at + 1];
    if (byte === 0x2f && next === 0x2a) at = behindComment(bytes, at + 2) - 1;
    else if ((byte === 0x2d && next === 0x2d) || byte === 0x23) at = behindLine(bytes, at) - 1;
    else if (!isSkipped(byte)) return verbs.at(bytes, at, bytes.length);
  }
  return OTHER;
}

/** White space, parentheses around a query, and the semicolon of an empty statement. */
function isSkipped(byte: number): boolean {
  return byte === 0x20 || (byte >= 0x09 && byte <= 0x0d) || byte === 0x28 || byte === 0x3b;
}

function behindComment(bytes: Uint8Array, start: number): number {
  for (let at = start; at + 1 < bytes.length; at++)
    if (bytes[at] === 0x2a && bytes[at + 1] === 0x2f) return at + 2;
  return bytes.length;
}

function behindLine(bytes: Uint8Array, start: number): number {
  const end = bytes.indexOf(0x0a, start);
  return end < 0 ? bytes.length : end + 1;
}
