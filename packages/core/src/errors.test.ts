import { expect, test } from "vitest";
import { coreErrors, coreFail, errorsOf, messageOf, X0Error } from "./errors.ts";

test("an error carries its code, exit, message, hint and cause", () => {
  const fail = errorsOf({ X0_TEST_SPILT: { when: "Milk is spilt.", exit: 3 } });
  const cause = new Error("tilted");
  const error = fail("X0_TEST_SPILT", "2 l are spilt", { hint: "fetch a cloth", cause });
  expect(error).toBeInstanceOf(X0Error);
  expect(error).toMatchObject({
    name: "X0Error",
    code: "X0_TEST_SPILT",
    exit: 3,
    message: "2 l are spilt",
    hint: "fetch a cloth",
    cause,
  });
});

test("hint and cause may be absent", () => {
  const error = coreFail("X0_CORE_STOP_TIMEOUT", "flows did not stop within 5 s");
  expect(error.hint).toBeUndefined();
  expect("cause" in error).toBe(false);
});

test("every code of the package has its exit and its sentence", () => {
  for (const [code, kind] of Object.entries(coreErrors)) {
    expect(code).toMatch(/^X0_CORE_[A-Z_]+$/);
    expect(kind.when).toMatch(/^[A-Z].*\.$/);
    expect(coreFail(code as keyof typeof coreErrors, "x").exit).toBe(kind.exit);
  }
});

test.each([
  [new Error("one\n  two\nthree\n"), "one two three"],
  ["text", "text"],
  [undefined, "undefined"],
  [{ toString: (): string => "an object" }, "an object"],
])("the message of anything thrown is one line: %s", (thrown, message) => {
  expect(messageOf(thrown)).toBe(message);
});
