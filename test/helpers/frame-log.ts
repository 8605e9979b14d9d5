import type { FrameListener, FrameParser } from '../../lib/protocol/frame-parser.js'
import type { Unfinished } from '../../lib/protocol/unfinished.js'

/** A connection as far as the parser knows one. What it reads is overwritten afterwards, as by the read of another. */
export class FrameLog implements FrameListener {
  readonly #parser: FrameParser
  readonly #seen: Array<[kind: string, data: Buffer]> = []
  unfinished: Unfinished | null = null
  deaf = false
  error: Error | null = null
  code = 0

  constructor (parser: FrameParser) {
    this.#parser = parser
  }

  /** As late as can be: nothing may change any more. */
  get seen (): string[] { return this.#seen.map(([kind, data]) => `${kind} ${data.toString()}`) }

  onMessage (data: Buffer, isBinary: boolean): void { this.#seen.push([isBinary ? 'binary' : 'text', data]) }
  onControl (kind: string, data: Buffer): void { this.#seen.push([kind, data]) }

  onPeerClose (code: number, reason: Buffer): void {
    this.#seen.push([`close ${code}`, reason])
    this.deaf = true
  }

  onInvalid (error: Error, code: number): void {
    this.deaf = true
    this.error = error
    this.code = code
  }

  read (chunk: Buffer): void {
    // Behind it is what another has read before.
    const memory = Buffer.concat([chunk, Buffer.alloc(20, 0xee)])
    this.unfinished = this.#parser.parse(memory, chunk.length, this.unfinished, this)
    memory.fill(0xee)
  }
}
