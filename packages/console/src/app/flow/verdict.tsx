import { Badge } from "../icons.tsx";
import type { Flow } from "../shapes.ts";

/** What policy made of a flow; what passes is quiet, because that is the rule. */
export function FlowVerdict({ flow: { verdict, state } }: { flow: Pick<Flow, "verdict" | "state"> }) {
  if (verdict === "dropped") return <Badge mark="denied">denied</Badge>;
  if (verdict === "audit") return <Badge mark="audit">audit</Badge>;
  return <Badge mark={state === "active" ? "ok" : "none"}>forwarded</Badge>;
}
