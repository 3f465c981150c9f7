import type { Random } from "@x0tta6bl4/core";
import type { LabelSelector, Labels } from "../model.ts";
import { one, some } from "./choose.ts";

const values: Readonly<Record<string, readonly string[]>> = {
  app: ["web", "db", "dns"],
  env: ["prod", "test"],
  "reserved:host": [""],
};

export const names = ["example.org", "www.example.org", "a.b.example.org", "api.test", "w.test"] as const;
export const patterns = [
  "*",
  "*.example.org",
  "**.example.org",
  "*.test",
  "w*.example.org",
  "**.b.*.org",
] as const;

export function labelsOf(random: Random): Labels {
  const keys = ["app", "env"].filter(() => random.below(3) > 0);
  return Object.fromEntries(keys.map((key) => [key, one(random, values[key] as readonly string[])]));
}

export function selectorOf(random: Random): LabelSelector {
  return some(random, 0, 2, () => {
    const key = one(random, Object.keys(values));
    const operator = one(random, ["In", "In", "In", "NotIn", "Exists", "DoesNotExist"] as const);
    const hasValues = operator === "In" || operator === "NotIn";
    return {
      key,
      operator,
      values: hasValues ? some(random, 1, 2, () => one(random, values[key] as readonly string[])) : [],
    };
  });
}
