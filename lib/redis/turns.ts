/** One turn of the event loop for each of those who wait, so that what all of them do is not done at once. */
export class Turns {
  readonly #waiting: Array<() => void> = []

  /** Resolves in a turn in which nobody else's does. */
  async next (): Promise<void> {
    await new Promise<void>((resolve) => { if (this.#waiting.push(resolve) === 1) this.#schedule() })
  }

  #schedule (): void {
    setImmediate(() => {
      this.#waiting.shift()?.()
      if (this.#waiting.length > 0) this.#schedule()
    })
  }
}
