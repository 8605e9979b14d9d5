import type { ClientMessage, RequestId, ServerMessage } from '../protocol/hub-v1/schema.js'
import { HubError, messageOf } from './errors.js'
import { LATE_MS } from './liveness.js'
import { Pace } from './pace.js'
import type { ClientClock } from './platform.js'
import { utf8Bytes } from './size.js'
import type { OutboxOptions } from './types.js'

type Encoded = string | Uint8Array<ArrayBuffer>
/** A message that has an answer, without the id, which is the outbox's to give. */
export type RequestMessage = { [Op in ClientMessage['op']]: Omit<ClientMessage<Op>, 'id'> }[ClientMessage['op']]

/** Sent and unanswered at once. The server remembers 128 answers of a session: of more, some would be done twice after a cut. */
const MAX_UNANSWERED = 100

interface Request {
  readonly id: number
  readonly data: Encoded
  /** Whether it outlives the connection. */
  readonly keep: boolean
  readonly resolve: (value: unknown) => void
  readonly reject: (error: unknown) => void
  /** Whether it has been sent, on this connection or an earlier one: it may have been done. */
  sent: boolean
  /** Whether it has been sent on this connection. */
  isUnderWay: boolean
  sentAt: number
  /** Whether it has been given more time, as its timer came late: once, because all timers of a hidden page are late. */
  isForgiven: boolean
  /** Milliseconds for the answer, of all connections together. */
  left: number
  timer: unknown
}

export interface OutboxHost {
  readonly clock: ClientClock
  readonly encode: (message: ClientMessage) => Encoded
  readonly send: (data: Encoded) => void
  readonly requestTimeout: number
}

/**
 * Requests from the call to the answer. Those to be kept wait, in order and bounded, for a connection that has resumed, and go
 * again under the same id when it breaks before the answer. Each promise settles once.
 */
export class Outbox {
  readonly #host: OutboxHost
  readonly #options: Required<OutboxOptions>
  readonly #pace: Pace
  /** Without an answer so far, in the order of the calls. */
  readonly #requests = new Map<RequestId, Request>()
  /** Those of them that end with this connection and are still to be sent: they go before the others. */
  #urgent: Request[] = []
  /** Those of them that are kept and still to be sent, in that order. */
  #waiting: Request[] = []
  /** Ids of what the server has not answered on this connection, be it that its time is over: it may still lie unread. */
  readonly #unanswered = new Set<RequestId>()
  /** How many of these there may be. */
  #maxUnanswered = MAX_UNANSWERED
  /** Whether the limits of this connection are known. */
  #isGreeted = false
  /** `open`: there is a socket; `ready`: what was kept may go, too. */
  #phase: 'closed' | 'away' | 'open' | 'ready' = 'closed'
  #lastId = 0
  #maxBytes = 0
  #paceTimer: unknown

  constructor (host: OutboxHost, options: Required<OutboxOptions>) {
    this.#host = host
    this.#options = options
    this.#pace = new Pace(host.clock)
  }

  /** Ids are of all connections of this client: the server knows by them what it has done already. */
  nextId (): number { return ++this.#lastId }

  /** @param keep whether it waits for a connection, and for the next one */
  request (message: RequestMessage, keep: boolean, id = this.nextId()): Promise<unknown> {
    return new Promise((resolve, reject) => {
      if (this.#phase === 'closed') throw new HubError('closed', 'the client is closed')
      if (this.#phase === 'away' && !keep) throw new HubError('disconnected', 'there is no connection')
      // Now, and not when it is sent: the caller may change the data by then.
      const data = this.#encode({ ...message, id } as ClientMessage)
      const request: Request = { id, data, keep, resolve, reject, sent: false, isUnderWay: false, sentAt: 0, isForgiven: false, left: this.#host.requestTimeout, timer: undefined }
      const queue = keep ? this.#waiting : this.#urgent
      this.#requests.set(id, request)
      queue.push(request)
      this.#flush()
      if (keep && this.#waiting.length > this.#options.maxMessages) this.#makeRoom(request)
    })
  }

  /** There is a client that is to be connected. */
  start (): void { this.#phase = 'away' }

  /** There is a socket: what is not kept may be sent, as soon as the server has told its limits. */
  opened (): void {
    this.#phase = 'open'
    this.#isGreeted = false
  }

  limits (limits: ServerMessage<'hello'>['limits']): void {
    this.#maxBytes = limits.maxMessageBytes === 0 ? Infinity : limits.maxMessageBytes
    this.#pace.start(limits)
    // Who has not been read for a while is read all at once: that must not be more than the server takes at once.
    this.#maxUnanswered = Math.min(MAX_UNANSWERED, this.#pace.atOnce)
    this.#isGreeted = true
    this.#flush()
  }

  /** A message that waits for nothing has been sent. */
  spend (): void { this.#pace.spend() }

  /** Bytes that one message may have; 0: not known yet. */
  get maxBytes (): number { return this.#maxBytes }

  /** The server has answered `resume`. @param session whether it knows what it has done before */
  ready (session: boolean): void {
    this.#phase = 'ready'
    if (!session && !this.#options.resend) {
      for (const request of this.#waiting.filter(({ sent }) => sent)) this.#fail(request, uncertain())
    }
    this.#flush()
  }

  /** The connection has ended. */
  lost (): void {
    this.#phase = 'away'
    this.#host.clock.clearTimeout(this.#paceTimer)
    this.#unanswered.clear()
    for (const request of [...this.#requests.values()]) {
      this.#pause(request)
      if (!request.keep) this.#fail(request, new HubError('disconnected', 'the connection ended before the answer'))
    }
    this.#waiting = [...this.#requests.values()]
  }

  /** Nothing is sent any more. */
  close (reason: string): void {
    this.#phase = 'closed'
    this.#host.clock.clearTimeout(this.#paceTimer)
    for (const request of [...this.#requests.values()]) this.#fail(request, new HubError('closed', reason))
  }

  /** The answer came. An id that is not known any more is no harm: its time was over. */
  resolve (id: RequestId, value: unknown): void {
    const request = this.#requests.get(id)
    if (request !== undefined) {
      this.#remove(request)
      request.resolve(value)
    }
    this.#answered(id)
  }

  /** @returns whether there was a request of this id */
  reject (id: RequestId, error: HubError): boolean {
    const request = this.#requests.get(id)
    if (request !== undefined) this.#fail(request, error)
    this.#answered(id)
    return request !== undefined
  }

  /** @throws HubError for what the codec has no form for */
  #encode (message: ClientMessage): Encoded {
    try {
      return this.#host.encode(message)
    } catch (cause) {
      throw new HubError('unwritable', messageOf(cause), { cause })
    }
  }

  /** One too many has to wait. @param latest the one that came last */
  #makeRoom (latest: Request): void {
    const { maxMessages, overflow } = this.#options
    const [oldest = latest] = this.#waiting
    const one = overflow === 'drop-oldest' ? oldest : latest
    this.#fail(one, one.sent ? uncertain() : new HubError('outbox_full', `no more than ${maxMessages} messages may wait to be sent`))
  }

  #flush (): void {
    this.#host.clock.clearTimeout(this.#paceTimer)
    while (this.#unanswered.size < this.#maxUnanswered) {
      const queue = this.#queue()
      const [request] = queue
      if (request === undefined) return
      const wait = this.#pace.take()
      if (wait > 0) {
        this.#paceTimer = this.#host.clock.setTimeout(() => { this.#flush() }, wait)
        return
      }
      queue.shift()
      this.#send(request)
    }
  }

  /** What the socket does not take is lost with it: the end of the connection follows, and brings it back here. */
  #send (request: Request): void {
    if (this.#maxBytes > 0 && isLarger(request.data, this.#maxBytes)) {
      this.#fail(request, new HubError('too_large', `the server takes ${this.#maxBytes} bytes at most`))
      return
    }
    request.sent = true
    this.#unanswered.add(request.id)
    this.#await(request)
    this.#host.send(request.data)
  }

  #await (request: Request): void {
    const { clock, requestTimeout } = this.#host
    request.isUnderWay = true
    request.sentAt = clock.now()
    if (requestTimeout > 0) request.timer = clock.setTimeout(() => { this.#expire(request) }, request.left)
  }

  #expire (request: Request): void {
    const isLate = this.#host.clock.now() - request.sentAt > request.left + LATE_MS
    if (!isLate || request.isForgiven) return this.#fail(request, this.#late())
    // The answer may have come meanwhile, and wait behind this timer.
    request.isForgiven = true
    this.#pause(request)
    this.#await(request)
  }

  /** The time for the answer runs on when it is sent again: it may be what ends the connections. */
  #pause (request: Request): void {
    const { clock } = this.#host
    clock.clearTimeout(request.timer)
    if (!request.isUnderWay) return
    request.isUnderWay = false
    // The clock may have been set back.
    const passed = Math.max(0, clock.now() - request.sentAt)
    // Its timer has not run: should all of it have passed, the clock was set, or the machine slept. Half of it, so that there is an end.
    request.left = passed < request.left ? request.left - passed : request.left / 2
  }

  #late (): HubError { return new HubError('timeout', `no answer within ${this.#host.requestTimeout} ms`) }

  /** What may go next. */
  #queue (): Request[] {
    if (this.#phase === 'ready') return this.#urgent.length > 0 ? this.#urgent : this.#waiting
    return this.#phase === 'open' && this.#isGreeted ? this.#urgent : []
  }

  #answered (id: RequestId): void { if (this.#unanswered.delete(id)) this.#flush() }

  #fail (request: Request, error: HubError): void {
    this.#remove(request)
    request.reject(error)
  }

  #remove (request: Request): void {
    this.#requests.delete(request.id)
    if (request.isUnderWay) {
      this.#pause(request)
    } else {
      this.#waiting = this.#waiting.filter((other) => other !== request)
      this.#urgent = this.#urgent.filter((other) => other !== request)
    }
  }
}

/** Whether it has more bytes than that. A string has up to three for each of its UTF-16 units: most need not be encoded. */
function isLarger (data: Encoded, bytes: number): boolean {
  if (typeof data !== 'string') return data.byteLength > bytes
  return data.length * 3 > bytes && (data.length > bytes || utf8Bytes(data) > bytes)
}

function uncertain (): HubError { return new HubError('uncertain', 'the connection ended before the answer') }
