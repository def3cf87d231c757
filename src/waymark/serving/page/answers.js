// Answers as elements. Names of classes and files come from outside: they become text nodes, never markup.

export const el = (tag, attributes = {}, ...children) => {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
};

export function percent(probability) {
  if (probability > 0.9994) return "> 99.9\u00a0%";
  if (probability > 0 && probability < 0.0005) return "< 0.1\u00a0%";
  return `${(probability * 100).toFixed(1)}\u00a0%`;
}

/** The class's own picture, or null for a model without any. */
export function classPicture(label, alt) {
  if (label >= Number(document.documentElement.dataset.pictures)) return null;
  return el("img", { src: `app/classes/${label}.png`, alt, loading: "lazy" });
}

/** A picture as it was sent; where the browser cannot show its format, words in its place. */
export function preview(url, alt) {
  const image = el("img", { src: url, alt, decoding: "async" });
  image.addEventListener("error", () => image.replaceWith(el("span", { class: "blank" }, "no preview")));
  return image;
}

/**
 * One answer in full. `picture` is what was sent, as `name`, `url` and `explain`, or null for a member of a zip:
 * `explain(label)` gives the address of a heat map, or throws an error with a sentence.
 */
export function one(answer, picture) {
  const reading = el("div", { class: "reading" }, verdict(answer));
  if (!answer.answered) reading.append(el("p", {}, doubt(answer)));
  reading.append(bars(answer));
  const parts = picture ? [seen(answer, picture), reading] : [reading];
  return el("article", { class: `answer${answer.answered ? "" : " unsure"}${picture ? "" : " alone"}` }, ...parts);
}

function verdict({ label, class_name: name, probability, answered }) {
  if (!answered) {
    const warning = el("span", { class: "warning", "aria-hidden": "true" });
    return el("div", { class: "verdict" }, warning, el("h2", {}, "Not sure"));
  }
  const words = el("div", {}, el("h2", {}, name), el("p", { class: "percent" }, percent(probability)));
  const known = classPicture(label, `An example of ${name}`);
  return el("div", { class: "verdict" }, ...(known ? [known] : []), words);
}

const short = (threshold) => `${Number((threshold * 100).toFixed(1))}\u00a0%`;

function doubt({ class_name: name, probability, threshold }) {
  return (
    `The best guess is “${name}” with ${percent(probability)}. ` +
    `Under ${short(threshold)} a guess is wrong too easily, so the model gives no answer.`
  );
}

function bars({ top, threshold }) {
  const list = el("ol", { class: "bars" });
  for (const { class_name: name, probability } of top) {
    const track = el("span", { class: "track", "aria-hidden": "true" });
    track.style.setProperty("--share", probability);
    if (threshold) track.append(el("span", { class: "mark" }));
    track.style.setProperty("--threshold", threshold);
    list.append(el("li", {}, el("span", {}, name), el("span", { class: "share" }, percent(probability)), track));
  }
  if (!threshold) return list;
  const scale = `The line marks ${short(threshold)}: from there on the model answers.`;
  return el("div", {}, list, el("p", { class: "hint" }, scale));
}

/** The picture, and the button that swaps it for the heat map and back. */
function seen({ class_name: best, label }, { name, url, explain }) {
  const sent = preview(url, `Your picture, ${name}`);
  const frame = el("div", { class: "frame" }, sent);
  const caption = el("figcaption", { "aria-live": "polite" }, "Your picture");
  const button = el("button", { type: "button", "aria-pressed": "false" }, "Where did it look?");
  const turn = (shown, words, pressed) => {
    frame.replaceChildren(shown);
    caption.textContent = words;
    button.setAttribute("aria-pressed", String(pressed));
  };
  let map = null;
  button.addEventListener("click", async () => {
    if (button.getAttribute("aria-busy")) return;
    if (button.getAttribute("aria-pressed") === "true") return turn(sent, "Your picture", false);
    button.setAttribute("aria-busy", "true");
    caption.textContent = "Covering it part by part …";
    try {
      map ??= preview(await explain(label), `Heat map of your picture: red where “${best}” depends on it`);
      turn(map, `Red: covering this costs “${best}” the most probability.`, true);
    } catch (error) {
      if (error.name !== "AbortError") caption.textContent = error.message;
    } finally {
      button.removeAttribute("aria-busy");
    }
  });
  return el("div", { class: "seen" }, el("figure", {}, frame, caption), button);
}
