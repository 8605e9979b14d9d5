import type { Redis } from 'ioredis'

/** What Redis says to those whom it does not let in, be it the first thing that it says. */
const REFUSAL = /^-([^\r\n]+)/
/** Of the answer to INFO, which ioredis waits for: it asks again until that is over. */
const LOADING = /\bloading:([01])\r/
/** Of a connection that Redis has closed while it was written to. */
const CUT = new Set(['EPIPE', 'ECONNRESET'])
/** Of what ioredis still wanted to send when the connection had been given up already. */
const LATE = /^Stream isn't writeable/

/**
 * Why a connection is not ready, where ioredis does not know or tell: Redis says no and closes it (`maxclients`, protected mode), closes it
 * without a word (TLS), or is there and has not loaded its data yet.
 */
export class Greeting {
  #isExpected = false
  #said: string | null = null
  #isLoading = false
  /** The latest error since it was connected. */
  #told: Error | null = null
  #stop: () => void = () => {}

  constructor (connection: Redis) {
    connection.on('connect', () => {
      const { stream } = connection
      const listen = (bytes: Buffer): void => { this.#heard(bytes.toString('latin1')) }
      this.#isExpected = true
      this.#said = this.#told = null
      stream.on('data', listen)
      this.#stop = () => { stream.off('data', listen) }
    })
    connection.on('ready', () => {
      this.#isExpected = this.#isLoading = false
      this.#stop()
    })
    connection.on('close', () => { this.#isLoading = false })
  }

  /** What it waits for; null: not known. */
  get wait (): Error | null { return this.#isLoading ? new Error('LOADING Redis is loading its data') : null }

  /** @param error that ioredis tells; null: it has only told that the connection was closed @returns null when there is no more to say */
  explain (error: (Error & { code?: string }) | null): Error | null {
    if (!this.#isExpected) return error
    if (error !== null && LATE.test(error.message)) return this.#told ?? error
    this.#told = error ?? this.#told
    if (this.#told !== null && !CUT.has((this.#told as { code?: string }).code ?? '')) return this.#told
    if (this.#said !== null) return this.#said === '' ? error : new Error(this.#said)
    return new Error(`it has closed the connection without an answer${error === null ? '' : ` (${error.message})`}: its maxclients are reached, it is in protected mode, or only one of the two speaks TLS`)
  }

  #heard (text: string): void {
    this.#said ??= REFUSAL.exec(text)?.[1] ?? ''
    const loading = LOADING.exec(text)
    if (loading !== null) this.#isLoading = loading[1] === '1'
  }
}
