/** V8 makes neither slices nor joints of anything shorter. */
const SHORTEST = 13

/**
 * A copy of a string that stands alone. What V8 cuts from a longer string, such as a header of the request, keeps all of
 * that alive, and what it joins keeps every part: a random UUID takes ten times its length so.
 * @param text well-formed: a lone surrogate would be replaced
 */
export function detached (text: string): string {
  return text.length < SHORTEST ? text : Buffer.from(text).toString()
}
