import { type PolicyConfig, parsePort, parseSource } from "./config.ts";
import { policyProtocols } from "./model.ts";
import { MANAGEMENT_ID } from "./store/schema.ts";
import type { Management } from "./tables.ts";

/** What stays reachable whatever the policies say. */
export function managementOf(config: PolicyConfig): Management {
  return {
    id: MANAGEMENT_ID,
    ports: config.management_ports.map((text) => {
      const { protocol, port } = parsePort(text);
      return { protocol: policyProtocols[protocol], port };
    }),
    sources: config.management_sources.map(parseSource),
  };
}
