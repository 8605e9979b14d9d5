/** Something whose turn comes once in a round. */
export interface InTurn {
  /** Its place; given by the rota. */
  slot: number
}

/** How many that are added one after the other under one name share a place, so that what is done for them can be done at once. */
const TOGETHER = 64

/** Spreads things over the turns of a round, so that not all of them come at once. */
export class Rota<T extends InTurn> {
  readonly #slots: ReadonlyArray<Set<T>>
  #turn = 0
  #start = 0

  /** @param turns of a round */
  constructor (turns: number) {
    this.#slots = Array.from({ length: turns }, () => new Set<T>())
  }

  /** Where those of a group begin: each group elsewhere. */
  start (): number { return this.#start++ % this.#slots.length }

  /** @param start of its group @param place in the group, from 0 on */
  add (item: T, start: number, place: number): void {
    item.slot = (start + Math.floor(place / TOGETHER)) % this.#slots.length
    this.#slots[item.slot]?.add(item)
  }

  delete (item: T): void { this.#slots[item.slot]?.delete(item) }

  /** Those whose turn it is now. */
  next (): ReadonlySet<T> {
    this.#turn = (this.#turn + 1) % this.#slots.length
    return this.#slots[this.#turn] as Set<T>
  }
}
