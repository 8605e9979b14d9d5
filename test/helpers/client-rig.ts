import { createClient, type ClientEvents, type ClientOptions, type ClientState, type EventMap, type HubClient } from '../../lib/client/index.js'
import { ClientTime } from './client-time.js'
import { fakeWebSockets, type FakeWebSocket } from './fake-websocket.js'
import { settled } from './until.js'

export const HELLO = {
  op: 'hello', version: 1, connection: 'c1', user: 'ada', session: 's1', heartbeat: { interval: 30_000, timeout: 60_000 }, limits: { maxMessageBytes: 65_536, messagesPerSecond: 0, burst: 200 }
}

/** A client with sockets, time and chance in the hands of the test. */
export class ClientRig<Events extends EventMap = EventMap> {
  readonly time = new ClientTime()
  readonly client: HubClient<Events>
  readonly sockets: FakeWebSocket[]
  readonly broken: { isConstructor: boolean }
  readonly states: ClientState[] = []
  readonly errors: unknown[] = []
  /** What `random` answers. */
  chance = 0.5

  constructor (options: Partial<ClientOptions> = {}) {
    const { WebSocket, sockets, broken } = fakeWebSockets()
    this.sockets = sockets
    this.broken = broken
    this.client = createClient<Events>({ url: 'ws://hub', WebSocket, page: null, random: () => this.chance, clock: this.time, ...options })
    this.client.on('state', (state) => { this.states.push(state) })
    this.client.on('error', (error) => { this.errors.push(error) })
  }

  /** The latest socket. */
  get socket (): FakeWebSocket {
    const socket = this.sockets.at(-1)
    if (socket === undefined) throw new Error('there is no socket')
    return socket
  }

  /** What the client has been, one after the other. */
  get path (): string { return this.states.map(({ is }) => is).join(' ') }

  listen<Name extends keyof ClientEvents> (name: Name): Array<ClientEvents[Name]> {
    const heard: Array<ClientEvents[Name]> = []
    this.client.on(name, (...args) => { heard.push(args) })
    return heard
  }

  /** The server takes the socket of the present try, and greets. */
  async accept (hello: object = {}): Promise<FakeWebSocket> {
    await settled()
    this.socket.accept()
    this.socket.receive({ ...HELLO, ...hello })
    return this.socket
  }

  /** The server has answered all of `resume`. */
  async resumed (session = true): Promise<void> {
    const id = this.socket.sent('resume')[0]?.id
    this.socket.receive({ op: 'reply', id, data: { session } })
    await settled()
  }

  /** From closed, or from waiting, to open. */
  async connect (hello: object = {}): Promise<FakeWebSocket> {
    if (this.client.state.is === 'closed') this.client.open()
    while (this.client.state.is === 'waiting') await this.time.next()
    await this.accept(hello)
    await this.resumed()
    return this.socket
  }

  /** Joins a room as the server answers it. */
  async join (name: string, position = { epoch: 'e', offset: 0 }): Promise<ReturnType<HubClient['room']>> {
    const room = this.client.room(name)
    const joined = room.join()
    this.socket.receive({ op: 'joined', room: name, ...position, head: position.offset, id: this.socket.sent('join').at(-1)?.id })
    await joined
    return room
  }
}

/** Both ways in which a promise can settle, as a value. */
export async function outcome (promise: Promise<unknown>): Promise<unknown> {
  return await promise.then((value) => ({ value }), (error: unknown) => ({ code: (error as { code: unknown }).code }))
}
