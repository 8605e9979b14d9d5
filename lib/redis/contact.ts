/**
 * For how long this node has had answers of Redis, in Redis' own time. When Redis has stood still for long, every node looks dead
 * to the first that asks: it must not take the others for dead before they have had the time to renew what is theirs.
 */
export class Contact {
  readonly #renewal: number
  /** Redis' time in milliseconds: of the first and of the last of the answers without a break. */
  #since = Infinity
  #last = -Infinity

  /** @param renewal milliseconds within which every node renews what is its own */
  constructor (renewal: number) {
    this.#renewal = renewal
  }

  /** Whether all nodes have had the time to renew everything: what has expired is dead. */
  get isLasting (): boolean { return this.#last - this.#since >= this.#renewal }

  /** Redis' time in milliseconds after which there has been a break, should there be no answer before. 0: no answer counts. */
  get till (): number { return this.#since === Infinity ? 0 : this.#last + 2 * this.#renewal }

  /** Redis has answered. @param time of Redis, in milliseconds */
  kept (time: number): void {
    if (time > this.till) this.#since = time
    this.#last = Math.max(time, this.#last)
  }

  /** It has not. */
  lost (): void { this.#since = Infinity }
}
