/**
 * HTTP inside TLS, for services that were named in the configuration: probes on OpenSSL see requests and answers as
 * they are before encryption. Method, path without query, status and times leave this module; the bytes they were
 * read from do not.
 *
 * A call of SSL_write costs its process one breakpoint, a call of SSL_read two; also in processes that were not named
 * but have the same file mapped, of which nothing is looked at.
 */
import type { Feature } from "@x0tta6bl4/core";
import { mapAccess, openRawTracepoint } from "../kernel/bpf.ts";
import { kernelError, type Libc } from "../kernel/libc.ts";
import { loadObject } from "../kernel/load.ts";
import { createExchangeReader, type OpensslExchange, type OpensslTotals } from "./exchanges.ts";
import { opensslFiles } from "./mapped-files.ts";
import { createProbedFiles } from "./probed-files.ts";
import { uprobeType } from "./probes.ts";
import { type ServiceProcess, serviceProcesses } from "./processes.ts";
import { opensslPrograms } from "./programs.ts";

/** As in openssl.bpf.c. */
const MOST_PROCESSES = 4096;
const EOPNOTSUPP = -95;

export interface Openssl {
  /** Tells the exchanges since the last time. To be called as often as other rings are read. */
  read(): void;
  /** Finds processes that have come or gone. To be called every few seconds. */
  discover(): void;
  features(): readonly Feature[];
  totals(): OpensslTotals;
  close(): Promise<void>;
}

/** What a process has of OpenSSL. */
interface Found {
  readonly process: ServiceProcess;
  /** With probes. */
  readonly files: readonly string[];
  readonly reasons: readonly string[];
}

/**
 * @param options.services systemd units, with or without `.service`, and names of executables.
 * @throws X0_FLOWS_KERNEL_CALL where the kernel has no uprobes or refuses the programs.
 */
export function openOpenssl(
  libc: Libc,
  options: { readonly services: readonly string[] },
  onExchange: (exchange: OpensslExchange) => void,
): Openssl {
  const uprobe = uprobeType();
  if (uprobe === undefined)
    throw kernelError("probing OpenSSL", EOPNOTSUPP, "run a kernel with CONFIG_UPROBE_EVENTS");
  const loaded = loadObject(libc, opensslPrograms());
  const reader = createExchangeReader(libc, loaded.maps, onExchange);
  const files = createProbedFiles(libc, uprobe, loaded.programs);
  const access = mapAccess(libc);
  // Before Linux 6.3 there is none: exchanges then do not know their socket.
  const received = openRawTracepoint(libc, loaded.programs.x0_ssl_received, "sock_recv_length");
  const key = libc.allocate(4);
  const value = libc.allocate(4);
  const named = new Set<number>();
  let found: readonly Found[] = [];

  const name = (pids: ReadonlySet<number>): void => {
    for (const pid of [...named, ...pids]) {
      if (named.has(pid) === pids.has(pid)) continue;
      key.view.setUint32(0, pid, true);
      if (pids.has(pid) && access.update(loaded.maps.named, key, value) >= 0) named.add(pid);
      else if (access.delete(loaded.maps.named, key) >= 0) named.delete(pid);
    }
  };

  const probe = (process: ServiceProcess, identities: Set<string>): Found => {
    const probed: string[] = [];
    const reasons: string[] = [];
    for (const { path, links, reason } of opensslFiles(process)) {
      const outcome = reason === undefined ? files.probe(links) : { reason };
      if (outcome === "none") continue;
      if ("reason" in outcome) reasons.push(outcome.reason);
      else {
        probed.push(path);
        identities.add(outcome.identity);
      }
    }
    return { process, files: probed, reasons };
  };

  return {
    read: reader.read,
    discover() {
      const identities = new Set<string>();
      found = serviceProcesses(options.services)
        .slice(0, MOST_PROCESSES)
        .map((process) => probe(process, identities));
      name(new Set(found.filter((each) => each.files.length > 0).map(({ process }) => process.pid)));
      files.keep(identities);
    },
    features: () =>
      options.services.map((service) =>
        featureOf(
          service,
          found.filter(({ process }) => process.service === service),
        ),
      ),
    totals: reader.totals,
    async close() {
      reader.close();
      key.free();
      value.free();
      if (received >= 0) libc.close(received);
      await files.close();
      loaded.close();
    },
  };
}

function featureOf(service: string, found: readonly Found[]): Feature {
  const name = `HTTP inside OpenSSL of ${service}`;
  if (found.length === 0)
    return { name, state: "off", reason: "no process of a unit or executable of this name is running" };
  const probed = found.filter(({ files }) => files.length > 0);
  const reasons = new Set(found.flatMap((each) => each.reasons));
  const reason = reasons.size === 0 ? "no functions of OpenSSL are mapped" : [...reasons].join("; ");
  if (probed.length === 0) return { name, state: "off", reason };
  const paths = [...new Set(probed.flatMap(({ files }) => files))].join(", ");
  const detail = `${probed.length} of ${found.length} ${found.length === 1 ? "process" : "processes"}, in ${paths}`;
  if (probed.length === found.length && reasons.size === 0) return { name, state: "on", detail };
  return { name, state: "degraded", detail, reason };
}
