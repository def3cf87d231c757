// The pictures that a person brings: found in what was dropped, and shrunk where the service would refuse them.

import { Sentence } from "./service.js";

const QUALITY = 0.92; // of JPEG; artefacts stay far under what the network's small input can show
const byName = new Intl.Collator("en", { numeric: true });

export const isZip = (file) => /\.zip$/i.test(file.name) || /^application\/(x-)?zip/.test(file.type);

export function sized(bytes) {
  const [share, unit] = bytes < 1e6 ? [bytes / 1e3, "kB"] : [bytes / 1e6, "MB"];
  return `${share.toFixed(share < 100 && share % 1 ? 1 : 0)} ${unit}`;
}

export const sorted = (files) => [...files].sort((a, b) => byName.compare(a.name, b.name));

/** The files of a drop, those in folders too. Reads the list before it returns, since a drop's data lives no longer. */
export function dropped(data) {
  const found = [...data.items].filter((item) => item.kind === "file").map(opened);
  return Promise.all(found).then((lists) => lists.flat());
}

function opened(item) {
  const entry = item.webkitGetAsEntry?.();
  return entry?.isDirectory ? inside(entry) : [item.getAsFile()].filter(Boolean);
}

async function inside(folder) {
  const reader = folder.createReader();
  const files = [];
  for (;;) {
    const entries = await new Promise((resolve, reject) => reader.readEntries(resolve, reject));
    if (!entries.length) return files;
    for (const entry of entries.filter(({ name }) => !name.startsWith("."))) {
      if (entry.isDirectory) files.push(...(await inside(entry)));
      else files.push(await new Promise((resolve, reject) => entry.file(resolve, reject)));
    }
  }
}

/**
 * The picture as it can be sent, and a note where it had to be shrunk.
 *
 * `bytes` is the most that it may have. What the browser cannot show is left as it is: the service says what is wrong.
 */
export async function fitted(file, limits, bytes) {
  const image = await shown(file);
  if (!image) {
    if (file.size <= bytes) return { file, note: "" };
    throw new Sentence(
      `${file.name} has ${sized(file.size)}; at most ${sized(bytes)} are taken, and this browser cannot shrink it.`,
    );
  }
  const { naturalWidth: width, naturalHeight: height } = image;
  let scale = Math.min(1, limits.side / Math.max(width, height), Math.sqrt(limits.pixels / (width * height)));
  if (scale === 1 && file.size <= bytes) return { file, note: "" };
  for (;;) {
    const [w, h] = [width, height].map((side) => Math.max(1, Math.floor(side * scale)));
    const blob = await drawn(image, w, h);
    if (!blob) throw new Sentence(`${file.name} is too large for this browser to shrink.`);
    if (blob.size <= bytes || (w === 1 && h === 1)) {
      const note = `${file.name} was shrunk from ${width} × ${height} to ${w} × ${h} pixels before it was sent.`;
      return { file: new File([blob], file.name, { type: blob.type }), note };
    }
    scale *= 0.7;
  }
}

/** The file as an image that knows its size, turned as EXIF says; null where the browser cannot read it. */
async function shown(file) {
  const image = new Image();
  const url = URL.createObjectURL(file);
  try {
    await new Promise((resolve, reject) => {
      [image.onload, image.onerror] = [resolve, reject];
      image.src = url;
    });
    return image;
  } catch {
    return null;
  } finally {
    URL.revokeObjectURL(url);
  }
}

async function drawn(image, width, height) {
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [width, height];
  const context = canvas.getContext("2d");
  context.imageSmoothingQuality = "high";
  context.drawImage(image, 0, 0, width, height);
  return new Promise((resolve) => canvas.toBlob(resolve, "image/jpeg", QUALITY));
}
