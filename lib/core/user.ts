import type { LocalHub } from './hub.js'
import { checkKey, checkOptions, checkOverflow, checkTtl, toKick } from './arguments.js'
import { toPayload } from './payload.js'
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

  async send (data: unknown, options: UserSendOptions = {}): Promise<UserSendResult> {
    const { overflow, key, offline } = checkOptions(options, ['overflow', 'key', 'offline'])
    checkOverflow(overflow)
    checkKey(key)
    const payload = toPayload(data)
    const { cluster: { users }, offlineTtl } = this.#hub
    if (offline === undefined) return await users.send(this.id, payload, { overflow, key })
    const { ttl = offlineTtl } = checkOptions(offline, ['ttl'], 'offline')
    return await users.keep(this.id, payload, checkTtl('offline.ttl', ttl))
  }

  async kick (reason?: string, options?: KickOptions): Promise<number> {
    return await this.#hub.sessions.kickUser(this.id, toKick(reason, options))
  }
}
