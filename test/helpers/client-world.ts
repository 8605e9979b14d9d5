import type { AddressInfo } from 'node:net'
import Fastify, { type FastifyInstance } from 'fastify'
import type { Test } from 'tap'
import { WebSocket } from 'ws'
import { createClient, jsonCodec, type ClientClock, type ClientCodec, type ClientOptions, type ClientState, type EventMap, type HubClient, type UrlRequest } from '../../lib/client/index.js'
import { msgpack } from '../../lib/client/msgpack.js'
import type { LocalHub } from '../../lib/core/hub.js'
import fastifyHub, { type HubOptions } from '../../lib/index.js'
import { Sockets } from './sockets.js'
import { TcpProxy } from './tcp-proxy.js'
import { until } from './until.js'

/** Those of the SDK. Whatever it does must not depend on which. */
export const codecs: readonly ClientCodec[] = [jsonCodec, msgpack()]

interface Query { user?: string, token?: string }

export interface WorldOptions {
  hub?: HubOptions
  /** Before the app is ready. */
  setUp?: (hub: LocalHub) => void
}

/** A Fastify app with a hub on 127.0.0.1, a network that can fail, and clients of the SDK behind it. */
export class ClientWorld {
  readonly #t: Test
  readonly #options: WorldOptions
  /** The server's ends. */
  readonly sockets = new Sockets()
  #app: FastifyInstance | null = null
  #port = 0
  #proxy: TcpProxy | null = null

  private constructor (t: Test, options: WorldOptions) {
    this.#t = t
    this.#options = options
  }

  static async start (t: Test, options: WorldOptions = {}): Promise<ClientWorld> {
    const world = new ClientWorld(t, options)
    t.teardown(async () => { await world.stop() })
    await world.listen()
    world.#proxy = await TcpProxy.start(t, () => world.#port)
    return world
  }

  get hub (): LocalHub { return this.#app?.hub as LocalHub }
  get proxy (): TcpProxy { return this.#proxy as TcpProxy }

  /** Starts a server: after `stop`, a new one on the same port, that knows nothing of the one before. */
  async listen (): Promise<void> {
    const { hub, setUp } = this.#options
    const app = this.#app = Fastify()
    app.server.on('connection', (socket) => { this.sockets.add(socket) })
    await app.register(fastifyHub, {
      subprotocols: codecs.map(({ name }) => name),
      identify: ({ query }) => {
        const { user } = query as Query
        return user === undefined ? {} : { user }
      },
      authorize: { join: () => true, publish: () => true },
      history: { size: 1_000 },
      presence: { interval: 50 },
      drain: { spread: 0, timeout: 5_000 },
      ...hub
    })
    setUp?.(app.hub as LocalHub)
    await app.listen({ host: '127.0.0.1', port: this.#port })
    this.#port = (app.server.address() as AddressInfo).port
  }

  /** As a deployment does. */
  async stop (): Promise<void> { await this.#app?.close() }

  /** Address through the proxy. */
  url (query: Query): string { return `ws://127.0.0.1:${this.proxy.port}/ws?${new URLSearchParams({ ...query })}` }

  /** Makes a client, and opens it. It ends with the test. */
  client<Events extends EventMap = EventMap> (codec: ClientCodec, query: Query = {}, options: Partial<ClientOptions> = {}): TestClient<Events> {
    const client = new TestClient<Events>({
      url: ({ token }: UrlRequest) => this.url(token === undefined ? query : { ...query, token }),
      codec,
      WebSocket,
      backoff: { min: 1, max: 1 },
      ...options
    })
    this.#t.teardown(() => { client.hub.close() })
    client.hub.open()
    return client
  }
}

/** A client of the SDK, with what it has told. */
export class TestClient<Events extends EventMap = EventMap> {
  readonly hub: HubClient<Events>
  readonly states: ClientState[] = []
  readonly errors: unknown[] = []
  readonly #timers = new Set<unknown>()

  constructor (options: ClientOptions) {
    this.hub = createClient<Events>({ clock: this.#clock(), ...options })
    this.hub.on('state', (state) => { this.states.push(state) })
    this.hub.on('error', (error) => { this.errors.push(error) })
  }

  /** Timers that it waits for: with none, and closed, nothing brings it back. */
  get timers (): number { return this.#timers.size }

  /** Connections that it has had. */
  get connections (): number { return this.states.filter(({ is }) => is === 'recovering').length }

  /** Close codes of the connections and tries that have ended. */
  get codes (): number[] { return this.states.flatMap((state) => state.is === 'waiting' || state.is === 'closed' ? [state.code] : []) }

  /** Waits until it is up to date. @param connections that it must have had */
  async opened (connections = 1): Promise<void> {
    await until(() => this.hub.state.is === 'open' && this.connections >= connections, () => `an open client: ${JSON.stringify(this.states)}`)
  }

  async closed (): Promise<ClientState> {
    await until(() => this.hub.state.is === 'closed', () => `a closed client: ${JSON.stringify(this.states)}`)
    return this.hub.state
  }

  #clock (): ClientClock {
    return {
      now: () => Date.now(),
      setTimeout: (fn, ms) => {
        const timer = setTimeout(() => {
          this.#timers.delete(timer)
          fn()
        }, ms)
        this.#timers.add(timer)
        return timer
      },
      clearTimeout: (timer) => {
        clearTimeout(timer as NodeJS.Timeout)
        this.#timers.delete(timer)
      }
    }
  }
}

/** What a promise of the SDK rejects with. */
export async function refusal (promise: Promise<unknown>): Promise<unknown> {
  return await promise.then((value) => ({ resolved: value }), (error: unknown) => error)
}
