/** Figures and times for reading: three significant digits, SI prefixes, units always; the exact value for hovering. */

const prefixes = ["", "k", "M", "G", "T", "P"];

/** 84_512 → ["84.5", "k"]. */
function scale(value: number): readonly [string, string] {
  if (Number(value.toPrecision(3)) < 1000)
    return [Number.isInteger(value) ? String(value) : String(Number(value.toPrecision(3))), ""];
  let scaled = value;
  let index = 0;
  do {
    scaled /= 1000;
    index++;
  } while (Number(scaled.toPrecision(3)) >= 1000 && index < prefixes.length - 1);
  return [scaled < 1000 ? scaled.toPrecision(3) : String(Math.round(scaled)), prefixes[index] as string];
}

/** 84_512 → "84.5 kB". */
export function bytes(value: number): string {
  const [digits, prefix] = scale(value);
  return `${digits} ${prefix}B`;
}

/** 14_700 → "14.7 k". */
export function count(value: number): string {
  const [digits, prefix] = scale(value);
  return prefix === "" ? digits : `${digits} ${prefix}`;
}

/** The end of a scale, without trailing zeros: 20_000 → "20 k". */
export function tick(value: number): string {
  const [digits, prefix] = scale(value);
  return `${Number(digits)}${prefix === "" ? "" : ` ${prefix}`}`;
}

export function bytesPerSecond(value: number): string {
  return `${bytes(value)}/s`;
}

export function perSecond(value: number): string {
  return `${count(value)}/s`;
}

/** 84512, "B" → "84 512 B": every digit, in groups of three. */
export function exact(value: number, unit: string = ""): string {
  const digits = String(Number.isInteger(value) ? value : Number(value.toFixed(3)));
  const [whole = "", part] = digits.split(".");
  const grouped = whole.replace(/\B(?=(\d{3})+$)/g, " ");
  return `${grouped}${part === undefined ? "" : `.${part}`}${unit === "" ? "" : ` ${unit}`}`;
}

/** 250 → "250 ms", 1500 → "1.50 s", 90_000 → "1 min 30 s", 7_500_000 → "2 h 5 min". */
export function duration(ms: number): string {
  if (ms < 1000) return `${Math.max(0, Math.round(ms))} ms`;
  if (ms < 59_950) return `${(ms / 1000).toPrecision(3)} s`;
  const seconds = Math.round(ms / 1000);
  const minutes = Math.floor(seconds / 60);
  const hours = Math.floor(minutes / 60);
  if (minutes < 60) return join(minutes, "min", seconds % 60, "s");
  if (hours < 24) return join(hours, "h", minutes % 60, "min");
  return join(Math.floor(hours / 24), "d", hours % 24, "h");
}

function join(major: number, unit: string, minor: number, minorUnit: string): string {
  return minor === 0 ? `${major} ${unit}` : `${major} ${unit} ${minor} ${minorUnit}`;
}

/** 0.46 → "0.460 ms", 21.44 → "21.4 ms", 0.0853 → "85.3 µs": short times, three digits. */
export function latency(ms: number): string {
  if (ms < 0.1) return `${(ms * 1000).toPrecision(3)} µs`;
  return ms < 999.5 ? `${ms.toPrecision(3)} ms` : duration(ms);
}

export function ago(ms: number): string {
  if (ms < 1000) return "just now";
  return ms < 60_000 ? `${Math.floor(ms / 1000)} s ago` : `${duration(ms)} ago`;
}

const two = (value: number): string => String(value).padStart(2, "0");

/** 03:04:20 in the viewer's zone. */
export function clock(ms: number): string {
  const at = new Date(ms);
  return `${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}`;
}

/** 65_000 → "1:05"; the last second is shown as one, so that 0:00 is the end. */
export function clockLeft(ms: number): string {
  const seconds = Math.ceil(ms / 1000);
  const [hours, minutes] = [Math.floor(seconds / 3600), Math.floor((seconds % 3600) / 60)];
  return hours > 0 ? `${hours}:${two(minutes)}:${two(seconds % 60)}` : `${minutes}:${two(seconds % 60)}`;
}

/** 03:04:20.912 in the viewer's zone. */
export function clockMs(ms: number): string {
  return `${clock(ms)}.${String(new Date(ms).getMilliseconds()).padStart(3, "0")}`;
}

/** "2026-01-31 03:04:20.912 +01:00, 2026-01-31T02:04:20.912Z": the viewer's zone, then UTC. */
export function absolute(ms: number): string {
  const at = new Date(ms);
  const offset = -at.getTimezoneOffset();
  const zone = `${offset < 0 ? "−" : "+"}${two(Math.floor(Math.abs(offset) / 60))}:${two(Math.abs(offset) % 60)}`;
  const day = `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())}`;
  return `${day} ${clockMs(ms)} ${zone}, ${at.toISOString()}`;
}

/** "10.0.0.1:443", "[::1]:443"; the address alone where the protocol has no ports. */
export function socketAddress(end: { readonly ip: string; readonly port: number }): string {
  if (end.port === 0) return end.ip;
  return `${end.ip.includes(":") ? `[${end.ip}]` : end.ip}:${end.port}`;
}
