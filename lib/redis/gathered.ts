interface Waiting<Question, Answer> {
  readonly question: Question
  readonly resolve: (answer: Answer) => void
  readonly reject: (error: unknown) => void
}

/** Questions of one turn of the event loop, asked together: so many of one partition in one script. */
export class Gathered<Question, Answer> {
  readonly #defer: (fn: () => void) => void
  readonly #atOnce: number
  readonly #ask: (partition: number, questions: readonly Question[]) => Promise<readonly Answer[]>
  #waiting = new Map<number, Array<Waiting<Question, Answer>>>()

  /** @param defer says when they are asked @param ask answers them in their order */
  constructor (defer: (fn: () => void) => void, atOnce: number, ask: (partition: number, questions: readonly Question[]) => Promise<readonly Answer[]>) {
    this.#defer = defer
    this.#atOnce = atOnce
    this.#ask = ask
  }

  /** @throws what asking them together throws (as a rejection) */
  async ask (partition: number, question: Question): Promise<Answer> {
    return await new Promise<Answer>((resolve, reject) => {
      if (this.#waiting.size === 0) this.#defer(() => { this.flush() })
      const others = this.#waiting.get(partition)
      if (others === undefined) this.#waiting.set(partition, [{ question, resolve, reject }])
      else others.push({ question, resolve, reject })
    })
  }

  /** Does not wait for the end of the turn. */
  flush (): void {
    const waiting = this.#waiting
    this.#waiting = new Map()
    for (const [partition, list] of waiting) {
      for (let i = 0; i < list.length; i += this.#atOnce) this.#send(partition, list.slice(i, i + this.#atOnce))
    }
  }

  #send (partition: number, asked: ReadonlyArray<Waiting<Question, Answer>>): void {
    this.#ask(partition, asked.map(({ question }) => question)).then((answers) => {
      for (const [i, { resolve }] of asked.entries()) resolve(answers[i] as Answer)
    }, (error: unknown) => {
      for (const { reject } of asked) reject(error)
    })
  }
}
