/**
 * The network on which policies are tried out: `edge`, `near` and `far`, each with nginx, iperf3 and a resolver. `far`
 * has three addresses: `far`, `other`, and `mate`, which passes for another host. On `edge` there are two units: `web`
 * with an nginx of its own, and `app`, which only asks.
 */
import { mkdirSync, rmdirSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  acquaint,
  connect,
  createCgroup,
  createNamespace,
  type Interface,
  type Namespace,
  type Place,
  type Places,
  type Running,
  run,
  start,
} from "../../test/lab/index.ts";

export type Version = "ipv4" | "ipv6";

/** One connection. */
export interface Attempt {
  readonly from: string;
  readonly to: string;
  /** `tcp/8080`, `udp/53`, `icmp`. */
  readonly service: string;
  readonly version: Version;
}

export interface PolicyNet extends AsyncDisposable {
  readonly edge: Namespace;
  /** Addresses of a host. */
  addresses(host: string): Readonly<Record<Version, string>>;
  /** What `edge` is to believe about names. */
  readonly resolvers: readonly string[];
  /** Makes the connection. @returns whether it came to its end; nobody waits long for what is not expected to. */
  succeeds(attempt: Attempt, isExpected: boolean): Promise<boolean>;
}

const LONG_SECONDS = 10;
/** That it failed for want of time would show in the figures: they name no rule that denied it then. */
const SHORT_SECONDS = 0.5;

/** Systemd units of `edge`, by the names that connections have for them. */
export const units = { web: "x0lab-web.service", app: "x0lab-app.service" } as const;

/** What it needs and Debian's package of it. */
export const programs: Readonly<Record<string, string>> = {
  nginx: "nginx-light",
  iperf3: "iperf3",
  dig: "bind9-dnsutils",
  dnsmasq: "dnsmasq-base",
  curl: "curl",
  ping: "iputils-ping",
};

/** `edge < near tcp/8080`, over the IP version that it names or over both. */
export function attemptsOf(line: string): readonly Attempt[] {
  const match = /^(\w+) ([<>]) (\w+) (\S+)(?: (ipv[46]))?$/.exec(line);
  if (match === null) throw new Error(`"${line}" is no connection`);
  const [, one = "", way, two = "", service = "", only] = match;
  const [from, to] = way === ">" ? [one, two] : [two, one];
  const versions: readonly Version[] = only === undefined ? ["ipv4", "ipv6"] : [only as Version];
  return versions.map((version) => ({ from, to, service, version }));
}

export async function policyNet(): Promise<PolicyNet> {
  await using stack = new AsyncDisposableStack();
  const folder = await mkdtemp(join(tmpdir(), "x0-policy-net-"));
  stack.defer(() => rm(folder, { recursive: true, force: true }));
  const edge = stack.use(await createNamespace());
  const near = stack.use(await createNamespace());
  const far = stack.use(await createNamespace());
  const [towardsNear, nearEnd] = await connect(edge, near, { subnet: 1 });
  const [edgeEnd, farEnd] = await connect(edge, far, { subnet: 2, names: ["eth1", "eth0"] });
  const hosts = new Map<string, Interface>([
    ["near", nearEnd],
    ["far", farEnd],
    ["other", await further(farEnd, edgeEnd, 3)],
    ["mate", await further(farEnd, edgeEnd, 4)],
    ...["edge", ...Object.keys(units)].map((name) => [name, edgeEnd] as const),
  ]);
  const slice = stack.use(createCgroup());
  const inUnit = new Map<string, Place>();
  for (const [name, unit] of Object.entries(units)) {
    const path = join(slice.path, unit);
    mkdirSync(path);
    stack.defer(() => rmdirSync(path));
    inUnit.set(name, {
      enter: (command) => ["sh", "-c", 'echo $$ >"$0" && exec "$@"', `${path}/cgroup.procs`, ...command],
    });
  }
  const placesOf = (host: string): Place[] => [
    (hosts.get(host) as Interface).namespace,
    ...[inUnit.get(host) ?? []].flat(),
  ];
  for (const [name, place] of Object.entries({ edge, near, far }))
    for (const serve of [nginx, dnsmasq, iperf3]) stack.use(await serve(place, `${folder}/${name}`));
  stack.use(await nginx(placesOf("web"), `${folder}/web`, [8084]));
  const queue = new Map<string, Promise<unknown>>();
  /** An iperf3 server takes one client at a time. */
  const inTurn = <T>(at: string, what: () => Promise<T>): Promise<T> => {
    const turn = (queue.get(at) ?? Promise.resolve()).then(what);
    queue.set(
      at,
      turn.catch(() => {}),
    );
    return turn;
  };
  /** Of a host as the other sees it: `edge` has an address on each link. */
  const addressOf = (host: string, seenBy: string, version: Version): string => {
    const seen = hosts.get(host) as Interface;
    return (seen === edgeEnd && seenBy === "near" ? towardsNear : seen)[version];
  };
  const owned = stack.move();
  return {
    edge,
    addresses: (host) => hosts.get(host) as Interface,
    resolvers: [nearEnd.ipv4, nearEnd.ipv6],
    async succeeds({ from, to, service, version }, isExpected) {
      const patience = isExpected ? LONG_SECONDS : SHORT_SECONDS;
      const [source, destination] = [addressOf(from, to, version), addressOf(to, from, version)];
      const attempt = (): Promise<boolean> =>
        run(clientOf(service, source, destination, patience), { places: placesOf(from) }).then(
          () => true,
          () => false,
        );
      return service.endsWith("/5201") ? inTurn(to, attempt) : attempt();
    },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

/** A second address of an interface, which passes for a host of its own. */
async function further(host: Interface, seenBy: Interface, number: number): Promise<Interface> {
  const more = { ...host, ipv4: `10.77.2.${number}`, ipv6: `fd77:0:0:2::${number}` };
  await host.namespace.exec(
    ["ip", "-batch", "-"],
    `address add ${more.ipv4}/24 dev ${host.name}\naddress add ${more.ipv6}/64 dev ${host.name} nodad`,
  );
  await acquaint([seenBy, more]);
  return more;
}

/** The resolvers know one name, whose addresses are those of `far`. */
const QUESTION = "www.example.test";

async function nginx(places: Places, path: string, ports = [8080, 8081, 8082]): Promise<Running> {
  const listens = ports.map((port) => `listen ${port}; listen [::]:${port};`).join(" ");
  const scratch = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
    .map((kind) => `${kind}_temp_path ${path}-${kind};`)
    .join(" ");
  const text = `daemon off; master_process off; pid ${path}.pid; error_log stderr notice; events {}
http { access_log off; ${scratch} server { ${listens} location / { return 200 "hello"; } } }`;
  await writeFile(`${path}.conf`, text);
  return start(["nginx", "-c", `${path}.conf`], /event method/, { places });
}

function dnsmasq(place: Namespace): Promise<Running> {
  const answers = ["10.77.2.2", "fd77:0:0:2::2"].map((ip) => `--address=/${QUESTION}/${ip}`);
  const own = ["--conf-file=/dev/null", "--no-resolv", "--no-hosts", "--user=root", "--pid-file="];
  return start(["dnsmasq", "--no-daemon", ...own, ...answers], /started/, { places: place });
}

function iperf3(place: Namespace): Promise<Running> {
  return start(["iperf3", "--server", "--forceflush"], /Server listening/, { places: place });
}

/** A client that exits with 0 once it has its answer. */
function clientOf(service: string, source: string, destination: string, seconds: number): string[] {
  const [protocol, port] = service.split("/");
  const within = ["timeout", `${seconds}`];
  if (protocol === "icmp") return [...within, "ping", "-n", "-c1", `-W${seconds}`, "-I", source, destination];
  if (port === "53")
    return [
      ...[...within, "dig", `@${destination}`, "-b", source, "+tries=1", "+time=30"],
      ...["A", "AAAA"].flatMap((type) => [QUESTION, type, ...(protocol === "tcp" ? ["+tcp"] : [])]),
    ];
  if (port === "5201")
    return [
      ...[...within, "iperf3", "--client", destination, "--bind", source],
      ...["--bytes", "4000", "--length", "400", ...(protocol === "udp" ? ["--udp"] : [])],
    ];
  const url = `http://${destination.includes(":") ? `[${destination}]` : destination}:${port}/`;
  return [...within, "curl", "-sS", "--interface", source, url];
}
