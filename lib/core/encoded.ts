import type { Codec } from '../protocol/codec.js'
import type { Frame } from '../protocol/frame.js'
import { EVERYONE, type Publication } from './ports.js'

/** One publication on its way to many: encoded once for each codec that somebody speaks. */
export class Encoded {
  readonly #room: string
  readonly #publication: Pick<Publication, 'offset' | 'payload'>
  #codec: Codec | null = null
  #frame: Frame | null = null
  /** Of the other codecs: most rooms speak one. */
  #more: Map<Codec, Frame> | null = null

  /** @param room EVERYONE for what is in no room */
  constructor (room: string, publication: Pick<Publication, 'offset' | 'payload'>) {
    this.#room = room
    this.#publication = publication
  }

  frame (codec: Codec): Frame {
    if (this.#codec === codec) return this.#frame as Frame
    if (this.#codec === null) {
      this.#codec = codec
      return (this.#frame = this.#encode(codec))
    }
    let frame = (this.#more ??= new Map()).get(codec)
    if (frame === undefined) this.#more.set(codec, frame = this.#encode(codec))
    return frame
  }

  #encode (codec: Codec): Frame {
    const { offset, payload } = this.#publication
    return this.#room === EVERYONE ? codec.direct(payload) : codec.publication(this.#room, offset, payload)
  }
}
