import { BlockList, isIPv4, isIPv6 } from "node:net";
import { nodeFail } from "../errors.ts";

export interface ListenAddress {
  readonly host: string;
  readonly port: number;
}

/**
 * `127.0.0.1:4280`, `[::1]:4280`, `localhost:0` → address.
 *
 * @throws X0_NODE_CONFIG_INVALID, X0_NODE_NOT_LOOPBACK
 */
export function parseListen(text: string): ListenAddress {
  const match = /^(?:\[([^\]]+)\]|([^:[\]]+)):(\d{1,5})$/.exec(text);
  const written = match?.[1] ?? match?.[2] ?? "";
  const host = written === "localhost" ? "127.0.0.1" : written;
  const port = Number(match?.[3]);
  const known = match?.[1] === undefined ? isIPv4(host) : isIPv6(host);
  if (match === null || !known || port > 65535)
    throw nodeFail("X0_NODE_CONFIG_INVALID", `node.listen: "${text}" is not an address with a port`, {
      hint: 'write it like "127.0.0.1:4280" or "[::1]:4280"',
    });
  if (!isLoopback(host))
    throw nodeFail("X0_NODE_NOT_LOOPBACK", `node.listen: ${text} is reachable from other machines`, {
      hint: "that needs mutual TLS, which this version does not have: listen on 127.0.0.1 and use ssh -L 4280:127.0.0.1:4280",
    });
  return { host, port };
}

function isLoopback(host: string): boolean {
  const loopback = new BlockList();
  loopback.addSubnet("127.0.0.0", 8, "ipv4");
  loopback.addAddress("::1", "ipv6");
  return loopback.check(host, isIPv4(host) ? "ipv4" : "ipv6");
}
