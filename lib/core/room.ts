import { FST_HUB_INVALID_ARGUMENT } from '../errors.js'
import type { LocalHub } from './hub.js'
import { checkName, checkTtl } from './arguments.js'
import { describe } from './describe.js'
import { toData } from './payload.js'
import type { Connection, PublishOptions, PublishResult, Room, StreamPosition } from './types.js'

/** The handle of a room: holds its name only, so that empty rooms can vanish. */
export class HubRoom implements Room {
  readonly #hub: LocalHub
  readonly name: string

  constructor (hub: LocalHub, name: string) {
    this.#hub = hub
    this.name = name
  }

  get size (): number { return this.#hub.rooms.count(this.name) }

  connections (): IterableIterator<Connection> { return this.#hub.rooms.members(this.name) }

  async publish (data: unknown, options?: PublishOptions): Promise<PublishResult> {
    return await this.#hub.publish(this.name, data, options)
  }

  async presence (): Promise<ReadonlyArray<{ user: string, connections: number }>> {
    return await this.#hub.presence.list(this.name)
  }

  async setEphemeral (user: string, key: string, ttl: number): Promise<void> {
    await this.#hub.presence.setState(this.name, checkName('user', user), checkName('key', key), checkTtl('ttl', ttl))
  }

  async history (since?: StreamPosition, limit: number = 0): Promise<{ position: StreamPosition, publications: Array<{ offset: number, data: unknown }>, recovered: boolean }> {
    if (since !== undefined && (typeof since?.epoch !== 'string' || !Number.isSafeInteger(since.offset) || since.offset < 0)) {
      throw new FST_HUB_INVALID_ARGUMENT('since', '{ epoch: string, offset: a whole number of at least 0 }', describe(since))
    }
    if (!Number.isSafeInteger(limit) || limit < 0) throw new FST_HUB_INVALID_ARGUMENT('limit', 'a whole number of at least 0', describe(limit))
    const { position, publications, recovered } = await this.#hub.broker.history(this.name, since, limit)
    return { position, publications: publications.map(({ offset, payload }) => ({ offset, data: toData(payload) })), recovered }
  }
}
