import type { HubConnection } from './connection.js'
import { Encoded } from './encoded.js'
import type { Endpoint } from './hub-v1/endpoint.js'
import type { LogQuestions } from './log-questions.js'
import type { Clock, Publication } from './ports.js'
import type { StreamPosition } from './types.js'

/** Publications that one connection gets in one go, beside as many as have come meanwhile: the others have their turn, too. */
const AT_ONCE = 32
/** Milliseconds after which the event loop looks at sockets and timers before recovery goes on. */
const SLICE_MS = 5

/** A room as recovery sees it. */
export interface RecoveringRoom {
  readonly name: string
  /** Empty until the broker has answered. */
  readonly epoch: string
  /** Of the last publication that this node has had. */
  readonly offset: number
}

/** What becomes of cursors. */
export interface RecoveryListener {
  /** The connection has had all that the node has: from this call on it is a member like the others. */
  onCaughtUp (cursor: Cursor): void
  /** What it would get next is not kept any more. */
  onLost (cursor: Cursor): void
  /** The broker could not be asked, or a publication not be encoded. */
  onFailure (cursor: Cursor, error: unknown): void
}

/** The way of one hub.v1 connection through a room's log, up to where the others are. */
export class Cursor {
  readonly connection: HubConnection
  readonly endpoint: Endpoint
  readonly room: RecoveringRoom
  epoch: string
  /** Of the last publication that it has had. */
  offset: number
  /** What comes next, as far as the broker has been asked; shared with others. */
  publications: readonly Publication[]
  next = 0
  /** Nothing more is to be done for it. */
  ended = false
  /** The offset that the room had when it was last looked at. */
  seen: number

  constructor (connection: HubConnection, endpoint: Endpoint, room: RecoveringRoom, offset: number, publications: readonly Publication[] = []) {
    this.connection = connection
    this.endpoint = endpoint
    this.room = room
    this.epoch = room.epoch
    this.offset = offset
    this.seen = room.offset
    this.publications = publications
  }

  /** Lets go of what comes next: the broker is asked for it anew. */
  forget (): void {
    this.publications = []
    this.next = 0
  }
}

/** Moves cursors: in slices of the event loop's time, and never faster than a socket takes it. */
export class Recovery {
  readonly #clock: Clock
  readonly #questions: LogQuestions
  readonly #listener: RecoveryListener
  readonly #run = (): void => { this.#runSlice() }
  #ready: Cursor[] = []
  /** The first of them that has not been looked at in this round. */
  #at = 0
  /** Frames of a room's publications, as long as somebody in it is behind and the log has them. */
  readonly #encoded = new Map<string, WeakMap<Publication, Encoded>>()
  /** Cursors that are further than their room: the node hears of those publications later than the log. */
  readonly #ahead = new Map<string, Set<Cursor>>()

  constructor (clock: Clock, questions: LogQuestions, listener: RecoveryListener) {
    this.#clock = clock
    this.#questions = questions
    this.#listener = listener
  }

  /** Looks at a cursor at the end of this turn: it is new, or what it waited for has happened. */
  go (cursor: Cursor): void {
    if (this.#ready.length === 0) this.#clock.defer(this.#run)
    this.#ready.push(cursor)
  }

  /** The node has had publications of a room. */
  onPublications (room: string): void {
    const ahead = this.#ahead.get(room)
    if (ahead === undefined) return
    this.#ahead.delete(room)
    for (const cursor of ahead) this.go(cursor)
  }

  /** It moves no more. */
  end (cursor: Cursor): void {
    cursor.ended = true
    cursor.endpoint.parked?.delete(cursor)
    this.#ahead.get(cursor.room.name)?.delete(cursor)
  }

  /** Nobody in this room is behind any more. */
  forget (room: string): void {
    this.#encoded.delete(room)
    this.#ahead.delete(room)
  }

  #runSlice (): void {
    const last = this.#ready.length
    const end = this.#clock.monotonic() + SLICE_MS
    while (this.#at < last) {
      const cursor = this.#ready[this.#at++] as Cursor
      try {
        if (!cursor.ended) this.#move(cursor)
      } catch (error) {
        this.#listener.onFailure(cursor, error)
      }
      if (this.#clock.monotonic() >= end) break
    }
    this.#ready = this.#ready.slice(this.#at)
    this.#at = 0
    if (this.#ready.length > 0) this.#clock.defer(this.#run)
  }

  #move (cursor: Cursor): void {
    const { connection, endpoint, room } = cursor
    let left = AT_ONCE + room.offset - cursor.seen
    cursor.seen = room.offset
    while (connection.live) {
      const publication = cursor.publications[cursor.next]
      if (publication === undefined) return this.#look(cursor)
      // A room that is busier than this would never be reached: what has come meanwhile goes on top.
      if (left-- <= 0) return this.go(cursor)
      const { offset, options: { except } } = publication
      const isExcepted = except?.has(connection.id) === true
      if (!connection.offer(isExcepted ? endpoint.skip(room.name, offset) : this.#encode(room.name, publication).frame(connection.codec))) {
        // It may be long until then: the log need not be kept for it.
        cursor.forget()
        ;(endpoint.parked ??= new Set()).add(cursor)
        return
      }
      cursor.offset = offset
      cursor.next++
    }
  }

  /** It has had all that it knew of. */
  #look (cursor: Cursor): void {
    const { room } = cursor
    cursor.forget()
    if (cursor.epoch !== room.epoch) return this.#listener.onLost(cursor)
    if (cursor.offset === room.offset) return this.#listener.onCaughtUp(cursor)
    if (cursor.offset < room.offset) return this.#ask(cursor)
    const ahead = this.#ahead.get(room.name)
    if (ahead === undefined) this.#ahead.set(room.name, new Set([cursor]))
    else ahead.add(cursor)
  }

  #ask (cursor: Cursor): void {
    const { room, epoch, offset } = cursor
    this.#questions.ask(room, { epoch, offset }).then(
      ({ publications, recovered, position }) => {
        if (cursor.ended) return
        // An answer that others had asked for may be of before: what is missing is asked for once more.
        const isOld = recovered && publications.length === 0 && position.epoch === epoch && position.offset === offset
        if (!isOld && (!recovered || publications.length === 0)) return this.#listener.onLost(cursor)
        cursor.publications = publications
        this.go(cursor)
      },
      (error: unknown) => { if (!cursor.ended) this.#listener.onFailure(cursor, error) }
    )
  }

  #encode (room: string, publication: Publication): Encoded {
    let publications = this.#encoded.get(room)
    if (publications === undefined) this.#encoded.set(room, publications = new WeakMap())
    let encoded = publications.get(publication)
    if (encoded === undefined) publications.set(publication, encoded = new Encoded(room, publication))
    return encoded
  }
}

export function samePosition (a: StreamPosition, b: StreamPosition): boolean { return a.epoch === b.epoch && a.offset === b.offset }
