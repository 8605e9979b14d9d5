/** The same numbers for the same seed, on every machine (mulberry32). What is timed by the machine differs all the same. */
export class Random {
  #state

  constructor (seed) { this.#state = seed | 0 }

  /** From 0 to 1, without 1. */
  next () {
    this.#state = (this.#state + 0x6d2b79f5) | 0
    let mixed = Math.imul(this.#state ^ (this.#state >>> 15), 1 | this.#state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }

  /** A whole number, both ends included. */
  between (from, to) { return from + Math.floor(this.next() * (to - from + 1)) }

  pick (list) { return list[Math.floor(this.next() * list.length)] }

  chance (share) { return this.next() < share }

  /** So many of a list, in its order. */
  some (list, count) {
    const chosen = new Set()
    while (chosen.size < Math.min(count, list.length)) chosen.add(this.pick(list))
    return list.filter((one) => chosen.has(one))
  }
}
