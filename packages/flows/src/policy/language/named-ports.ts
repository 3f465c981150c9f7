/** What a port's name stands for: the operator's names, else those of /etc/services. */
import type { PolicyProtocol } from "../model.ts";

/** Protocols with ports: what `ANY` stands for. */
export const portProtocols = ["tcp", "udp", "sctp"] as const satisfies readonly PolicyProtocol[];
export type PortProtocol = (typeof portProtocols)[number];

/** @param name lower case. @returns undefined where the name is unknown for that protocol. */
export type NamedPorts = (name: string, protocol: PortProtocol) => number | undefined;

/** Bytes of /etc/services that are read: Debian's has 13 KB, IANA's whole list about 1 MB. */
const servicesLimit = 2 * 1024 * 1024;

/**
 * @param configured name → port, or `port/protocol` for one protocol only. A name that stands here is not looked up.
 * @param services the text of /etc/services (services(5)); what is damaged in it is passed by.
 */
export function namedPorts(
  configured: Readonly<Record<string, string | number>>,
  services: string,
): NamedPorts {
  const known = new Map<string, number>();
  for (const line of services.slice(0, servicesLimit).split("\n")) {
    const [name, place = "", ...aliases] = (line.split("#")[0] as string).trim().split(/\s+/);
    const [, port, protocol] = /^(\d{1,5})\/(\w+)$/.exec(place) ?? [];
    if (name === undefined || port === undefined || Number(port) < 1 || Number(port) > 65_535) continue;
    for (const one of [name, ...aliases]) {
      const key = `${one.toLowerCase()}/${protocol}`;
      if (!known.has(key)) known.set(key, Number(port));
    }
  }
  const own = new Map(
    Object.entries(configured).map(([name, place]) => {
      const [port, protocol] = String(place).split("/");
      return [name.toLowerCase(), { port: Number(port), protocol: protocol?.toLowerCase() }];
    }),
  );
  return (name, protocol) => {
    const entry = own.get(name);
    if (entry === undefined) return known.get(`${name}/${protocol}`);
    return entry.protocol === undefined || entry.protocol === protocol ? entry.port : undefined;
  };
}
