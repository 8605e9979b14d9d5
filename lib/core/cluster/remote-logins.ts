import type { Ending } from '../../protocol/disconnect.js'
import type { DirectoryEntry, Removal } from '../ports.js'
import { ANSWER_MS, type NodeCalls } from './node-calls.js'

/** Why logins end, and which of those that the directory has removed, and of those that it had before them. */
export interface LoginEnd extends Ending {
  /** Only logins of this device (null: those without one); undefined: all. */
  readonly device: string | null | undefined
  /** Whether a login is the cause. */
  readonly isLogin: boolean
}

/** Logins on other nodes that a step of the directory has ended. */
export class RemoteLogins {
  readonly #nodeId: string
  readonly #calls: NodeCalls

  constructor (nodeId: string, calls: NodeCalls) {
    this.#nodeId = nodeId
    this.#calls = calls
  }

  /** @returns whether its client is there, as far as its node says so in time */
  async isThere ({ nodeId, id }: DirectoryEntry): Promise<boolean> {
    const { answers } = await this.#calls.ask([nodeId], { op: 'there', id }, null, ANSWER_MS)
    return answers.get(nodeId) ?? false
  }

  /**
   * Tells their nodes. Resolves when each has closed what it has of them, or has not answered in time: it is told when it can be
   * reached again, and finds out by itself when that takes too long.
   * @returns how many were ended for this, as far as their nodes say so; null when there are none elsewhere
   */
  end (user: string, { fence, removed }: Removal, { code, reason, device, isLogin }: LoginEnd): Promise<number> | null {
    const elsewhere = removed.filter(({ nodeId }) => nodeId !== this.#nodeId)
    if (elsewhere.length === 0) return null
    const nodes = [...new Set(elsewhere.map(({ nodeId }) => nodeId))]
    return this.#calls.ask(nodes, { op: 'end', user, fence, ids: elsewhere.map(({ id }) => id), code, reason, device, isLogin }, null, ANSWER_MS)
      .then(({ answers }) => [...answers.values()].reduce((sum, ended) => sum + ended, 0))
  }
}
