/** Answers of a name server for tests. */

/** The answer to a query with one question: one A record of a minute, or NXDOMAIN. */
export function dnsAnswer(query: Buffer, ip: string, options: { readonly isUnknown?: boolean } = {}): Buffer {
  const { isUnknown = false } = options;
  let end = 12;
  while (query[end] !== 0) end += (query[end] as number) + 1;
  const question = query.subarray(12, end + 5);
  const header = Buffer.from(query.subarray(0, 12));
  header.writeUInt16BE(isUnknown ? 0x8183 : 0x8180, 2);
  header.writeUInt16BE(1, 4);
  header.writeUInt16BE(isUnknown ? 0 : 1, 6);
  header.writeUInt32BE(0, 8);
  const record = Buffer.from([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, ...ip.split(".").map(Number)]);
  return Buffer.concat(isUnknown ? [header, question] : [header, question, record]);
}
