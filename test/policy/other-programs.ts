/** Other versions of x0's programs: they keep the state of policy in maps of another layout. */
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { decodeObject } from "../../packages/flows/src/kernel/object.ts";
import { encodeObject } from "../../scripts/generate/encode.ts";
import type { Place } from "../lab/index.ts";

const shipped = fileURLToPath(new URL("../../packages/flows/bpf/x0.blob", import.meta.url));

const changes = {
  /** A map of another size. */
  larger: { name: "policy", valueBytes: 8 },
  /** Nobody can tell what the map of connections holds. */
  untold: { name: "connections", valueBytes: 0 },
} as const;

/** Where an agent finds them in the place of the shipped ones: a mount namespace of its own. @param folder for them */
export async function otherPrograms(folder: string, change: keyof typeof changes): Promise<Place> {
  const object = decodeObject(await readFile(shipped));
  const { name, valueBytes } = changes[change];
  const maps = object.maps.map((map) =>
    map.name === name ? { ...map, valueBytes: map.valueBytes + valueBytes, keyType: 0, valueType: 0 } : map,
  );
  const file = join(folder, `${change}.blob`);
  await writeFile(file, encodeObject({ ...object, maps }));
  return inOwnMounts(`mount --bind ${file} ${shipped}`);
}

/** A mount namespace of its own, after this line of a shell. */
export function inOwnMounts(line: string): Place {
  return { enter: (command) => ["unshare", "--mount", "sh", "-c", `${line} && exec "$@"`, "sh", ...command] };
}
