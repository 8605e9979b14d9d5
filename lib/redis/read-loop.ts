import type { Redis } from 'ioredis'
import type { Clock, Timer } from '../core/ports.js'
import { end, type Connection } from './connections.js'
import { isReply } from './failures.js'
import type { RedisLink, Reply } from './link.js'
import type { ReaderReport, StreamListener } from './stream-reader.js'

/** Entries of one stream that are asked for at once, at most; and bytes of all streams, about: an entry may be a batch of 256 KiB. */
const COUNT = 64
const READ_BYTES = 4 * 1024 * 1024
const MAX_ENTRY_BYTES = 256 * 1024
/** What becomes of the largest entry of late with each reading. */
const DECAY = 0.9
/** Milliseconds after which Redis answers when nothing has come: by that a silent connection is told from a quiet one. */
const BLOCK_MS = 2_000
/** Milliseconds between two tries to interrupt a read that has not begun yet, and after a failure. */
const NUDGE_MS = 10
const PAUSE_MS = 100
/** Tries after which a read is taken for one that never began: of the connection, Redis knows nothing. */
const MAX_NUDGES = 100
/** Milliseconds after which the event loop looks at sockets and timers before the next entry is handled. */
const SLICE_MS = 5

/** Milliseconds until what listeners have had is acknowledged, and entries of one stream that do not wait for that. */
const ACKNOWLEDGE_MS = 100
const ACKNOWLEDGED_AT_ONCE = 256

interface Stream {
  readonly listener: StreamListener
  /** Ids of entries that the listener has had, and that are to be acknowledged. */
  had: string[]
  /** Of the last entry that the listener had. */
  last: EntryId
  /** Whether the group has entries that were sent and not acknowledged: a connection was lost. */
  isBehind: boolean
}

type EntryId = readonly [ms: number, sequence: number]

const NONE: EntryId = [0, 0]

/** Reads streams over one connection, for ever. */
export class ReadLoop {
  /** When the last answer came, in monotonic milliseconds; Infinity while nothing is asked. */
  heardAt = Infinity
  readonly #link: RedisLink
  readonly #group: string
  readonly #clock: Clock
  readonly #report: ReaderReport
  readonly #connection: Connection
  readonly #streams = new Map<string, Stream>()
  /** Id of the connection, by which a read can be interrupted. */
  #clientId: number | null = null
  /** That of the one before, which may still be there for Redis. */
  #lostId: number | null = null
  /** Counts the reads; whether one is under way. */
  #round = 0
  #isReading = false
  /** Bytes of an entry that must be reckoned with: as many as the largest of late. Unknown, when there was no reading for some time. */
  #entryBytes = MAX_ENTRY_BYTES
  /** When what was sent is asked for once more, in monotonic milliseconds: a connection that is lost may go on reading for a while. */
  #againAt = Infinity
  #sliceEnd = 0
  /** While something is to be acknowledged. */
  #acknowledging: Timer | null = null
  #isClosed = false
  #wake: (() => void) | null = null

  constructor (link: RedisLink, group: string, clock: Clock, report: ReaderReport) {
    this.#link = link
    this.#group = group
    this.#clock = clock
    this.#report = report
    this.#connection = link.another('fastify-hub-reader')
    this.#connection.on('ready', () => { this.#wake?.() })
    // What is wrong is told by the link.
    this.#connection.on('error', () => {})
    this.#run().catch(() => { /* It catches everything. */ })
  }

  /** @throws FST_HUB_BROKER_UNAVAILABLE; then it is not read (as a rejection) */
  async add (key: string, listener: StreamListener, from: '$' | '0'): Promise<void> {
    await this.#createGroup(key, from)
    if (this.#isClosed) return
    this.#streams.set(key, { listener, had: [], last: NONE, isBehind: from === '0' })
    this.#wake?.()
    // The group keeps for it what comes until then.
    this.#interrupt().catch(() => { /* Redis has gone, and the read with it. */ })
  }

  /** The listener is told nothing from now on, and the group goes. */
  remove (key: string): void {
    if (!this.#streams.delete(key)) return
    // Of a node that cannot do that, somebody else does it when the node is gone.
    this.#link.call('XGROUP', 'DESTROY', key, this.#group).catch(() => {})
  }

  reconnect (): void { this.#connection.disconnect(true) }

  async close (): Promise<void> {
    this.#isClosed = true
    this.#acknowledging?.cancel()
    for (const key of [...this.#streams.keys()]) this.remove(key)
    this.#wake?.()
    await end(this.#connection)
  }

  async #run (): Promise<void> {
    // It goes on trying by itself.
    this.#connection.connect().catch(() => {})
    while (!this.#isClosed) {
      if (this.#streams.size === 0 || this.#connection.status !== 'ready') {
        this.heardAt = Infinity
        await new Promise<void>((resolve) => { this.#wake = resolve })
        continue
      }
      try {
        this.heardAt = this.#clock.monotonic()
        await this.#introduce()
        await this.#catchUp()
        if (this.#clock.monotonic() >= this.#againAt) await this.#readAgain()
        await this.#read()
      } catch (error) {
        await this.#failed(error)
      }
    }
  }

  /** Its own id, and the end of what the connection before this one may still be reading: of a half-open one, Redis knows nothing. */
  async #introduce (): Promise<void> {
    if (this.#link.isCluster || this.#clientId !== null) return
    // A user of Redis who may not do that any more reads on all the same.
    if (this.#lostId !== null) await this.#connection.call('CLIENT', 'UNBLOCK', this.#lostId).catch((error: unknown) => { if (!isAnswer(error)) throw error })
    this.#clientId = Number(await this.#connection.call('CLIENT', 'ID'))
    this.#lostId = null
  }

  /** What was sent, but not acknowledged, comes again. */
  async #catchUp (): Promise<void> {
    for (const [key, stream] of this.#streams) {
      if (!stream.isBehind) continue
      stream.isBehind = false
      await this.#compare(key, stream)
      await this.#readPending(key)
    }
  }

  async #readAgain (): Promise<void> {
    for (const key of this.#streams.keys()) await this.#readPending(key)
    this.#againAt = Infinity
  }

  async #readPending (key: string): Promise<void> {
    for (let after: string | null = '0'; after !== null;) {
      const entries: Map<string, readonly Reply[]> = await this.#ask(['COUNT', this.#count(1), 'STREAMS', key, after])
      after = await this.#handle(key, entries.get(key) ?? [])
    }
  }

  /** A master that took over may lack what was read here, and gives ids once more: by those it is not to be told from what was had. */
  async #compare (key: string, stream: Stream): Promise<void> {
    if (stream.last === NONE) return
    let fields: readonly Reply[] = []
    try {
      fields = await (this.#connection as Redis).callBuffer('XINFO', 'STREAM', key) as readonly Reply[]
    } catch (error) {
      // That it is not there is found by reading; and not everybody may ask.
      if (!isAnswer(error)) throw error
    }
    const at = fields.findIndex((field) => String(field) === 'last-generated-id')
    const latest = at === -1 ? stream.last : parseId(String(fields[at + 1]))
    const isOlder = isAfter(stream.last, latest)
    if (isOlder) stream.last = latest
    stream.listener.onBack(isOlder)
  }

  async #read (): Promise<void> {
    const keys = [...this.#streams.keys()]
    if (keys.length === 0) return
    this.#round++
    this.#isReading = true
    let answer: Map<string, readonly Reply[]>
    try {
      answer = await this.#ask(['COUNT', this.#count(keys.length), 'BLOCK', BLOCK_MS, 'STREAMS', ...keys, ...keys.map(() => '>')])
    } finally {
      this.#isReading = false
    }
    for (const [key, entries] of answer) await this.#handle(key, entries)
  }

  /** How many entries of each of so many streams are asked for. */
  #count (streams: number): number { return Math.max(1, Math.min(COUNT, Math.floor(READ_BYTES / this.#entryBytes / streams))) }

  async #ask (args: ReadonlyArray<string | number>): Promise<Map<string, readonly Reply[]>> {
    // Of both kinds of connections: their types have no common signature.
    const reply = await (this.#connection as Redis).callBuffer('XREADGROUP', 'GROUP', this.#group, 'hub', ...args) as Reply
    this.heardAt = this.#clock.monotonic()
    this.#sliceEnd = performance.now() + SLICE_MS
    const answer = new Map<string, readonly Reply[]>()
    if (!Array.isArray(reply)) return answer
    // RESP 2 has a list of pairs, RESP 3 a map, which ioredis gives as one flat list.
    const flat = Array.isArray(reply[0]) ? reply.flat(1) as Reply[] : reply as Reply[]
    for (let i = 0; i < flat.length; i += 2) answer.set(String(flat[i]), flat[i + 1] as readonly Reply[])
    return answer
  }

  /** @returns the id of the last entry; null when there was none, or nobody listens any more */
  async #handle (key: string, entries: readonly Reply[]): Promise<string | null> {
    const stream = this.#streams.get(key)
    const ids: string[] = []
    let after: string | null = null
    let trimmed = 0
    let largest = 0
    for (const [id, fields] of entries as ReadonlyArray<readonly [Buffer, readonly Buffer[] | null]>) {
      if (performance.now() >= this.#sliceEnd) {
        if (stream !== undefined) this.#acknowledge(key, stream, ids.splice(0))
        await new Promise<void>((resolve) => { setImmediate(resolve) })
        this.#sliceEnd = performance.now() + SLICE_MS
      }
      // Released, perhaps meanwhile.
      if (stream === undefined || this.#streams.get(key) !== stream) return null
      after = id.toString('latin1')
      ids.push(after)
      const entryId = parseId(after)
      // It was had before, whether it is still there or not.
      if (!isAfter(entryId, stream.last)) continue
      stream.last = entryId
      if (fields === null || fields.length === 0) {
        trimmed++
        continue
      }
      largest = Math.max(largest, fields.reduce((bytes, field) => bytes + field.length, 0))
      this.#tell(key, stream, fields, after)
    }
    if (stream === undefined) return null
    if (largest > 0) this.#entryBytes = Math.max(largest, this.#entryBytes * DECAY)
    if (trimmed > 0) {
      this.#report.onTrimmed(key, trimmed)
      stream.listener.onLost()
    }
    this.#acknowledge(key, stream, ids)
    return after
  }

  #acknowledge (key: string, stream: Stream, ids: readonly string[]): void {
    for (const id of ids) stream.had.push(id)
    if (stream.had.length >= ACKNOWLEDGED_AT_ONCE) this.#sendAcknowledgement(key, stream)
    else if (stream.had.length > 0) this.#acknowledging ??= this.#clock.every(ACKNOWLEDGE_MS, () => { this.#acknowledgeAll() })
  }

  #acknowledgeAll (): void {
    let count = 0
    for (const [key, stream] of this.#streams) {
      if (stream.had.length === 0) continue
      count++
      this.#sendAcknowledgement(key, stream)
    }
    if (count > 0) return
    this.#acknowledging?.cancel()
    this.#acknowledging = null
  }

  /** An entry that is not acknowledged comes again after the next reconnect, and is known by its id. */
  #sendAcknowledgement (key: string, stream: Stream): void {
    this.#link.call('XACK', key, this.#group, ...stream.had).catch(() => { stream.isBehind = true })
    stream.had = []
  }

  #tell (key: string, { listener }: Stream, fields: readonly Buffer[], id: string): void {
    try {
      listener.onEntry(fields, id)
    } catch (error) {
      this.#report.onFailure(key, fields, error)
    }
  }

  async #failed (error: unknown): Promise<void> {
    if (this.#isClosed) return
    if (isReply(error, 'NOGROUP')) {
      await this.#renewGroups()
    } else {
      // UNBLOCKED is told of a deleted stream, and by a master that is none any more.
      if (isAnswer(error) && !isReply(error, 'UNBLOCKED')) this.#report.onRefused(error as Error)
      this.#lostId = this.#clientId ?? this.#lostId
      this.#clientId = null
      this.#againAt = this.#clock.monotonic() + BLOCK_MS
      this.#entryBytes = MAX_ENTRY_BYTES
      for (const stream of this.#streams.values()) stream.isBehind = true
    }
    await new Promise<void>((resolve) => { setTimeout(resolve, PAUSE_MS).unref() })
  }

  /** A stream has gone, with its group or without it: Redis has lost data, or somebody has deleted it. */
  async #renewGroups (): Promise<void> {
    for (const [key, stream] of this.#streams) {
      try {
        if (!await this.#createGroup(key, '$')) continue
      } catch {
        // Redis has gone again: the next read tells.
        return
      }
      stream.last = NONE
      stream.isBehind = false
      stream.listener.onLost()
    }
  }

  /** @returns whether it was not there */
  async #createGroup (key: string, from: '$' | '0'): Promise<boolean> {
    try {
      await this.#link.call('XGROUP', 'CREATE', key, this.#group, from, 'MKSTREAM')
      return true
    } catch (error) {
      if (isReply(error, 'BUSYGROUP')) return false
      throw error
    }
  }

  /** Ends the read that is under way: the next one has another list of streams. */
  async #interrupt (): Promise<void> {
    const round = this.#round
    for (let nudges = 0; this.#isReading && this.#round === round && this.#clientId !== null && !this.#isClosed; nudges++) {
      if (nudges === MAX_NUDGES) return this.reconnect()
      if (await this.#link.call('CLIENT', 'UNBLOCK', this.#clientId) === 1) return
      // It is on its way to Redis.
      await new Promise<void>((resolve) => { setTimeout(resolve, NUDGE_MS).unref() })
    }
  }
}

/** Whether Redis has said it, and not the connection. */
function isAnswer (error: unknown): boolean { return (error as Error).name === 'ReplyError' }

function parseId (id: string): EntryId {
  const dash = id.indexOf('-')
  return [Number(id.slice(0, dash)), Number(id.slice(dash + 1))]
}

function isAfter ([ms, sequence]: EntryId, [otherMs, otherSequence]: EntryId): boolean {
  return ms > otherMs || (ms === otherMs && sequence > otherSequence)
}
