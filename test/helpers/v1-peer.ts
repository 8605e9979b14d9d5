import type { Hub } from '../../lib/core/types.js'
import type { ClientMessage, RequestId, ServerMessage, ServerOp } from '../../lib/protocol/hub-v1/schema.js'
import { connect, type ConnectOptions, type TestClock, type TestPeer } from '../../lib/testing/index.js'

/** A peer of the tests that speaks hub.v1.json, and remembers what it was told. */
export class V1Peer {
  readonly peer: TestPeer
  readonly #clock: TestClock
  #requests = 0

  private constructor (peer: TestPeer, clock: TestClock) {
    this.peer = peer
    this.#clock = clock
  }

  static async connect (hub: Hub, clock: TestClock, options: ConnectOptions = {}): Promise<V1Peer> {
    const peer = new V1Peer(await connect(hub, { subprotocol: 'hub.v1.json', kernel: Infinity, ...options }), clock)
    await clock.settle()
    return peer
  }

  /** All that it was told, oldest first. */
  get told (): ServerMessage[] { return this.peer.messages.map((message) => message.json<ServerMessage>()) }

  /** What it was told of one kind. */
  of<Op extends ServerOp> (op: Op): Array<ServerMessage<Op>> { return this.told.filter((message): message is ServerMessage<Op> => message.op === op) }

  get session (): string { return this.of('hello')[0]?.session ?? '' }

  /** What it got of a room: data by offset; 'skip' where it was left out, and 'gap' for a gap. */
  log (room: string): unknown[] {
    return this.told.flatMap((message) => {
      if (!('room' in message) || message.room !== room) return []
      if (message.op === 'message') return [message.data]
      return message.op === 'skip' || message.op === 'gap' ? [message.op] : []
    })
  }

  /** Sends without waiting. */
  say (message: ClientMessage | object | string): void { this.peer.send(message) }

  /** Sends a request, and waits for what has its id. */
  async ask (message: Omit<ClientMessage, 'id'> & Record<string, unknown>, id: RequestId = ++this.#requests): Promise<ServerMessage> {
    const before = this.told.length
    this.say({ ...message, id })
    const find = (): ServerMessage | undefined => this.told.slice(before).findLast((told) => 'id' in told && told.id === id)
    for (let i = 0; i < 50 && find() === undefined; i++) await this.#clock.settle()
    const answer = find()
    if (answer === undefined) throw new Error(`no answer to ${JSON.stringify(message)}: ${JSON.stringify(this.told)}`)
    return answer
  }
}
