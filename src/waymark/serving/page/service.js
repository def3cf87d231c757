// Asking the service. Whatever goes wrong is a Sentence.

/** What went wrong, in words for the person at the page. */
export class Sentence extends Error {}

/** A message of the service as a sentence: a capital first, a full stop last. */
export const sentence = (message) =>
  message.charAt(0).toUpperCase() + message.slice(1) + (/[.!?]$/.test(message) ? "" : ".");

/** A picture as a blob, all else as the document it is. Throws a Sentence, or an AbortError. */
export async function get(address, options = {}) {
  let response;
  try {
    response = await fetch(address, options);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Sentence("The service cannot be reached. Is it still running?");
  }
  if (response.headers.get("Content-Type") === "image/png") return response.blob();
  const nothing = { error: { message: `the service answered with status ${response.status}` } };
  const answer = await response.json().catch(() => nothing);
  // Where every picture was refused, the refusals are the answer.
  if (answer.error && !answer.results && !answer.letters) throw new Sentence(sentence(answer.error.message));
  return answer;
}

/** Send `files` as the form's `field`. */
export function post(address, field, files, signal) {
  const body = new FormData();
  for (const file of files) body.append(field, file, file.name);
  return get(address, { method: "POST", body, signal });
}
