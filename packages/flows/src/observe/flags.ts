/** Flags that more than one verb of `x0 flows` has. */
import { flowsFail } from "../errors.ts";

export const text = (brief: string, placeholder: string) =>
  ({ kind: "parsed", parse: String, optional: true, brief, placeholder }) as const;

/** Which flows, or whose packets. */
export const flowFilterFlags = {
  protocol: text("Only this protocol: tcp, udp, icmp, icmpv6, … or a number", "name"),
  ip: text("Only with this address or prefix on either side", "address"),
  port: {
    kind: "parsed",
    parse: (input: string) => integer("port", input, 0, 65_535),
    optional: true,
    brief: "Only with this port on either side",
    placeholder: "number",
  },
  process: text("Only of this process: its name, executable or pid", "name"),
} as const;

export function integer(name: string, input: string, least: number, most: number): number {
  const value = /^\d{1,9}$/.test(input) ? Number(input) : Number.NaN;
  if (value >= least && value <= most) return value;
  throw flowsFail("X0_FLOWS_INVALID_FILTER", `${name} cannot be "${input}"`, {
    hint: `write a whole number from ${least} to ${most}`,
  });
}
