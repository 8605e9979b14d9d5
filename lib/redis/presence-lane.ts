import { randomInt } from 'node:crypto'
import type { Contact } from './contact.js'
import type { Keys } from './keys.js'
import type { RedisLink, Reply } from './link.js'
import { Script } from './script.js'
import type { Turns } from './turns.js'

/** What one step of lua/presence-change.lua does: see there. */
export type StepKind = 'enter' | 'leave' | 'state' | 'watch' | 'unwatch'

export interface Step {
  readonly kind: StepKind
  readonly room: string
  /** A packed pair, where the kind has one. */
  readonly pair?: string
  /** Milliseconds, where the kind has them. */
  readonly ttl?: number
}

/** Something that a lane brings to Redis when it comes to it: a renewal, or what has failed before. */
export interface Due {
  /** What to do about it, as things are when it is its turn; null: nothing. */
  step (): Step | null
  /** It has been done. @param changed what the script says of it */
  done (changed: boolean): void
  /** It may have been done or not, and is due again. */
  failed (): void
}

/** What all lanes of a node have in common. */
export interface LaneOptions {
  readonly nodeId: string
  /** Milliseconds after which Redis takes a node for dead, or forgets that a room is watched, when that was not renewed. */
  readonly ttl: number
  /** Milliseconds for which Redis keeps a room that nobody has entered again. */
  readonly kept: number
  /** Entries of the bus, about as many as are kept. */
  readonly busLength: number
  readonly contact: Contact
  /** Of the lanes of a node one at a time makes a batch of what is due. */
  readonly turns: Turns
}

/** Steps in one call of the script: it takes milliseconds, and all of Redis waits. */
const BATCH = 256
/** Of them at most so many calls while something is due: however many calls there are, what lives is renewed. */
const CALLS = 192
/** Of what the dead have left, so much is removed with them. An entry of the bus has it all: a call in Lua has some thousand arguments at most. */
const REMOVED = 500

/** Numbers that Redis has as a score are exact up to 53 bits. */
const MAX_LIFE = 2 ** 48 - 1

const CHANGE = new Script('presence-change')
const LETTERS: Record<StepKind, string> = { enter: 'e', leave: 'l', state: 's', watch: 'w', unwatch: 'u' }

interface Flying {
  readonly step: Step
  readonly done: (changed: boolean) => void
  readonly fail: (error: unknown) => void
  /** Where it came from; null: from a call. */
  readonly due: Due | null
}

/**
 * What this node changes in the rooms of one partition, in the order of the calls: one batch is under way at a time, and what
 * comes meanwhile is the next. So nothing overtakes, not even where Redis has to be given the script again.
 *
 * Who enters is there for as long as this node lives: Redis has a number for that, which is renewed. When Redis finds that it is over, be
 * it that nobody has renewed it or that the data are lost, the node goes on under another one.
 */
export class PresenceLane {
  readonly #link: Pick<RedisLink, 'run'>
  readonly #keys: Keys
  readonly #partition: number
  readonly #options: LaneOptions
  readonly #enterAgain: (lane: PresenceLane) => void
  #life = newLife()
  /** Whether Redis has said that it has begun, and whether it is due to be renewed. */
  #isAlive = false
  #isLifeDue = false
  #calls: Flying[] = []
  readonly #due = new Set<Due>()
  /** Until nothing is left that can be done. */
  #work: Promise<void> | null = null
  #latest: Promise<void> = Promise.resolve()

  /** @param enterAgain has all who have entered due again */
  constructor (link: Pick<RedisLink, 'run'>, keys: Keys, partition: number, options: LaneOptions, enterAgain: (lane: PresenceLane) => void) {
    this.#link = link
    this.#keys = keys
    this.#partition = partition
    this.#options = options
    this.#enterAgain = enterAgain
  }

  /**
   * Does a step. When a batch fails, the steps that wait behind it fail as well: they would have their own wait for nothing.
   * @returns whether it has changed something
   * @throws FST_HUB_BROKER_UNAVAILABLE (as a rejection): then it may have been done
   */
  push (step: Step): Promise<boolean> {
    const call = new Promise<boolean>((resolve, reject) => { this.#calls.push({ step, done: resolve, fail: reject, due: null }) })
    this.#latest = call.then(() => {}, () => {})
    this.kick()
    return call
  }

  /** From now on it is due, until it has been done. */
  add (due: Due): void { this.#due.add(due) }

  remove (due: Due): void { this.#due.delete(due) }

  has (due: Due): boolean { return this.#due.has(due) }

  /** Does what is due, unless it is at it already. */
  kick (): void {
    if (this.#calls.length > 0 || this.#due.size > 0 || this.#isLifeDue) this.#work ??= this.#run()
  }

  /**
   * Goes on under another number, because Redis may have lost something: when all have entered again, who is still there and should not
   * be goes with the old number, as soon as the time of that is over.
   */
  beginAgain (): void {
    this.#life = newLife()
    this.#isAlive = this.#isLifeDue = false
  }

  /** That this node lives is due, if Redis knows of it. */
  renewLife (): void { this.#isLifeDue ||= this.#isAlive }

  /** Resolves when what was pushed before has been done, or has failed. The same promise until something else is pushed. */
  get settled (): Promise<void> { return this.#latest }

  /** Resolves when nothing is left, or Redis does not answer. */
  async drain (): Promise<void> {
    this.kick()
    await this.#work
  }

  /** As `drain`, and then this node is not there any more. Whom it could not take out, others take out later. */
  async close (): Promise<void> {
    await this.drain()
    if (this.#isAlive && this.#due.size === 0) await this.#send([], 'ends').catch(() => { /* Redis takes it for dead by itself. */ })
  }

  async #run (): Promise<void> {
    // What is due waits for the next kick when Redis does not answer.
    let withDue = true
    for (;;) {
      if (withDue && this.#due.size > 0) await this.#options.turns.next()
      // The other calls of the turn come along.
      else await Promise.resolve()
      const batch = this.#next(withDue)
      const isRenewed = (withDue && this.#isLifeDue) || batch.some(({ step: { kind } }) => kind === 'enter')
      if (batch.length === 0 && !isRenewed) break
      withDue = await this.#fly(batch, isRenewed)
    }
    this.#work = null
  }

  #next (withDue: boolean): Flying[] {
    if (!withDue || this.#due.size === 0) return this.#calls.splice(0, BATCH)
    const batch = this.#calls.splice(0, CALLS)
    for (const due of this.#due) {
      if (batch.length >= BATCH) break
      this.#due.delete(due)
      const step = due.step()
      if (step !== null) batch.push({ step, done: (changed) => { due.done(changed) }, fail: () => { this.#fail(due) }, due })
    }
    return batch
  }

  #fail (due: Due): void {
    this.#due.add(due)
    due.failed()
  }

  /** @returns whether Redis has answered */
  async #fly (batch: readonly Flying[], isRenewed: boolean): Promise<boolean> {
    let replies: readonly Reply[]
    const life = this.#life
    try {
      replies = await this.#send(batch.map(({ step }) => step), isRenewed ? 'goes on' : null)
    } catch (error) {
      this.#options.contact.lost()
      const waiting = this.#calls
      this.#calls = []
      for (const { fail } of [...batch, ...waiting]) fail(error)
      return false
    }
    const [time, isMore, isOver, ...changed] = replies
    this.#options.contact.kept(time as number)
    if (isOver === 1) {
      // Nothing of it was done.
      this.#calls.unshift(...batch.filter(({ due }) => due === null))
      for (const { due } of batch) if (due !== null) this.#due.add(due)
      if (life === this.#life) {
        this.beginAgain()
        this.#enterAgain(this)
      }
      return true
    }
    if (isRenewed && life === this.#life) {
      this.#isAlive = true
      this.#isLifeDue = false
    }
    for (const [i, { step, done, due }] of batch.entries()) {
      done(changed[i] === 1)
      // What others have left there is too much for one batch: who watches goes on with it.
      if (isMore === 1 && step.kind === 'watch' && due !== null) this.#due.add(due)
    }
    return true
  }

  /** @param life what becomes of it; null: nothing */
  async #send (steps: readonly Step[], life: 'goes on' | 'ends' | null): Promise<readonly Reply[]> {
    const keys = this.#keys
    const { nodeId, ttl, kept, busLength, contact } = this.#options
    const rooms = new Map<string, number>()
    const args: Array<string | number> = []
    for (const { kind, room, pair = '', ttl = 0 } of steps) {
      let index = rooms.get(room)
      if (index === undefined) rooms.set(room, index = rooms.size + 1)
      args.push(LETTERS[kind], index, pair, ttl)
    }
    const names = [...rooms.keys()]
    const roomKeys = names.flatMap((room) => [keys.presence(room), keys.presenceIndex(room), keys.states(room), keys.watchers(room)])
    const bus = keys.busAt(this.#partition)
    return await this.#link.run(CHANGE, [keys.bus(bus), keys.batches(bus), keys.lives(this.#partition), ...roomKeys], [
      nodeId, life === null ? 0 : this.#life, this.#isAlive ? 0 : 1, life === 'ends' ? 0 : ttl, kept, busLength,
      contact.isLasting ? REMOVED : 0, contact.till, names.length, ...names, ...args
    ]) as readonly Reply[]
  }
}

function newLife (): number { return randomInt(1, MAX_LIFE) }
