import type { Redis } from 'ioredis'

/** What Redis says to those whom it does not let in, be it the first thing that it says. */
const REFUSAL = /^-([^\r\n]+)/
/** Of a connection that Redis has closed while it was written to. */
const CUT = new Set(['EPIPE', 'ECONNRESET'])
/** Of what ioredis still wanted to send when the connection had been given up already. */
const LATE = /^Stream isn't writeable/

/**
 * Why a connection ended that was never ready, where ioredis does not know: Redis says no and closes it (`maxclients`, protected mode), or
 * closes it without a word (TLS).
 */
export class Greeting {
  #isExpected = false
  #said: string | null = null
  /** The latest error since it was connected. */
  #told: Error | null = null

  constructor (connection: Redis) {
    connection.on('connect', () => {
      this.#isExpected = true
      this.#said = this.#told = null
      connection.stream.once('data', (bytes: Buffer) => { this.#said = REFUSAL.exec(bytes.toString('latin1'))?.[1] ?? '' })
    })
    connection.on('ready', () => { this.#isExpected = false })
  }

  /** @param error that ioredis tells; null: it has only told that the connection was closed @returns null when there is no more to say */
  explain (error: (Error & { code?: string }) | null): Error | null {
    if (!this.#isExpected) return error
    if (error !== null && LATE.test(error.message)) return this.#told ?? error
    this.#told = error ?? this.#told
    if (this.#told !== null && !CUT.has((this.#told as { code?: string }).code ?? '')) return this.#told
    if (this.#said !== null) return this.#said === '' ? error : new Error(this.#said)
    return new Error(`it has closed the connection without an answer${error === null ? '' : ` (${error.message})`}: its maxclients are reached, it is in protected mode, or only one of the two speaks TLS`)
  }
}
