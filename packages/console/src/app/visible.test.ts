import fc from "fast-check";
import { expect, test } from "vitest";
import { isVisible, longestShown, visible, visibleJson, visibleText } from "./visible.ts";

test.each([
  ["nginx", "nginx"],
  ["münchen.example", "münchen.example"],
  ["<img src=x onerror=alert(1)>", "<img src=x onerror=alert(1)>"],
  ["a\u001b[31mb", "a␛[31mb"],
  ["two\nlines\tand\u0000nul", "two␊lines␉and␀nul"],
  ["\u007f\u0085", "␡⟨0085⟩"],
  ["txt.\u202eexe", "txt.⟨202E⟩exe"],
  ["a\u200bb\u2066c", "a⟨200B⟩b⟨2066⟩c"],
  ["\u2028", "⟨2028⟩"],
  ["\ud800", "⟨D800⟩"],
  ["\u{e0041}", "⟨E0041⟩"],
])("%j is shown as %j", (text, shown) => {
  expect(visible(text)).toBe(shown);
  expect(isVisible(text)).toBe(text === shown);
});

test("JSON reads back as it was, without an unseen character", () => {
  fc.assert(
    fc.property(fc.string({ unit: "binary", maxLength: 60 }), (text) => {
      const json = visibleJson({ text });
      expect(JSON.parse(json)).toEqual({ text });
      expect(json).not.toMatch(/[\p{Bidi_Control}\p{Zl}\p{Zp}]/u);
    }),
    { seed: 1 },
  );
});

test("a text of any length and content is bounded, and holds nothing that acts on its neighbours", () => {
  fc.assert(
    fc.property(fc.string({ unit: "binary", maxLength: 600 }), (text) => {
      const shown = visible(text);
      expect(shown).not.toMatch(/[\p{Cc}\p{Bidi_Control}\p{Zl}\p{Zp}]/u);
      // A hidden character becomes at most eight signs.
      expect(shown.length).toBeLessThanOrEqual(longestShown * 8);
    }),
    { seed: 1 },
  );
});

test("a text of several lines keeps them, and shows all else", () => {
  expect(visibleText("a:\n  b\tc\r\n\u202ed\u0000")).toBe("a:\n  b␉c␍\n⟨202E⟩d␀");
});
