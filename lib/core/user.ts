import { FST_HUB_OFFLINE_UNAVAILABLE } from '../errors.js'
import { fitReason } from '../protocol/close-reason.js'
import { disconnects } from '../protocol/disconnect.js'
import type { Payload } from '../protocol/frame.js'
import type { LocalHub } from './hub.js'
import { checkCloseCode, checkKey, checkOverflow, checkTtl } from './arguments.js'
import { Encoded } from './encoded.js'
import { noFanOut } from './fan-out.js'
import { toPayload } from './payload.js'
import { EVERYONE } from './ports.js'
import { queueKey } from './send-queue.js'
import type { Connection, KickOptions, User, UserSendOptions, UserSendResult } from './types.js'

/** The handle of a user: holds its id only. */
export class HubUser implements User {
  readonly #hub: LocalHub
  readonly id: string

  constructor (hub: LocalHub, id: string) {
    this.#hub = hub
    this.id = id
  }

  connections (): IterableIterator<Connection> { return this.#hub.registry.ofUser(this.id).values() }

  async online (): Promise<boolean> {
    return (await this.#hub.directory.user(this.id)).length > 0
  }

  async send (data: unknown, options?: UserSendOptions): Promise<UserSendResult> {
    checkOverflow(options?.overflow)
    const key = queueKey(EVERYONE, checkKey(options?.key))
    const payload = toPayload(data)
    if (options?.offline !== undefined) return await this.#keep(payload, options.offline)
    const encoded = new Encoded(EVERYONE, { offset: 0, payload })
    const counts = noFanOut()
    for (const connection of this.#hub.registry.ofUser(this.id)) connection.deliver(encoded.frame(connection.codec), options?.overflow, key, counts)
    const delivered = counts.sent + counts.queued
    return { delivered, nodes: delivered > 0 ? [this.#hub.nodeId] : [], stored: false }
  }

  /** Stored first; connections that can acknowledge it get it from there. */
  async #keep (payload: Payload, { ttl = this.#hub.offlineTtl }: NonNullable<UserSendOptions['offline']>): Promise<UserSendResult> {
    const { offline, offlineCounters, registry, nodeId } = this.#hub
    checkTtl('offline.ttl', ttl)
    if (offline === null) throw new FST_HUB_OFFLINE_UNAVAILABLE('offline.maxMessages is 0, or no subprotocol of hub.v1 is spoken')
    const here = [...registry.ofUser(this.id)]
    if (here.length > 0 && here.every(({ endpoint }) => endpoint === null)) throw new FST_HUB_OFFLINE_UNAVAILABLE('the connections of this user speak no subprotocol of hub.v1, and can not acknowledge')
    await offline.store.put(this.id, payload, ttl)
    offlineCounters.stored++
    let delivered = 0
    for (const { endpoint, live } of registry.ofUser(this.id)) {
      if (endpoint === null || !live) continue
      delivered++
      endpoint.offline?.deliver().catch((error: unknown) => { this.#hub.report(error, endpoint.connection) })
    }
    return { delivered, nodes: delivered > 0 ? [nodeId] : [], stored: true }
  }

  async kick (reason: string = disconnects.kicked.reason, { code = disconnects.kicked.code }: KickOptions = {}): Promise<number> {
    checkCloseCode(code)
    return await this.#hub.sessions.kickUser(this.id, { code, reason: fitReason(String(reason)) })
  }
}
