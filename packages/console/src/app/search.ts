import { type Filter, looksLikeAddress } from "./query.ts";

const protocols = new Set(["tcp", "udp", "icmp", "icmpv6", "sctp"]);
const named = /^(ip|port|protocol|process|unit|container|name|dropped|since|until)[=:](.+)$/;

/**
 * What the words of the search box mean as filters: an address or prefix, a port (`:443`, `443`,
 * `10.0.0.1:443`, `[::1]:443`), a protocol, `key=value`, a unit (`nginx.service`), a name with a dot in it, else a
 * process. A later word of one kind replaces an earlier one.
 */
export function interpret(text: string): Filter {
  return Object.assign({}, ...text.trim().split(/\s+/).filter(Boolean).map(word));
}

function word(text: string): Filter {
  const pair = named.exec(text);
  if (pair !== null) return { [pair[1] as string]: pair[2] };
  const port = /^:?(\d{1,5})$/.exec(text);
  if (port !== null && Number(port[1]) <= 65535) return { port: port[1] as string };
  const socket = /^\[(.+)\]:(\d{1,5})$/.exec(text) ?? /^([\d.]+):(\d{1,5})$/.exec(text);
  if (socket !== null && looksLikeAddress(socket[1] as string) && Number(socket[2]) <= 65535)
    return { ip: socket[1] as string, port: socket[2] as string };
  if (looksLikeAddress(text)) return { ip: text };
  if (/^[\w@.-]+\.(service|scope|slice)$/.test(text)) return { unit: text };
  if (/^(\*\.)?([\w-]+\.)+[a-z][\w-]*$/i.test(text)) return { name: text };
  return protocols.has(text.toLowerCase()) ? { protocol: text.toLowerCase() } : { process: text };
}
