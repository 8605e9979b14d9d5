/** Keys for a part of the document: of the characters that AsyncAPI allows, and each only once. */
export class Keys {
  readonly #taken = new Set<string>()

  /** @param wanted taken as it is where it can be */
  take (wanted: string): string {
    const plain = wanted.replace(/[^\w.-]+/g, '_')
    let key = plain
    for (let i = 2; this.#taken.has(key); i++) key = `${plain}_${i}`
    this.#taken.add(key)
    return key
  }
}
