import { existsSync, readdirSync } from 'node:fs'
import type { AddressInfo, Socket } from 'node:net'
import Fastify, { type FastifyHttpOptions, type FastifyInstance, type RawServerDefault } from 'fastify'
import type { Test } from 'tap'
import type { LocalHub } from '../../lib/core/hub.js'
import type { Connection, Message } from '../../lib/index.js'
import fastifyHub, { type HubOptions } from '../../lib/index.js'
import { RawClient, type Handshake, type RawResponse } from './raw-client.js'
import { binaryFrame, textFrame } from './raw-frames.js'
import { until } from './until.js'

export interface LogLine { level: number, msg: string, code?: string, statusCode?: number, err?: { message: string, code?: string } }

export interface AppOptions {
  fastify?: FastifyHttpOptions<RawServerDefault>
  /** Before the hub is registered. */
  before?: (app: FastifyInstance) => unknown
  /** After the hub has been registered, before the app is ready. */
  after?: (app: FastifyInstance) => unknown
  /** Headers that the healthy connection needs to be let in. */
  healthyHeaders?: Record<string, string>
  /** What kind of messages it sends; default text. */
  healthySpeaks?: 'text' | 'binary'
}

/** Of the healthy connection: not that of the connections under test, so that limits per address do not count it. */
const HEALTHY_ADDRESS = '127.0.0.2'
const HEALTHY_USER = 'healthy'
const OPEN_FILES = '/proc/self/fd'
const ERROR_LEVEL = 50
const INFO_LEVEL = 30

/** A pino stream that keeps the lines. */
export function captureLogs (): { lines: LogLine[], options: { level: string, stream: { write: (line: string) => void } } } {
  const lines: LogLine[] = []
  return { lines, options: { level: 'info', stream: { write: (line) => { lines.push(JSON.parse(line) as LogLine) } } } }
}

/** What must be as it was when a test is over. */
interface Baseline { wheel: number, addresses: number, sockets: number, listeners: Record<string, number>, socketListeners: Record<string, number>, files: number }

/**
 * An app with a hub on 127.0.0.1, and one healthy connection in that hub whose messages must stay intact whatever a
 * test does to the others. `limits.connections` is raised by one for it.
 */
export class TestApp {
  readonly #t: Test
  readonly app: FastifyInstance
  readonly logs: LogLine[]
  readonly #clients: RawClient[] = []
  readonly #sockets = new Set<Socket>()
  #healthy: RawClient | null = null
  #say: (text: string) => Buffer = textFrame
  #baseline: Baseline | null = null

  private constructor (t: Test, app: FastifyInstance, logs: LogLine[]) {
    this.#t = t
    this.app = app
    this.logs = logs
    app.server.on('connection', (socket) => {
      this.#sockets.add(socket)
      socket.once('close', () => { this.#sockets.delete(socket) })
    })
  }

  static async start (t: Test, options: HubOptions = {}, { fastify, before, after, healthyHeaders = {}, healthySpeaks = 'text' }: AppOptions = {}): Promise<TestApp> {
    const { lines, options: logger } = captureLogs()
    const app = Fastify({ logger, ...fastify })
    const self = new TestApp(t, app, lines)
    t.teardown(async () => {
      self.disconnectAll()
      await app.close()
    })
    await before?.(app)
    await app.register(fastifyHub, withHealthy(options))
    await after?.(app)
    await app.listen({ host: '127.0.0.1', port: 0 })
    self.#healthy = await self.open({ localAddress: HEALTHY_ADDRESS })
    await self.#healthy.upgrade({ headers: { 'x-healthy': '1', ...healthyHeaders } })
    if (healthySpeaks === 'binary') self.#say = (text) => binaryFrame(Buffer.from(text))
    self.#healthy.write(self.#say('hello'))
    if (await self.#healthy.text() !== 'hello') throw new Error('the healthy connection is not')
    self.#baseline = self.#measure()
    return self
  }

  get hub (): LocalHub { return this.app.hub as LocalHub }
  get port (): number { return (this.app.server.address() as AddressInfo).port }
  /** Server sides of all open sockets. */
  get sockets (): ReadonlySet<Socket> { return this.#sockets }
  get healthy (): RawClient { return this.#healthy as RawClient }
  /** Slots that the connections under test hold. */
  get held (): number { return this.hub.admission.held - 1 }
  /** Connections under test that are in the hub. */
  get size (): number { return this.hub.size - 1 }

  /** The connections under test. */
  connections (): Connection[] { return [...this.hub.connections()].filter(({ user }) => user !== HEALTHY_USER) }

  /** Opens a TCP connection. */
  async open (options?: { host?: string, localAddress?: string }): Promise<RawClient> {
    const client = await RawClient.connect(this.port, options)
    this.#clients.push(client)
    return client
  }

  /** Opens a WebSocket. */
  async connect (handshake?: Handshake): Promise<RawClient> {
    const client = await this.open()
    await client.upgrade(handshake)
    return client
  }

  /** Sends a handshake and answers with what comes back. */
  async request (handshake?: Handshake): Promise<RawResponse> {
    const client = await this.open()
    client.sendHandshake(handshake)
    const response = await client.response(handshake?.method)
    client.destroy()
    return response
  }

  /** Log lines of refused upgrades. */
  refusals (): LogLine[] { return this.logs.filter(({ level, msg }) => level === INFO_LEVEL && msg === 'websocket upgrade refused') }

  /** Log lines at error or above. */
  errors (): LogLine[] { return this.logs.filter(({ level }) => level >= ERROR_LEVEL) }

  /** Cuts all connections, the healthy one too. */
  disconnectAll (): void { for (const client of this.#clients) client.destroy() }

  /** Cuts the connections under test. */
  disconnect (): void { for (const client of this.#clients) if (client !== this.#healthy) client.destroy() }

  /**
   * What every test of a fault asserts at its end: the process lives, the healthy connection's messages are intact, and
   * nothing is left behind.
   * @param errors lines that the test has caused at error or above
   */
  async assertBaseline ({ errors = 0 }: { errors?: number } = {}): Promise<void> {
    const t = this.#t
    const { hub, healthy } = this
    for (let i = 0; i < 3; i++) healthy.write(this.#say(`still here ${i}`))
    for (let i = 0; i < 3; i++) t.equal(await healthy.text(), `still here ${i}`, 'the healthy connection is intact')
    this.disconnect()
    const baseline = this.#baseline as Baseline
    const isBack = (): boolean => this.held === 0 && hub.admission.waiting === 0 && this.size === 0 &&
      JSON.stringify(this.#measure()) === JSON.stringify(baseline)
    await until(isBack, () => `the baseline: ${JSON.stringify({ expected: baseline, got: this.#measure(), held: this.held, waiting: hub.admission.waiting, size: this.size })}`)
    t.equal(this.errors().length, errors, `logged at error level: ${this.errors().map(({ err, msg }) => err?.message ?? msg).join(', ')}`)
  }

  #measure (): Baseline {
    const { server, websocketServer } = this.app
    const [healthy] = this.#sockets
    return {
      wheel: this.hub.wheel.size,
      addresses: this.hub.admission.addresses,
      sockets: this.#sockets.size,
      listeners: { ...listeners('server', server), ...listeners('websocketServer', websocketServer) },
      socketListeners: healthy === undefined ? {} : listeners('socket', healthy),
      files: existsSync(OPEN_FILES) ? readdirSync(OPEN_FILES).length : 0
    }
  }
}

interface Emitter { eventNames (): Array<string | symbol>, listenerCount (name: string | symbol): number }

function listeners (of: string, emitter: Emitter): Record<string, number> {
  return Object.fromEntries(emitter.eventNames().map((name) => [`${of} ${String(name)}`, emitter.listenerCount(name)]).sort())
}

/** Lets the healthy connection in, echoes what it sends, and keeps the test's handlers away from it. */
function withHealthy (options: HubOptions): HubOptions {
  const { identify, onConnect, onMessage, onDisconnect, limits } = options
  const isHealthy = ({ user }: Connection): boolean => user === HEALTHY_USER
  return {
    drain: { spread: 0, timeout: 5_000 },
    ...options,
    ...limits !== undefined && { limits: { ...limits, ...(limits.connections ?? 0) > 0 && { connections: (limits.connections as number) + 1 } } },
    identify: (request, reply) => request.headers['x-healthy'] === '1' ? { user: HEALTHY_USER } : identify === undefined ? {} : identify(request, reply),
    onConnect: (connection: Connection) => isHealthy(connection) ? undefined : onConnect?.(connection),
    onMessage: (connection: Connection, message: Message) => isHealthy(connection) ? connection.send(message) : onMessage?.(connection, message),
    onDisconnect: (connection, info) => isHealthy(connection) ? undefined : onDisconnect?.(connection, info)
  }
}
