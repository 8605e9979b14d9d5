import type { Payload } from '../../protocol/frame.js'
import type { InboxListener, Inboxes, Living, NodeMessage } from '../ports.js'
import { Timeout, type TimingWheel } from '../timing-wheel.js'
import { isThenable } from '../thenable.js'
import type { Awaitable, HubStats } from '../types.js'
import type { AnswerTo, NodeAnswers, NodeRequest } from './messages.js'
import { Question, type Answers } from './question.js'
import { RecentIdsBySender } from './recent-ids.js'

/** Milliseconds that a node has for its answer, where nobody says otherwise. */
export const ANSWER_MS = 2_000

/** What a node answers to a request; null: nothing, it does not know it. */
export type Answerer = (request: NodeRequest, payload: Payload | null) => Awaitable<NodeAnswers[keyof NodeAnswers]> | null

/** What questions between nodes need of the hub. */
export interface NodeCallsHost {
  readonly nodeId: string
  readonly wheel: TimingWheel
  report (error: unknown, connection: null): void
}

type Checks = { readonly [Op in keyof NodeAnswers]: (value: unknown) => value is NodeAnswers[Op] }

const isCount = (value: unknown): value is number => Number.isSafeInteger(value)
const CHECKS: Checks = {
  send: isCount,
  fetch: isCount,
  end: isCount,
  there: (value) => typeof value === 'boolean',
  stats: (value): value is HubStats => typeof value === 'object' && value !== null && 'nodeId' in value && typeof value.nodeId === 'string'
}

/** Questions of this node to others, with a deadline, and theirs to this one. */
export class NodeCalls implements InboxListener {
  readonly #host: NodeCallsHost
  readonly #inboxes: Inboxes
  readonly #answerer: Answerer
  readonly #open = new Map<number, Pick<Question<unknown>, 'answer' | 'end'>>()
  readonly #heard = new RecentIdsBySender()
  #asked = 0

  constructor (host: NodeCallsHost, inboxes: (nodeId: string, listener: InboxListener) => Inboxes, answerer: Answerer) {
    this.#host = host
    this.#answerer = answerer
    this.#inboxes = inboxes(host.nodeId, this)
  }

  /** The nodes that live, without this one. @throws what the inboxes throw (as a rejection) */
  async others (): Promise<Living> {
    const { ids, complete } = await this.#inboxes.nodes()
    return { ids: ids.filter((id) => id !== this.#host.nodeId), complete }
  }

  /**
   * Asks other nodes. What cannot be sent is not answered. Never rejects.
   * @param nodes each once, without this one
   * @param payload the caller's to change when this has returned
   * @param timeout milliseconds after which nobody is waited for; a hub that does not run waits for nobody
   */
  async ask<R extends NodeRequest> (nodes: readonly string[], request: R, payload: Payload | null, timeout: number): Promise<Answers<AnswerTo<R>>> {
    const op: R['op'] = request.op
    const question = new Question<AnswerTo<R>>(nodes, CHECKS[op])
    const { wheel } = this.#host
    if (nodes.length === 0 || !wheel.running) return { answers: new Map(), complete: nodes.length === 0 }
    const id = ++this.#asked
    const deadline = new Timeout(wheel, () => { question.end() })
    this.#open.set(id, question)
    deadline.start(timeout)
    for (const nodeId of nodes) {
      const missed = (): void => { question.miss(nodeId) }
      this.#inboxes.send(nodeId, { head: { kind: 'question', id, request }, payload }).then((isThere) => { if (!isThere) missed() }, missed)
    }
    const outcome = await question.outcome
    deadline.cancel()
    this.#open.delete(id)
    return outcome
  }

  onNodeMessage (from: string, { head, payload }: NodeMessage): void {
    if (head.kind === 'answer') {
      this.#open.get(head.id)?.answer(from, head.result)
    } else if (head.kind === 'question' && this.#heard.add(from, head.id)) {
      const result = this.#answer(head.request, payload)
      const send = async (result: NodeAnswers[keyof NodeAnswers]): Promise<unknown> => await this.#inboxes.send(from, { head: { kind: 'answer', id: head.id, result }, payload: null })
      // Whoever cannot be answered finds that out.
      if (result !== null) (isThenable(result) ? Promise.resolve(result).then(send) : send(result)).catch(() => {})
    }
  }

  /** Nobody is asked, or answered, any more; what is under way gets no more answers. */
  async close (): Promise<void> {
    for (const question of this.#open.values()) question.end()
    await this.#inboxes.close()
  }

  #answer (request: NodeRequest, payload: Payload | null): ReturnType<Answerer> {
    try {
      return this.#answerer(request, payload)
    } catch (error) {
      this.#host.report(error, null)
      return null
    }
  }
}
