/** What became of a question to several nodes. */
export interface Answers<A> {
  /** By the id of the node. */
  readonly answers: ReadonlyMap<string, A>
  /** Whether all of them have answered, in time. */
  readonly complete: boolean
}

/** A question to several nodes, until each has answered or nobody waits any longer. */
export class Question<A> {
  readonly outcome: Promise<Answers<A>>
  readonly #waiting: Set<string>
  readonly #isAnswer: (value: unknown) => value is A
  readonly #answers = new Map<string, A>()
  #complete = true
  #resolve: (outcome: Answers<A>) => void = () => {}

  /** @param isAnswer whether a value that a node sends is an answer: it may be of another version */
  constructor (nodes: readonly string[], isAnswer: (value: unknown) => value is A) {
    this.#waiting = new Set(nodes)
    this.#isAnswer = isAnswer
    this.outcome = new Promise((resolve) => { this.#resolve = resolve })
  }

  answer (nodeId: string, value: unknown): void {
    if (!this.#isAnswer(value)) return this.miss(nodeId)
    if (!this.#waiting.delete(nodeId)) return
    this.#answers.set(nodeId, value)
    this.#settle()
  }

  /** This node will not answer. */
  miss (nodeId: string): void {
    if (!this.#waiting.delete(nodeId)) return
    this.#complete = false
    this.#settle()
  }

  /** Nobody waits any longer. */
  end (): void {
    for (const nodeId of this.#waiting) this.miss(nodeId)
  }

  #settle (): void {
    if (this.#waiting.size === 0) this.#resolve({ answers: this.#answers, complete: this.#complete })
  }
}
