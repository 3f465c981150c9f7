import type { Feature } from "@x0tta6bl4/core";
import type { NameFigures } from "./contract.ts";

/** What of names cannot be seen or kept, while policies select some. */
export function nameFeature({ addresses, encrypted, full, strangers }: NameFigures): Feature {
  const name = "names";
  const detail = `${count(addresses, "address is", "addresses are")} admitted by names`;
  const reasons = [
    ...(encrypted === 0
      ? []
      : [
          `${count(encrypted, "connection asks", "connections ask")} resolvers over TLS or HTTPS, where no answer is seen`,
        ]),
    ...(strangers === 0
      ? []
      : [
          `${count(strangers, "query for a selected name went", "queries for selected names went")} to other servers than the resolvers`,
        ]),
    ...(full === 0 ? [] : [`${count(full, "address", "addresses")} found no room`]),
  ];
  if (reasons.length === 0) return { name, state: "on", detail };
  return {
    name,
    state: "degraded",
    detail,
    reason: reasons.join("; "),
    ...(strangers > 0
      ? { hint: "name all servers that this host asks in policy.resolvers" }
      : encrypted > 0
        ? { hint: "let programs ask the system's resolver, and deny TCP 853 to others" }
        : {}),
  };
}

function count(number: number, one: string, many: string): string {
  return `${number} ${number === 1 ? one : many}`;
}
