/** Numbers that are remembered: whatever comes twice comes within less. */
const REMEMBERED = 512
/** Senders whose numbers are remembered. More nodes than that are not in one cluster at a time. */
const SENDERS = 256

/** The latest numbers that have come. */
export class RecentIds {
  readonly #ids = new Set<number>()

  /** @returns whether it had not come yet */
  add (id: number): boolean {
    if (this.#ids.has(id)) return false
    this.#ids.add(id)
    if (this.#ids.size > REMEMBERED) this.#ids.delete(first(this.#ids.values()))
    return true
  }
}

/** The same for each of several senders, of which those that have been silent for longest are forgotten. */
export class RecentIdsBySender {
  readonly #senders = new Map<string, RecentIds>()

  /** @returns whether it had not come from this sender yet */
  add (sender: string, id: number): boolean {
    const ids = this.#senders.get(sender) ?? new RecentIds()
    this.#senders.delete(sender)
    this.#senders.set(sender, ids)
    if (this.#senders.size > SENDERS) this.#senders.delete(first(this.#senders.keys()))
    return ids.add(id)
  }
}

/** Of an iterator that is not empty. */
function first<T> (values: IterableIterator<T>): T { return values.next().value as T }
