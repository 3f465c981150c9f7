import { readFile } from "node:fs/promises";
import { expect, test } from "vitest";

/** Relative luminance and contrast of WCAG 2.2, from sRGB as `#rrggbb`. */
function luminance(colour: string): number {
  const [r = 0, g = 0, b = 0] = [1, 3, 5].map((at) => {
    const channel = Number.parseInt(colour.slice(at, at + 2), 16) / 255;
    return channel <= 0.04045 ? channel / 12.92 : ((channel + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
}

function contrast(a: string, b: string): number {
  const [dark = 0, bright = 0] = [luminance(a), luminance(b)].sort((x, y) => x - y);
  return (bright + 0.05) / (dark + 0.05);
}

const css = await readFile(new URL("tokens.css", import.meta.url), "utf8");
const tokens = (block: string | undefined): Record<string, string> =>
  Object.fromEntries(
    [...(block ?? "").matchAll(/--([\w-]+): (#[0-9a-f]{6});/g)].map(([, name, value]) => [name, value]),
  );
const [, dark, light] = css.split(":root");
const themes = { dark: tokens(dark), light: tokens(light) };
const grounds = ["bg0", "bg1", "bg2", "selbg"];
const texts = ["ink", "ink2", "ink3", "denied", "dropped", "error", "warning", "selected"];
const shapes = ["s1", "s2", "s3", "s4", "s5", "s6", "allowed"];

const pairs = Object.entries(themes).flatMap(([theme, colours]) =>
  grounds.flatMap((ground) => [
    ...texts.map((name) => [theme, name, ground, 4.5, colours] as const),
    ...shapes.map((name) => [theme, name, ground, 3, colours] as const),
  ]),
);

test.each(pairs)("%s: %s stands out from %s by %d", (_, name, ground, least, colours) => {
  expect(contrast(colours[name] as string, colours[ground] as string)).toBeGreaterThanOrEqual(least);
});

test("the contrast is WCAG's", () => {
  expect(contrast("#ffffff", "#000000")).toBe(21);
  expect(contrast("#767676", "#ffffff")).toBeCloseTo(4.54, 2);
});
