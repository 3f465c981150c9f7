/**
 * Selectors of labels in Kubernetes' form, with Cilium's sources before the key: `process=curl`, `unit!=sshd.service`,
 * `process in (curl, wget), !container`, `reserved:host`
 * (https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/#label-selectors).
 */

interface Label {
  readonly source: string;
  readonly key: string;
  readonly value: string;
}

type Test = (labels: readonly Label[]) => boolean;

/** A selector as long as the names of a hundred processes is no selector any more. */
const MAX_LENGTH = 4096;

const clause =
  /^\s*(?:(!)\s*([^\s,=!()]+)|([^\s,=!()]+)\s*(?:(==?|!=)\s*([^\s,=!()]*)|(in|notin)\s*\(([^()]*)\))?)\s*(?:,|$)/;

/** @returns whether a flow's labels match. @throws RangeError */
export function parseSelector(text: string): (labels: readonly string[]) => boolean {
  if (text.length > MAX_LENGTH) throw new RangeError(`the selector is longer than ${MAX_LENGTH}`);
  const tests: Test[] = [];
  let rest = text;
  while (rest.trim() !== "") {
    const match = clause.exec(rest);
    if (match === null) throw new RangeError(`"${text}" is no selector of labels`);
    tests.push(testOf(match));
    rest = rest.slice(match[0].length);
  }
  return (labels) => {
    const parsed = labels.map(parseLabel);
    return tests.every((test) => test(parsed));
  };
}

function testOf([, absent, absentKey, key = "", operator, value, set, list]: RegExpExecArray): Test {
  if (absent !== undefined) {
    const named = keyTest(absentKey as string);
    return (labels) => !labels.some(named);
  }
  const named = keyTest(key);
  if (operator === undefined && set === undefined) return (labels) => labels.some(named);
  const values = new Set(set === undefined ? [value] : (list as string).split(",").map((one) => one.trim()));
  const isWanted = (label: Label): boolean => named(label) && values.has(label.value);
  const negated = operator === "!=" || set === "notin";
  return (labels) => labels.some(isWanted) !== negated;
}

/** A key without a source is one of any source. */
function keyTest(text: string): (label: Label) => boolean {
  const colon = text.indexOf(":");
  const source = colon < 0 ? "any" : text.slice(0, colon);
  const key = text.slice(colon + 1);
  return (label) => label.key === key && (source === "any" || label.source === source);
}

function parseLabel(text: string): Label {
  const equals = text.indexOf("=");
  const name = equals < 0 ? text : text.slice(0, equals);
  const colon = name.indexOf(":");
  return {
    source: colon < 0 ? "" : name.slice(0, colon),
    key: name.slice(colon + 1),
    value: equals < 0 ? "" : text.slice(equals + 1),
  };
}
