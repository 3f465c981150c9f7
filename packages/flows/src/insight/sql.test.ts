import { expect, test } from "vitest";
import { sqlVerb } from "./sql.ts";

test.each([
  ["SELECT 1", "SELECT"],
  ["  \t\r\n insert into t", "INSERT"],
  ["-- note\nUPDATE t", "UPDATE"],
  ["# note\ndelete from t", "DELETE"],
  ["/* trace=1 */ /* b */ WITH a AS", "WITH"],
  ["((SELECT 1))", "SELECT"],
  [";;commit", "COMMIT"],
  ["SELECT", "SELECT"],
  ["SELECTED", "OTHER"],
  ["hunter2", "OTHER"],
  ["SECRETPASSWORDWITHOUTEND", "OTHER"],
  ["/* never ends", "OTHER"],
  ["-- never ends", "OTHER"],
  ["", "OTHER"],
  ["'SELECT'", "OTHER"],
])("%j", (text, verb) => expect(sqlVerb(Buffer.from(text), 0)).toBe(verb));
