const NONE: readonly never[] = []

/** Several values for a key. One that is alone, as nearly every connection of a user is, costs no Set. */
export class MultiMap<V extends object> {
  readonly #values = new Map<string, V | Set<V>>()

  /** Keys that have a value. */
  get size (): number { return this.#values.size }

  add (key: string, value: V): void {
    const there = this.#values.get(key)
    if (there === undefined) this.#values.set(key, value)
    else if (there instanceof Set) there.add(value)
    else if (there !== value) this.#values.set(key, new Set([there, value]))
  }

  delete (key: string, value: V): void {
    const there = this.#values.get(key)
    if (there === value) {
      this.#values.delete(key)
    } else if (there instanceof Set && there.delete(value) && there.size === 1) {
      const [last] = there as Set<V>
      this.#values.set(key, last as V)
    }
  }

  /** In the order in which they were added. */
  get (key: string): readonly V[] | ReadonlySet<V> {
    const there = this.#values.get(key)
    if (there === undefined) return NONE
    return there instanceof Set ? there : [there]
  }

  clear (): void { this.#values.clear() }
}
