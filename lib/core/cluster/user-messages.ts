import { FST_HUB_OFFLINE_UNAVAILABLE } from '../../errors.js'
import type { Payload } from '../../protocol/frame.js'
import { hubCodecOf } from '../../protocol/hub-v1/codecs.js'
import type { HubConnection } from '../connection.js'
import type { OfflineShared } from '../hub-v1/offline-delivery.js'
import { keep } from '../keep.js'
import type { Directory, DirectoryEntry } from '../ports.js'
import type { Registry } from '../registry.js'
import type { SendOptions, UserSendResult } from '../types.js'
import { fetchForAll, sendToAll } from '../user-fan-out.js'
import type { FetchRequest, SendRequest } from './messages.js'
import { ANSWER_MS, type NodeCalls } from './node-calls.js'

/** What messages for users need of the hub. */
export interface UserMessagesHost {
  readonly nodeId: string
  readonly registry: Registry
  readonly directory: Directory
  readonly offline: OfflineShared | null
  readonly offlineCounters: { stored: number }
  report (error: unknown, connection: HubConnection): void
}

/** Messages for the connections of a user, on whatever node they are. */
export class UserMessages {
  readonly #host: UserMessagesHost
  readonly #calls: NodeCalls

  constructor (host: UserMessagesHost, calls: NodeCalls) {
    this.#host = host
    this.#calls = calls
  }

  /** To those of this node at once, to the others when the directory has said where they are. @throws what the directory throws, if nobody had it here */
  async send (user: string, payload: Payload, { overflow, key }: SendOptions): Promise<UserSendResult> {
    const here = sendToAll(this.#host.registry.ofUser(user), payload, { overflow, key })
    // The application's to change while the directory is asked.
    const kept = keep(payload)
    let others: DirectoryEntry[]
    try {
      others = await this.#elsewhere(user)
    } catch (error) {
      if (here === 0) throw error
      return this.#result(false, here, [], true)
    }
    return await this.#tell(others, { op: 'send', user, overflow, key }, kept, false, here)
  }

  /**
   * Stored first; connections that can acknowledge it get it from there.
   * @throws FST_HUB_OFFLINE_UNAVAILABLE, what the store throws, and what the directory throws where only connections that cannot acknowledge are known
   */
  async keep (user: string, payload: Payload, ttl: number): Promise<UserSendResult> {
    const { offline, offlineCounters, registry } = this.#host
    if (offline === null) throw new FST_HUB_OFFLINE_UNAVAILABLE('offline.maxMessages is 0, or no subprotocol of hub.v1 is spoken')
    let kept = payload
    if (![...registry.ofUser(user)].some(canAcknowledge)) {
      kept = keep(payload)
      await this.#checkElsewhere(user)
    }
    await offline.store.put(user, kept, ttl)
    offlineCounters.stored++
    const here = fetchForAll(registry.ofUser(user), (error, connection) => { this.#host.report(error, connection) })
    let others: DirectoryEntry[]
    try {
      // Asked now: whoever enters later looks into the store by itself.
      others = await this.#elsewhere(user)
    } catch {
      return this.#result(true, here, [], true)
    }
    return await this.#tell(others.filter(canAcknowledge), { op: 'fetch', user }, null, true, here)
  }

  /** Refuses a message that nobody who is there could acknowledge. None of this node can. */
  async #checkElsewhere (user: string): Promise<void> {
    const here = [...this.#host.registry.ofUser(user)]
    let others: DirectoryEntry[]
    try {
      others = await this.#elsewhere(user)
    } catch (error) {
      if (here.length > 0) throw error
      // Nobody is known: the store may do all the same.
      return
    }
    if (here.length + others.length > 0 && !others.some(canAcknowledge)) {
      throw new FST_HUB_OFFLINE_UNAVAILABLE('the connections of this user speak no subprotocol of hub.v1, and can not acknowledge')
    }
  }

  async #elsewhere (user: string): Promise<DirectoryEntry[]> {
    return (await this.#host.directory.user(user)).filter(({ nodeId }) => nodeId !== this.#host.nodeId)
  }

  async #tell (entries: readonly DirectoryEntry[], request: SendRequest | FetchRequest, payload: Payload | null, stored: boolean, here: number): Promise<UserSendResult> {
    const nodes = [...new Set(entries.map(({ nodeId }) => nodeId))]
    const { answers, complete } = await this.#calls.ask(nodes, request, payload, ANSWER_MS)
    return this.#result(stored, here, answers, !complete)
  }

  #result (stored: boolean, here: number, elsewhere: Iterable<readonly [nodeId: string, count: number]>, partial: boolean): UserSendResult {
    const reached = [[this.#host.nodeId, here] as const, ...elsewhere].filter(([, count]) => count > 0)
    return { delivered: reached.reduce((sum, [, count]) => sum + count, 0), nodes: reached.map(([nodeId]) => nodeId), stored, ...partial ? { partial: true } : {} }
  }
}

function canAcknowledge ({ subprotocol }: DirectoryEntry): boolean { return hubCodecOf(subprotocol) !== null }
