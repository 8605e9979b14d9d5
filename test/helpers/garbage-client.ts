import { once } from 'node:events'
import { decode, encode } from '@msgpack/msgpack'
import { WebSocket } from 'ws'
import type { RequestId, ServerMessage } from '../../lib/protocol/hub-v1/schema.js'
import type { CodecName, Garbage } from './garbage.js'

/** Answers to a request, of which it gets one. Without an id `joined` and `left` are news, and an `error` may be about anything. */
const ANSWERS: readonly string[] = ['reply', 'error', 'joined', 'left', 'pong']
/** Of ours: what is not UTF-8, and what is of another kind than the codec's. */
const FAIR_CODES: readonly number[] = [1003, 1007]

type Answer = ServerMessage & { readonly id?: RequestId }

export interface Tally { offered: number, answered: number, refused: number, closed: number }

/** A client that offers garbage, and looks at what it is answered. */
export class GarbageClient {
  readonly tally: Tally = { offered: 0, answered: 0, refused: 0, closed: 0 }
  /** What should not have been, in words; the first ones. */
  readonly problems: string[] = []
  readonly #url: string
  readonly #codec: CodecName
  #socket: WebSocket | null = null
  #code: number | null = null
  #heard: Answer[] = []
  #wake = (): void => {}
  #questions = 0

  constructor (url: string, codec: CodecName) {
    this.#url = url
    this.#codec = codec
  }

  /**
   * Offers all of them, each followed by a question: a server handles messages in order, so that what comes before the answer
   * to the question is about the message.
   */
  async offer (list: readonly Garbage[]): Promise<void> {
    for (let rest = list.filter(({ isFatal }) => !isFatal); rest.length > 0;) rest = rest.slice(await this.#offerAll(rest))
    for (const one of list.filter(({ isFatal }) => isFatal)) await this.#offerFatal(one, this.#isBinary)
  }

  /** The other kind of WebSocket message. */
  async offerOtherKind (bytes: Buffer): Promise<void> { await this.#offerFatal({ bytes, id: null, isFatal: true }, !this.#isBinary) }

  async close (): Promise<void> {
    this.#socket?.close(1000)
    while (this.#socket !== null && this.#code === null) await this.#news()
  }

  get #isBinary (): boolean { return this.#codec === 'hub.v1.msgpack' }

  /** @returns how many have been handled: all, or those up to the one that has ended the connection */
  async #offerAll (list: readonly Garbage[]): Promise<number> {
    const socket = await this.#open()
    const first = this.#questions
    for (const { bytes } of list) {
      socket.send(bytes, { binary: this.#isBinary })
      this.#say({ op: 'ping', id: `question ${this.#questions++}` })
    }
    for (const [i, one] of list.entries()) {
      this.tally.offered++
      const answers = await this.#until(`question ${first + i}`)
      if (answers === null) {
        this.#ended(one)
        return i + 1
      }
      this.#judge(one, answers)
    }
    return list.length
  }

  async #offerFatal (one: Garbage, binary: boolean): Promise<void> {
    const socket = await this.#open()
    this.tally.offered++
    socket.send(one.bytes, { binary })
    while (this.#code === null) await this.#news()
    this.#ended(one)
  }

  #judge (one: Garbage, answers: readonly Answer[]): void {
    const own = answers.filter(({ id }) => id !== undefined)
    if (answers.some(({ op }) => op === 'error')) this.tally.refused++
    if (one.id === undefined) return
    const expected = one.id === null ? 0 : 1
    this.tally.answered += own.length
    if (own.length === expected && own.every(({ id }) => id === one.id)) return
    // What one reader of MessagePack takes for a message may be none for another: then it has no id, and is told so.
    if (this.#isBinary && answers.length === 1 && answers[0]?.op === 'error' && answers[0].code === 'malformed') return
    this.#problem(one, `expected ${expected === 0 ? 'no answer with an id' : `one answer with the id ${JSON.stringify(one.id)}`}, got ${JSON.stringify(answers)}`)
  }

  #ended (one: Garbage): void {
    this.tally.closed++
    if (!FAIR_CODES.includes(this.#code ?? 0)) this.#problem(one, `the connection ended with ${this.#code}`)
    this.#socket = null
  }

  #problem ({ bytes }: Garbage, what: string): void {
    if (this.problems.length < 10) this.problems.push(`${this.#codec} ${bytes.toString(this.#isBinary ? 'hex' : 'utf8')}: ${what}`)
  }

  /** @returns what came before the answer to a question; null when the connection ended first */
  async #until (question: string): Promise<Answer[] | null> {
    for (;;) {
      const at = this.#heard.findIndex(({ op, id }) => op === 'pong' && id === question)
      if (at >= 0) return this.#heard.splice(0, at + 1).slice(0, -1)
      if (this.#code !== null) return null
      await this.#news()
    }
  }

  async #open (): Promise<WebSocket> {
    if (this.#socket !== null) return this.#socket
    const socket = this.#socket = new WebSocket(this.#url, this.#codec, { perMessageDeflate: false })
    this.#code = null
    this.#heard = []
    socket.on('message', (data: Buffer) => {
      const message = (this.#isBinary ? decode(data) : JSON.parse(data.toString())) as Answer
      if (ANSWERS.includes(message.op)) this.#heard.push(message)
      this.#wake()
    })
    socket.on('error', () => {})
    socket.on('close', (code) => {
      this.#code = code
      this.#wake()
    })
    await once(socket, 'open')
    this.#say({ op: 'resume' })
    return socket
  }

  #say (message: object): void { this.#socket?.send(this.#isBinary ? encode(message) : JSON.stringify(message)) }

  async #news (): Promise<void> { await new Promise<void>((resolve) => { this.#wake = resolve }) }
}
