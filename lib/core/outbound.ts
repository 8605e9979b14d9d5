import { MAX_FRAME_BYTES, type Frame } from '../protocol/frame.js'
import type { Batch } from './batch.js'
import type { Compression } from './compression.js'
import type { Flushable, Flusher } from './flusher.js'
import type { Transport } from './ports.js'
import { SendQueue, type QueueCounters, type QueueOwner, type QueueShared } from './send-queue.js'
import type { Overflow } from './types.js'

/** Counters of outgoing messages; see HubStats.messages. */
export interface OutboundCounters extends QueueCounters { sent: number }

/** What all connections of a hub share for sending. */
export interface OutboundShared extends QueueShared {
  readonly flusher: Flusher
  readonly compression: Compression
  readonly counters: OutboundCounters
}

/** Whose way out it is. */
export interface OutboundHost extends QueueOwner {
  readonly transport: Transport
  readonly outboundShared: OutboundShared
  /** A write was handed over and blocks the socket, or none does any more. */
  onBlocked (blocked: boolean): void
}

/** The frame goes out with this turn's write. Other results of `push` are those of SendQueue.offer. */
export const SENT = -3

/** A message of several chunks on its way: it was begun, so it has to be finished before anything else. */
interface Begun { readonly frame: Frame, next: number }

/**
 * The way out of one connection: frames of this turn are its batch, for one write at the end of the turn; while the
 * socket is blocked, frames go to the SendQueue, from which they may be evicted. Order is the order of calls.
 */
export class Outbound implements Flushable {
  readonly #host: OutboundHost
  #dirty = false
  #ended = false
  #begun: Begun | null = null
  /** Of this turn, accepted for writing: never evicted. At most MAX_FRAME_BYTES, so that it is one write. */
  #batch: Batch | null = null
  #queue: SendQueue | null = null
  #closing: { code: number, reason: string } | null = null
  /** The latest ping that waits for an answer. */
  #ping: Buffer | null = null

  constructor (host: OutboundHost) {
    this.#host = host
  }

  get queuedMessages (): number { return this.#queue?.messages ?? 0 }
  get queuedBytes (): number { return this.#queue?.bytes ?? 0 }
  get pinnedBytes (): number { return this.#queue?.pinnedBytes ?? 0 }

  /**
   * Adds a frame.
   * @param key it may take the place of a queued one with the same key
   * @param shared whether other connections may get the same frame
   * @returns SENT, the number of frames evicted for it (0 or more: it is queued), REJECTED or DISCONNECT
   */
  push (frame: Frame, overflow: Overflow, key: string | null, shared: boolean): number {
    const { limits: { maxBytes } } = this.#host.outboundShared
    if ((maxBytes === 0 || frame.bytes <= maxBytes) && this.offer(frame, shared)) return SENT
    return this.#enqueue((queue) => queue.offer(frame, overflow, key))
  }

  /** Adds a frame if the socket is not blocked, however large. @returns false when it is: nothing has happened */
  offer (frame: Frame, shared: boolean): boolean {
    // A turn that sends without end stays bounded: either the socket takes it now, or it blocks and the queue's limits hold.
    if (this.#batch !== null && this.#batch.bytes + frame.bytes > MAX_FRAME_BYTES) this.#write()
    // A socket that is not blocked has been given all that was before this: see the loop in #write.
    if (this.#host.transport.blocked) return false
    this.#append(frame, shared)
    return true
  }

  /**
   * Adds a message of hub.v1 itself, which no policy may drop.
   * @param inOrder whether it has to stay behind what is queued; else it goes ahead of that
   * @returns false when too much waits already
   */
  control (frame: Frame, inOrder: boolean): boolean {
    return this.#ended || this.offer(frame, false) || this.#enqueue((queue) => queue.pin(frame, inOrder))
  }

  /** The end of a turn. */
  flush (): void {
    this.#dirty = false
    this.#write()
  }

  /** Sends Close behind everything accepted so far: at once, or when a blocked socket has drained. */
  close (code: number, reason: string): void {
    this.#closing = { code, reason }
    this.#write()
  }

  ping (): void {
    const { transport } = this.#host
    if (this.#ended || !transport.writable) return
    const wasBlocked = transport.blocked
    transport.ping()
    if (!wasBlocked && transport.blocked) this.#host.onBlocked(true)
  }

  /**
   * Answers a ping, at once or when a blocked socket has drained: then only the latest (RFC 6455 section 5.5.3), so that a
   * peer that sends pings and does not read costs nothing.
   */
  pong (data: Buffer): void {
    const { transport } = this.#host
    if (this.#ended || !transport.writable) return
    if (transport.blocked) {
      this.#ping = Buffer.from(data)
    } else {
      transport.pong(data)
      if (transport.blocked) this.#host.onBlocked(true)
    }
  }

  /** The socket has drained. */
  drained (): void {
    this.#host.onBlocked(false)
    const ping = this.#ping
    this.#ping = null
    if (ping !== null) this.pong(ping)
    this.#write()
  }

  /** The socket is gone, or given up: what could not be written is dropped. */
  end (): void {
    if (this.#ended) return
    this.#ended = true
    this.#host.outboundShared.counters.dropped += (this.#batch?.messages ?? 0) + (this.#begun === null ? 0 : 1)
    this.#leaveBatch()
    this.#begun = null
    this.#queue?.end()
    this.#queue = null
  }

  /** Writes what the socket takes. */
  #write (): void {
    const { transport } = this.#host
    // Once the peer has begun to close, nothing more may go out: what is left counts as dropped at the end.
    if (this.#ended) return
    // Asked each time: the write that finds out that the peer has reset the connection takes nothing, and blocks nothing.
    while (transport.writable && !transport.blocked) {
      if (this.#begun !== null) this.#writeChunk(this.#begun)
      else if (this.#batch !== null) this.#writeBatch(this.#batch)
      else if (this.#queue !== null) this.#writeQueued(this.#queue)
      else return this.#settleClose()
    }
  }

  /** All that was accepted is with the socket. */
  #settleClose (): void {
    if (this.#closing === null) return
    const { code, reason } = this.#closing
    this.#closing = null
    this.#ended = true
    this.#host.transport.close(code, reason)
  }

  #enqueue<T> (add: (queue: SendQueue) => T): T {
    const queue = this.#queue ??= new SendQueue(this.#host.outboundShared, this.#host)
    const result = add(queue)
    if (queue.isEmpty) this.#queue = null
    return result
  }

  #append (frame: Frame, shared: boolean): void {
    const { flusher } = this.#host.outboundShared
    const batch = (this.#batch ?? flusher.root).append(frame, shared)
    this.#leaveBatch()
    this.#batch = batch
    batch.holders++
    if (frame.bytes > MAX_FRAME_BYTES) {
      this.#write()
    } else if (!this.#dirty) {
      this.#dirty = true
      flusher.mark(this)
    }
  }

  #leaveBatch (): void {
    if (this.#batch === null) return
    this.#batch.holders--
    this.#batch = null
  }

  #writeBatch (batch: Batch): void {
    const chunks = batch.chunks()
    this.#leaveBatch()
    // A message larger than a write is alone in its batch.
    if (batch.bytes > MAX_FRAME_BYTES) {
      this.#begun = { frame: batch.frame as Frame, next: 0 }
    } else {
      this.#host.outboundShared.counters.sent += batch.messages
      this.#handOver(chunks)
    }
  }

  #writeChunk (begun: Begun): void {
    const { chunks } = begun.frame
    const chunk = chunks[begun.next++] as Buffer
    if (begun.next === chunks.length) {
      this.#begun = null
      this.#host.outboundShared.counters.sent++
    }
    this.#handOver([chunk])
  }

  /** Up to 64 KiB of the queue, and at least one message. */
  #writeQueued (queue: SendQueue): void {
    const chunks: Buffer[] = []
    let bytes = 0
    let messages = 0
    for (let frame = queue.peek(); frame !== undefined && bytes + frame.bytes <= MAX_FRAME_BYTES; frame = queue.peek()) {
      queue.shift()
      for (const chunk of frame.chunks) chunks.push(chunk)
      bytes += frame.bytes
      messages++
    }
    const next = messages === 0 ? queue.shift() : undefined
    if (queue.isEmpty) this.#queue = null
    if (next !== undefined) {
      this.#begun = { frame: next, next: 0 }
    } else if (messages > 0) {
      this.#host.outboundShared.counters.sent += messages
      this.#handOver(chunks)
    }
  }

  #handOver (chunks: readonly Buffer[]): void {
    const { transport } = this.#host
    transport.write(chunks)
    if (transport.blocked) this.#host.onBlocked(true)
  }
}
