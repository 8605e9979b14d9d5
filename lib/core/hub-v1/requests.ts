import { FST_HUB_INVALID_DATA } from '../../errors.js'
import { wireErrors } from '../../protocol/hub-v1/errors.js'
import type { ClientMessage, ClientOp } from '../../protocol/hub-v1/schema.js'
import { describe } from '../describe.js'
import { checkIdentity } from '../identity.js'
import type { Awaitable, Connection, Identity, StreamPosition } from '../types.js'
import type { Endpoint } from './endpoint.js'
import type { EventRegistry } from './events.js'
import type { HubV1, HubV1Host } from './hub-v1.js'
import { RequestError } from './request-error.js'

/** What the application says to requests. */
export interface Application {
  readonly join?: ((connection: Connection, room: string) => Awaitable<boolean>) | undefined
  readonly publish?: ((connection: Connection, room: string, data: unknown) => Awaitable<boolean>) | undefined
  readonly refresh?: ((connection: Connection, data: unknown) => Awaitable<Identity | null>) | undefined
}

/** Of what a `resume` says of rooms: until then it does not wait for its peer to read. */
const MAX_WAITING_BYTES = 64 * 1024

/** A request has been answered, by a message of its own. */
export const ANSWERED = Symbol('answered')

type Handlers = { readonly [Op in ClientOp]: (endpoint: Endpoint, message: ClientMessage<Op>) => unknown }

/** What each message of a hub.v1 peer does. What a handler returns is the data of the reply. */
export class Requests {
  readonly #host: HubV1Host
  readonly #hub: HubV1
  readonly #application: Application
  readonly #events: EventRegistry
  readonly #handlers: Handlers = {
    resume: async (endpoint, message) => await this.#resume(endpoint, message),
    join: async (endpoint, { room, since, id }) => {
      await this.#join(endpoint, room, { since, id })
      return ANSWERED
    },
    leave: (endpoint, { room, id }) => {
      this.#host.rooms.leave(endpoint.connection, room)
      endpoint.left(room, id)
      return ANSWERED
    },
    publish: async (endpoint, message) => await this.#publish(endpoint, message),
    event: async (endpoint, message) => await this.#event(endpoint, message),
    ack: async ({ connection: { user }, offline }, { ids }) => {
      if (user !== null && offline !== null) await offline.acknowledge(ids)
    },
    refresh: async ({ connection }, { data }) => await this.#refresh(connection, data),
    presence: async (endpoint, message) => await this.#presence(endpoint, message),
    ping: (endpoint, { id }) => {
      endpoint.send(id === undefined ? { op: 'pong' } : { op: 'pong', id })
      return ANSWERED
    }
  }

  constructor (host: HubV1Host, hub: HubV1, application: Application, events: EventRegistry) {
    this.#host = host
    this.#hub = hub
    this.#application = application
    this.#events = events
  }

  /** @throws RequestError, and what the application throws */
  async run (endpoint: Endpoint, message: ClientMessage): Promise<unknown> {
    const handler = this.#handlers[message.op] as (endpoint: Endpoint, message: ClientMessage) => unknown
    return await handler(endpoint, message)
  }

  /** Each room is answered by itself. */
  async #resume (endpoint: Endpoint, { rooms, session }: ClientMessage<'resume'>): Promise<{ session: boolean }> {
    const { connection } = endpoint
    const positions = rooms === undefined ? [] : await this.#positions(endpoint, rooms)
    const isSame = session !== undefined && connection.live && this.#hub.sessions.resume(endpoint.session, session)
    // One after the other: the application may allow so many rooms and no more.
    for (const [room, since] of positions) {
      // Each room has the time of a handler, and so has its peer to take what the rooms before are told: that is not to wait here for thousands.
      while (connection.live && connection.blocked && connection.pinnedBytes > MAX_WAITING_BYTES) {
        await endpoint.progress()
        if (connection.live) connection.onBusy(true)
      }
      if (!connection.live) break
      connection.onBusy(true)
      try {
        await this.#join(endpoint, room, { since })
      } catch (error) {
        endpoint.error(this.#hub.describe(endpoint, error, 'join', room))
      }
    }
    return { session: isSame }
  }

  async #positions (endpoint: Endpoint, rooms: Record<string, StreamPosition>): Promise<Array<[room: string, since: StreamPosition]>> {
    const names = Object.keys(rooms)
    if (names.length === 0) return []
    // What onConnect joins without waiting for it goes on from these positions, too: it is not to be overtaken.
    await Promise.allSettled(names.map(async (room) => await this.#host.rooms.joining(endpoint.connection, room)))
    const positions = endpoint.takePositions(rooms)
    // So many joins for one message, once: or its rate would be no limit.
    if (positions === null) throw new RequestError(wireErrors.invalidMessage, 'rooms: expected in one resume of a connection, got another', { path: '/rooms' })
    return positions
  }

  async #join ({ connection }: Endpoint, room: string, request: { since?: { epoch: string, offset: number } | undefined, id?: string | number | undefined }): Promise<void> {
    // A server that has joined it has allowed it.
    const isServers = connection.rooms.has(room) || this.#host.rooms.joining(connection, room) !== undefined
    if (!isServers) await this.#allow('join', room, this.#application.join?.(connection, room))
    await this.#host.rooms.join(connection, room, request)
    if (!connection.rooms.has(room)) throw new RequestError(wireErrors.notJoined, 'the server has taken it out of the room', { room })
  }

  async #publish ({ connection }: Endpoint, { room, data }: ClientMessage<'publish'>): Promise<{ epoch?: string, offset?: number }> {
    await this.#allow('publish', room, this.#application.publish?.(connection, room, data))
    const { epoch, offset } = await this.#host.publish(room, data)
    return { ...epoch === undefined ? {} : { epoch }, ...offset === undefined ? {} : { offset } }
  }

  async #allow (what: string, room: string, answer: Awaitable<boolean> | undefined): Promise<void> {
    if (await answer !== true) throw new RequestError(wireErrors.notAllowed, `${what} is not allowed`, { room })
  }

  async #event ({ connection }: Endpoint, { event: name, data }: ClientMessage<'event'>): Promise<unknown> {
    const event = this.#events.get(name)
    if (event === undefined) throw new RequestError(wireErrors.unknownEvent, `no event ${describe(name)}`, { path: '/event' })
    const problem = event.checkData(data)
    if (problem !== null) throw new RequestError(wireErrors.invalidData, problem.message, { path: `/data${problem.path}` })
    const reply = await event.handler(connection, data)
    const wrong = event.checkReply(reply)
    // The server's own mistake: nobody else needs to know what it is.
    if (wrong !== null) throw new FST_HUB_INVALID_DATA(`the reply of the event ${describe(name)} is not as its schema has it: ${wrong.path} ${wrong.message}`)
    return reply
  }

  async #refresh (connection: Endpoint['connection'], data: unknown): Promise<{ expiresAt: number | null }> {
    const refused = new RequestError(wireErrors.notAllowed, 'the credentials are not accepted')
    const answer = await this.#application.refresh?.(connection, data)
    if (answer === undefined || answer === null) throw refused
    const identity = checkIdentity(answer, this.#host.clock.now())
    if ((identity.user ?? null) !== connection.user) throw refused
    if (identity.data !== undefined) connection.data = identity.data
    connection.refresh(identity.expiresAt ?? null)
    return { expiresAt: connection.expiresAt }
  }

  async #presence (endpoint: Endpoint, { room, watch }: ClientMessage<'presence'>): Promise<unknown> {
    const checkIn = (): void => {
      if (!endpoint.connection.live || !endpoint.connection.rooms.has(room)) throw new RequestError(wireErrors.notJoined, 'not in this room', { room })
    }
    checkIn()
    // Before the list is made: what changes meanwhile is told, and the list may have it already.
    if (watch === true) await this.#hub.presence.watch(endpoint, room)
    else if (watch === false) this.#hub.presence.unwatch(endpoint, room)
    const list = await this.#hub.presence.list(room)
    // It may have been taken out meanwhile.
    checkIn()
    return list
  }
}
