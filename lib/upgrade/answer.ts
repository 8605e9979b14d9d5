import type { FastifyReply } from 'fastify'

type Method = (this: FastifyReply, payload?: unknown) => FastifyReply

const kAnswer = Symbol('fastify-hub.answer')

type Watched = FastifyReply & { [kAnswer]?: Answer }

/** Whether a reply has been sent: `reply.sent` is true only when asynchronous onSend hooks have ended, too. */
export class Answer {
  readonly #reply: FastifyReply
  /** As they were: another plugin may have put its own in their place. */
  readonly #send: Method
  readonly #hijack: Method
  #begun = false

  constructor (reply: FastifyReply) {
    this.#reply = reply
    this.#send = reply.send as Method
    this.#hijack = reply.hijack as Method
  }

  get begun (): boolean { return this.#begun || this.#reply.sent }

  send (payload: unknown): FastifyReply {
    this.#begun = true
    return this.#send.call(this.#reply, payload)
  }

  hijack (): FastifyReply {
    this.#begun = true
    return this.#hijack.call(this.#reply)
  }
}

/** Notices from now on that a reply is sent, or its socket taken over. Repeating it is harmless. */
export function watchAnswer (reply: FastifyReply): Answer {
  const watched = reply as Watched
  const there = watched[kAnswer]
  if (there !== undefined) return there
  const answer = watched[kAnswer] = new Answer(reply)
  watched.send = send
  watched.hijack = hijack
  return answer
}

/* Functions that all replies share. */

function send (this: FastifyReply, payload?: unknown): FastifyReply { return answerOf(this).send(payload) }

function hijack (this: FastifyReply): FastifyReply { return answerOf(this).hijack() }

function answerOf (reply: FastifyReply): Answer { return (reply as Watched)[kAnswer] as Answer }
