/** Pictures and data as files. */
export function download(name: string, content: Blob): void {
  const link = document.createElement("a");
  link.download = name;
  link.href = URL.createObjectURL(content);
  link.click();
  URL.revokeObjectURL(link.href);
}

export function downloadText(name: string, type: string, text: string): void {
  download(name, new Blob([text], { type }));
}

/** The value of a custom property, as the theme has it now. */
export function token(name: string): string {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

/** On the page's own ground, since the drawing itself has none. */
export async function picture(drawing: HTMLCanvasElement, ground: string): Promise<Blob> {
  const canvas = new OffscreenCanvas(drawing.width, drawing.height);
  const context = canvas.getContext("2d");
  if (context !== null) {
    context.fillStyle = ground;
    context.fillRect(0, 0, canvas.width, canvas.height);
    context.drawImage(drawing, 0, 0);
  }
  return canvas.convertToBlob({ type: "image/png" });
}

/** What a style sheet gives to shapes and text, and a file of its own would lack. */
const inlined = [
  "fill",
  "fill-opacity",
  "stroke",
  "stroke-width",
  "stroke-dasharray",
  "opacity",
  "paint-order",
  "font-family",
  "font-size",
  "font-weight",
] as const;

/** A drawing of the page as a file of its own: its look inlined, on the page's ground, without the page's marks. */
export function standaloneSvg(drawing: SVGSVGElement, ground: string): string {
  const copy = drawing.cloneNode(true) as SVGSVGElement;
  const originals = [drawing, ...drawing.querySelectorAll("*")];
  for (const [index, element] of [copy, ...copy.querySelectorAll("*")].entries()) {
    const style = getComputedStyle(originals[index] as Element);
    for (const name of inlined) element.setAttribute(name, style.getPropertyValue(name));
    for (const name of ["class", "style", "tabindex", "role", "aria-label", "aria-pressed", "data-key"])
      element.removeAttribute(name);
  }
  const { width, height } = drawing.getBoundingClientRect();
  copy.setAttribute("xmlns", "http://www.w3.org/2000/svg");
  copy.setAttribute("width", String(width));
  copy.setAttribute("height", String(height));
  const back = document.createElementNS("http://www.w3.org/2000/svg", "rect");
  for (const [name, value] of Object.entries({ width: "100%", height: "100%", fill: ground }))
    back.setAttribute(name, value);
  copy.prepend(back);
  return new XMLSerializer().serializeToString(copy);
}

/** Twice as many dots as the drawing has pixels, for dense screens and paper. */
export async function svgPicture(svg: string, width: number, height: number): Promise<Blob> {
  const image = new Image();
  image.src = `data:image/svg+xml;charset=utf-8,${encodeURIComponent(svg)}`;
  await image.decode();
  const canvas = new OffscreenCanvas(width * 2, height * 2);
  canvas.getContext("2d")?.drawImage(image, 0, 0, width * 2, height * 2);
  return canvas.convertToBlob({ type: "image/png" });
}
