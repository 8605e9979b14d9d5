import type { Frame } from '../protocol/frame.js'

/**
 * A sequence of frames for one write. Batches of a turn form a tree below one root: who appends the same frame to the
 * same batch gets the same child, so that all connections with the same messages end at one node, and its bytes are put
 * together once for all of them. A batch never changes; the root is renewed each turn, so nothing of it is kept.
 */
export class Batch {
  readonly #previous: Batch | null
  /** The last one; null in the root. */
  readonly frame: Frame | null
  readonly messages: number
  /** Bytes on the wire. */
  readonly bytes: number
  /** Connections that will write exactly this batch. */
  holders = 0
  /** The child for a frame that goes to many. Most batches have one; the others are in `#more`. */
  #child: Batch | null = null
  #more: Map<Frame, Batch> | null = null
  #joined: readonly Buffer[] | null = null

  private constructor (previous: Batch | null, frame: Frame | null) {
    this.#previous = previous
    this.frame = frame
    this.messages = previous === null ? 0 : previous.messages + 1
    this.bytes = (previous?.bytes ?? 0) + (frame?.bytes ?? 0)
  }

  static root (): Batch { return new Batch(null, null) }

  /**
   * The batch with one more frame.
   * @param shared whether other connections may get the same frame; else there is nothing to be found again
   */
  append (frame: Frame, shared: boolean): Batch {
    if (!shared) return new Batch(this, frame)
    if (this.#child === null) return (this.#child = new Batch(this, frame))
    if (this.#child.frame === frame) return this.#child
    let child = (this.#more ??= new Map()).get(frame)
    if (child === undefined) this.#more.set(frame, child = new Batch(this, frame))
    return child
  }

  /** What is to be written: one buffer where several connections share it, else the frames as they are. */
  chunks (): readonly Buffer[] {
    if (this.#joined !== null) return this.#joined
    if (this.messages === 1) return (this.frame as Frame).chunks
    const chunks = this.#collect()
    if (this.holders < 2) return chunks
    this.#joined = [Buffer.concat(chunks, this.bytes)]
    return this.#joined
  }

  #collect (): Buffer[] {
    const frames = new Array<Frame>(this.messages)
    for (let batch: Batch = this; batch.#previous !== null; batch = batch.#previous) frames[batch.messages - 1] = batch.frame as Frame
    const chunks: Buffer[] = []
    for (const frame of frames) for (const chunk of frame.chunks) chunks.push(chunk)
    return chunks
  }
}
