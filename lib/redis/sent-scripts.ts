import { isReply } from './failures.js'
import type { Argument, Asker, Reply } from './link.js'
import type { Script } from './script.js'

/** Times that a script is sent to a Redis that forgets it each time, the last one with its source. */
const MAX_TRIES = 3

/** The scripts whose source was sent over a connection: from then on their SHA-1 is enough (EVALSHA). */
export class SentScripts {
  /** By SHA-1 of a script, which time it was that its source was sent. */
  readonly #sent = new Map<string, number>()
  #sendings = 0

  /** It is another connection from now on, and may be another server. */
  clear (): void { this.#sent.clear() }

  /**
   * Runs a script. Its source is sent (EVAL) with the first run, and once more when Redis has forgotten it: by the first of
   * those that it refuses for that.
   * @throws as `call` of the asker does
   */
  async run (asker: Pick<Asker, 'call'>, { sha, source }: Script, keys: readonly string[], args: readonly Argument[]): Promise<Reply> {
    for (let tries = 1; ; tries++) {
      const sent = this.#sent.get(sha)
      const isKnown = sent !== undefined && tries < MAX_TRIES
      if (!isKnown) this.#sent.set(sha, ++this.#sendings)
      try {
        return await asker.call(isKnown ? 'EVALSHA' : 'EVAL', isKnown ? sha : source, keys.length, ...keys, ...args)
      } catch (error) {
        if (!isKnown || !isReply(error, 'NOSCRIPT')) throw error
        if (this.#sent.get(sha) === sent) this.#sent.delete(sha)
      }
    }
  }
}
