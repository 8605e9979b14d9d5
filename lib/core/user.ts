import { fitReason } from '../protocol/close-reason.js'
import { disconnects } from '../protocol/disconnect.js'
import { encodeFrame } from '../protocol/frame.js'
import type { LocalHub } from './hub.js'
import { checkCloseCode, checkKey, checkOverflow } from './arguments.js'
import { toPayload } from './payload.js'
import { EVERYONE, type FanOut } from './ports.js'
import { queueKey } from './send-queue.js'
import type { Connection, KickOptions, SendOptions, User, UserSendResult } from './types.js'

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

  async send (data: unknown, options?: SendOptions): Promise<UserSendResult> {
    checkOverflow(options?.overflow)
    const key = queueKey(EVERYONE, checkKey(options?.key))
    const frame = encodeFrame(toPayload(data))
    const counts: FanOut = { sent: 0, queued: 0, dropped: 0, rejected: 0 }
    for (const connection of this.#hub.registry.ofUser(this.id)) connection.deliver(frame, options?.overflow, key, counts)
    const delivered = counts.sent + counts.queued
    return { delivered, nodes: delivered > 0 ? [this.#hub.nodeId] : [], stored: false }
  }

  async kick (reason: string = disconnects.kicked.reason, { code = disconnects.kicked.code }: KickOptions = {}): Promise<number> {
    checkCloseCode(code)
    return await this.#hub.sessions.kickUser(this.id, { code, reason: fitReason(String(reason)) })
  }
}
