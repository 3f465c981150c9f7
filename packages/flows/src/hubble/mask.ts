/** Field masks (google.protobuf.FieldMask) over the messages of a table: which fields an answer shall have. */
import type { Message, Values } from "./codec.ts";

/** The wanted fields of a message by name; `undefined` for all of a field's own. */
export interface FieldMask {
  readonly fields: ReadonlyMap<string, FieldMask | undefined>;
}

/** Most paths in a mask: twice the fields that a flow has at all. */
const MAX_PATHS = 200;

/** @param paths like `source.pod_name`. @throws RangeError that names the path which the message does not have */
export function parseMask(message: Message, paths: readonly string[]): FieldMask | undefined {
  if (paths.length === 0) return undefined;
  if (paths.length > MAX_PATHS) throw new RangeError(`a field mask has at most ${MAX_PATHS} paths`);
  const byHead = new Map<string, string[][]>();
  for (const path of paths) {
    const [head = "", ...rest] = path.split(".");
    byHead.set(head, [...(byHead.get(head) ?? []), rest]);
  }
  const fields = new Map<string, FieldMask | undefined>();
  for (const [head, rests] of byHead) {
    const field = message.byName.get(head);
    if (field === undefined && !knownAbsent.has(head))
      throw new RangeError(`${message.name} has no field "${head}"`);
    const whole = rests.some((rest) => rest.length === 0);
    const type = field?.type;
    const inner = typeof type === "object" && "message" in type ? type.message : undefined;
    if (!whole && inner === undefined && field !== undefined)
      throw new RangeError(`${message.name}.${head} has no fields of its own`);
    fields.set(
      head,
      whole || inner === undefined
        ? undefined
        : parseMask(
            inner,
            rests.map((rest) => rest.join(".")),
          ),
    );
  }
  return { fields };
}

/** Fields of Hubble that a plain host never fills: a mask may name them, and nothing comes of it. */
const knownAbsent: ReadonlySet<string> = new Set([
  "ethernet",
  "tunnel",
  "auth_type",
  "node_labels",
  "source_service",
  "destination_service",
  "policy_match_type",
  "file",
  "ip_trace_id",
  "debug_capture_point",
  "proxy_port",
  "trace_context",
  "sock_xlate_point",
  "cgroup_id",
  "egress_allowed_by",
  "ingress_allowed_by",
  "egress_denied_by",
  "ingress_denied_by",
  "policy_log",
  "aggregate",
  "ID",
  "cluster_name",
  "encrypted",
  "headers",
  "kafka",
  "chunk_type",
]);

/** The wanted part of a message; the values are shared, not copied. */
export function applyMask(mask: FieldMask | undefined, values: Values): Values {
  if (mask === undefined) return values;
  const kept: Values = {};
  for (const [name, inner] of mask.fields) {
    const value = values[name];
    if (value === undefined) continue;
    kept[name] =
      inner === undefined
        ? value
        : Array.isArray(value)
          ? value.map((one) => applyMask(inner, one))
          : applyMask(inner, value);
  }
  return kept;
}
