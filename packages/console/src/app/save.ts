export function download(name: string, content: Blob): void {
  const link = document.createElement("a");
  link.download = name;
  link.href = URL.createObjectURL(content);
  link.click();
  URL.revokeObjectURL(link.href);
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
