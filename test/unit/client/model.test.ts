import fc from 'fast-check'
import t from 'tap'
import type { FakeWebSocket } from '../../helpers/fake-websocket.js'
import { ClientRig, HELLO, outcome } from '../../helpers/client-rig.js'
import { settled } from '../../helpers/until.js'

/** A server with one room and a log of all that was published, which knows what it has done for a session. */
class Server {
  readonly log: unknown[] = []
  readonly #done = new Map<unknown, number>()
  #socket: FakeWebSocket | null = null
  #read = 0
  /** What the client is still to be sent. */
  #due: object[] = []

  /** Takes the client's socket, if there is a new one. */
  take (socket: FakeWebSocket): void {
    if (socket === this.#socket || socket.readyState !== 0) return
    this.#socket = socket
    this.#read = 0
    this.#due = []
    socket.accept()
    socket.receive(HELLO)
  }

  publish (data: unknown): void {
    this.log.push(data)
    this.#due.push({ op: 'message', room: 'a', offset: this.log.length, data })
  }

  /** Reads one message of the client. */
  read (): void {
    const message = this.#socket?.sent()[this.#read]
    if (message === undefined) return
    this.#read++
    const { op, id } = message
    if (op === 'resume') {
      const since = (message.rooms as { a?: { offset: number } }).a
      if (since !== undefined) this.#join(since.offset)
      this.#due.push({ op: 'reply', id, data: { session: true } })
    }
    if (op === 'join') this.#join(this.log.length, id)
    if (op === 'publish') {
      if (!this.#done.has(id)) {
        this.publish(message.data)
        this.#done.set(id, this.log.length)
      }
      this.#due.push({ op: 'reply', id, data: { epoch: 'e', offset: this.#done.get(id) } })
    }
    if (op === 'ping') this.#due.push({ op: 'pong' })
  }

  /** Sends the next message. */
  send (): void {
    const message = this.#due.shift()
    if (message !== undefined) this.#socket?.receive(message)
  }

  /** The connection breaks; what was on its way is lost, both ways. @returns how many connections that were */
  drop (): number {
    const socket = this.#socket
    this.#socket = null
    this.#due = []
    socket?.end()
    return socket === null ? 0 : 1
  }

  get isIdle (): boolean { return this.#due.length === 0 && this.#read === (this.#socket?.raw.length ?? 0) }

  #join (from: number, id?: unknown): void {
    this.#due = this.#due.filter((message) => !('room' in message))
    this.#due.push({ op: 'joined', room: 'a', epoch: 'e', offset: from, head: this.log.length, ...id === undefined ? { recovered: true } : { id } })
    this.log.slice(from).forEach((data, i) => { this.#due.push({ op: 'message', room: 'a', offset: from + i + 1, data }) })
  }
}

t.test('whatever is lost and whenever: each message once, in order, and each promise settles once', async (t) => {
  let drops = 0
  await fc.assert(fc.asyncProperty(
    fc.array(fc.constantFrom('read', 'read', 'send', 'send', 'send', 'time', 'drop', 'theirs', 'ours'), { minLength: 20, maxLength: 150, size: 'max' }),
    async (steps) => {
      const rig = new ClientRig({ outbox: { maxMessages: 1_000 } })
      const server = new Server()
      const heard: unknown[] = []
      const answers: Array<Promise<unknown>> = []
      let ours = 0
      const room = rig.client.room('a')
      room.on('message', (data) => { heard.push(data) })
      room.on('gap', () => { heard.push('gap') })
      rig.client.open()
      const joined = room.join()
      let first: number | null = null
      joined.then(({ offset }) => { first = offset }, () => {})
      const turn = async (step: string): Promise<void> => {
        if (step === 'theirs') server.publish(`theirs ${server.log.length}`)
        else if (step === 'ours') answers.push(outcome(room.publish(`ours ${ours++}`)))
        else if (step === 'read') server.read()
        else if (step === 'send') server.send()
        else if (step === 'drop') drops += server.drop()
        else if (rig.client.state.is === 'waiting') await rig.time.next()
        await settled()
        if (rig.sockets.length > 0) server.take(rig.socket)
      }
      for (const step of steps) await turn(step)
      while (rig.client.state.is !== 'open' || !server.isIdle) for (const step of ['time', 'read', 'send']) await turn(step)
      await joined
      const positions = await Promise.all(answers)
      rig.client.close()
      const mine = server.log.filter((data) => String(data).startsWith('ours'))
      return JSON.stringify(heard) === JSON.stringify(server.log.slice(first ?? NaN)) &&
        JSON.stringify(mine) === JSON.stringify(answers.map((_, i) => `ours ${i}`)) &&
        JSON.stringify(positions) === JSON.stringify(mine.map((data) => ({ value: { epoch: 'e', offset: server.log.indexOf(data) + 1 } }))) &&
        rig.time.timers === 0 && rig.errors.length === 0
    }
  ), { numRuns: 300 })
  t.ok(drops > 300, `${drops} connections were cut`)
})
