import type { Frame } from '../protocol/frame.js'
import { MAX_FRAME_BYTES } from '../protocol/frame.js'
import type { Flushable, Flusher } from './flusher.js'
import type { Transport } from './ports.js'
import { SendQueue, type QueueLimits } from './send-queue.js'
import type { Overflow } from './types.js'

/** Counters of outgoing messages; see HubStats.messages. */
export interface OutboundCounters { sent: number, queued: number, dropped: number, rejected: number, queuedBytes: number }

/** What all connections of a hub share for sending. */
export interface OutboundShared {
  readonly flusher: Flusher
  readonly limits: QueueLimits
  readonly counters: OutboundCounters
}

/** The frame goes out with this turn's write. Other results of `push` are those of SendQueue.offer. */
export const SENT = -3

/**
 * The way out of one connection: frames of this turn wait in `pending` for its one write; while the socket is blocked,
 * frames go to the SendQueue, from which they may be evicted. Order is the order of calls.
 */
export class Outbound implements Flushable {
  readonly #shared: OutboundShared
  readonly #transport: Transport
  #dirty = false
  #ended = false
  /** Accepted for writing: never evicted. At most 64 KiB and one message, because of the early flush. */
  #pending: Frame[] | null = null
  #pendingBytes = 0
  /** Place in `pending`: the frame, and the chunk of it, to be written next. */
  #frame = 0
  #chunk = 0
  #queue: SendQueue | null = null
  #closing: { code: number, reason: string } | null = null

  constructor (shared: OutboundShared, transport: Transport) {
    this.#shared = shared
    this.#transport = transport
  }

  get queuedMessages (): number { return this.#queue?.messages ?? 0 }
  get queuedBytes (): number { return this.#queue?.bytes ?? 0 }

  /** Adds a frame. @returns SENT, the number of frames evicted for it (0 or more: it is queued), REJECTED or DISCONNECT */
  push (frame: Frame, overflow: Overflow): number {
    const { counters, limits } = this.#shared
    if (this.#queue === null && !this.#transport.blocked && (limits.maxBytes === 0 || frame.bytes <= limits.maxBytes)) {
      this.#append(frame)
      // A turn that sends without end stays bounded: either the socket takes it now, or it blocks and the queue's limits hold.
      if (this.#pendingBytes >= MAX_FRAME_BYTES) this.flush()
      else this.#mark()
      return SENT
    }
    const queue = this.#queue ??= new SendQueue(limits)
    const before = queue.bytes
    const result = queue.offer(frame, overflow)
    counters.queuedBytes += queue.bytes - before
    if (result >= 0) {
      counters.queued++
      counters.dropped += result
    } else {
      counters.rejected++
      if (queue.messages === 0) this.#queue = null
    }
    return result
  }

  /** Writes what the socket takes: at the end of a turn, and when the socket has drained. */
  flush (): void {
    this.#dirty = false
    // Once the peer has begun to close, nothing more may go out: what is left counts as dropped at the end.
    if (this.#ended || !this.#transport.writable) return
    while (!this.#transport.blocked) {
      if (this.#pending === null && !this.#refill()) {
        if (this.#closing !== null) this.#sendClose(this.#closing)
        return
      }
      this.#transport.write(this.#takeChunks())
    }
  }

  /** Sends Close behind everything accepted so far: at once, or when a blocked socket has drained. */
  close (code: number, reason: string): void {
    this.#closing = { code, reason }
    this.flush()
  }

  /** The socket is gone: what could not be written is dropped. */
  end (): void {
    if (this.#ended) return
    this.#ended = true
    const { counters } = this.#shared
    const unwritten = this.#pending === null ? 0 : this.#pending.length - this.#frame
    counters.dropped += unwritten + this.queuedMessages
    counters.queuedBytes -= this.queuedBytes
    this.#pending = null
    this.#queue = null
  }

  #sendClose ({ code, reason }: { code: number, reason: string }): void {
    this.#closing = null
    this.#ended = true
    this.#transport.close(code, reason)
  }

  #append (frame: Frame): void {
    (this.#pending ??= []).push(frame)
    this.#pendingBytes += frame.bytes
  }

  #mark (): void {
    if (this.#dirty) return
    this.#dirty = true
    this.#shared.flusher.mark(this)
  }

  /** Moves up to 64 KiB from the queue to `pending`. */
  #refill (): boolean {
    const queue = this.#queue
    if (queue === null) return false
    const { counters } = this.#shared
    const before = queue.bytes
    while (this.#pendingBytes < MAX_FRAME_BYTES) {
      const frame = queue.shift()
      if (frame === undefined) break
      this.#append(frame)
    }
    counters.queuedBytes -= before - queue.bytes
    if (queue.messages === 0) this.#queue = null
    return true
  }

  /** The next chunks of `pending`, at most 64 KiB of them, and at least one. */
  #takeChunks (): Buffer[] {
    const chunks: Buffer[] = []
    let bytes = 0
    const pending = this.#pending as Frame[]
    for (; this.#frame < pending.length; this.#frame++, this.#chunk = 0) {
      const frame = pending[this.#frame] as Frame
      for (; this.#chunk < frame.chunks.length; this.#chunk++) {
        const chunk = frame.chunks[this.#chunk] as Buffer
        if (bytes > 0 && bytes + chunk.length > MAX_FRAME_BYTES) {
          this.#pendingBytes -= bytes
          return chunks
        }
        chunks.push(chunk)
        bytes += chunk.length
      }
      this.#shared.counters.sent++
    }
    this.#pending = null
    this.#pendingBytes = 0
    this.#frame = 0
    return chunks
  }
}
