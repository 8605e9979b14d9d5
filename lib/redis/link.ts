import type { Redis } from 'ioredis'
import type { Clock, Timer } from '../core/ports.js'
import { end, NOT_THE_MASTER, type Connection, type Connections } from './connections.js'
import { causeOf, isRefusal, unavailable } from './failures.js'
import { Greeting } from './greeting.js'
import type { Script } from './script.js'
import { SentScripts } from './sent-scripts.js'

/** An argument of a command. */
export type Argument = string | number | Buffer

/** What Redis answers: bulk strings are bytes. */
export type Reply = Buffer | number | null | readonly Reply[]

/** How often calls are looked through for those that wait for too long. */
const LOOK_MS = 250
/** Milliseconds for the old master to be a master again, or for the new one to be found: each try would have everything compared. */
const NO_MASTER_PAUSE_MS = 500
/** What Redis takes as one argument, unless it is set up otherwise (`proto-max-bulk-len`). */
const MAX_ARGUMENT_BYTES = 512 * 1024 * 1024
/** Somebody else has put something else there. */
const WRONG_TYPE = /^WRONGTYPE /
/** What ioredis says of a command for a server to which there is no connection. */
const CLOSED = /^Connection is closed/
/** Keys that are named in an error. */
const MAX_NAMED = 5

/** What Redis owes an answer to. */
interface Call {
  readonly command: string
  readonly args: readonly Argument[]
  readonly resolve: (reply: Reply) => void
  readonly reject: (error: Error) => void
  /** As `now` of the link. */
  readonly deadline: number
}

/** What a link tells. */
export interface LinkListener {
  /** Redis is there (again). Before `onReady`, and also where this node may not take part. */
  onFound? (): void
  /** Redis can be asked (again). */
  onReady (): void
  /** Redis has gone. */
  onAway (why: Error): void
  /** Redis is there, and has refused a command: what it says. */
  onRefused? (why: Error): void
  /** Redis seems to be there, and a command had no answer: it stands still, or this server of a cluster is not there. */
  onUnanswered? (why: Error): void
}

/** Who asks Redis. */
export interface Asker {
  /** As that of the link. */
  call (command: string, ...args: Argument[]): Promise<Reply>
  /** As that of the link. */
  run (script: Script, keys: readonly string[], args: readonly Argument[]): Promise<Reply>
}

/** The connection of this node over which commands go that do not block. Those of one turn of the event loop leave in one write. */
export class RedisLink {
  /** What Redis takes as one argument: with a larger one, it closes the connection. */
  maxArgumentBytes = MAX_ARGUMENT_BYTES
  readonly #connections: Connections
  readonly #connection: Connection
  /** Null with a Redis Cluster, to which there are several connections. */
  readonly #greeting: Greeting | null
  readonly #clock: Clock
  readonly #timeout: number
  readonly #listeners = new Set<LinkListener>()
  /** Calls of this turn. */
  #calls: Call[] = []
  /** In the order in which they were made, and all with the same patience. */
  readonly #owed = new Set<Call>()
  /** Those who wait for another try. */
  readonly #patient = new Set<{ readonly deadline: number, readonly resolve: () => void, readonly reject: () => void }>()
  readonly #scripts = new SentScripts()
  readonly #looks: Timer
  /** When calls were looked through last, in monotonic milliseconds and as `now`. */
  #lookedAt: number
  #patience = 0
  #isReady = false
  /** Monotonic milliseconds before which it is not ready, whatever the connection says. */
  #notBefore = 0
  #isClosed = false
  #why: Error = new Error('it was not asked yet')
  /** Why this node may not take part; null: it may. */
  #bar: Error | null = null
  #otherWhy: Error | null = null
  /** Why a server of a cluster could not be reached, the last time: a call that needs it is only told that there is no connection. */
  #serverWhy: Error | null = null

  /** @param timeout milliseconds after which a call that was not answered is rejected */
  constructor (connections: Connections, clock: Clock, timeout: number) {
    this.#connections = connections
    this.#clock = clock
    this.#timeout = timeout
    this.#lookedAt = clock.monotonic()
    this.#connection = connections.make('fastify-hub')
    this.#greeting = greetingOf(this.#connection)
    this.#connection.on('ready', () => { this.#ready() })
    this.#connection.on('close', () => { this.#closed() })
    this.#connection.on('error', (error: Error) => { this.#failed(error) })
    // All that tells of the servers of a cluster that were found, and can not be reached there.
    this.#connection.on('node error', (error: Error) => {
      this.#serverWhy = causeOf(error)
      if (!this.#isReady && !this.#isClosed) this.#why = this.#serverWhy
    })
    this.#looks = clock.every(LOOK_MS, () => { this.#look() })
  }

  get isCluster (): boolean { return this.#connections.isCluster }

  /** Whether Redis can be asked. */
  get isReady (): boolean { return this.#isReady && this.#bar === null }

  /** Whether Redis is there, for whoever finds out whether this node may take part. */
  get isFound (): boolean { return this.#isReady }

  /** Redis, whether this node may take part or not: for whoever finds that out. */
  readonly early: Asker = {
    call: async (command, ...args) => await this.#ask(command, args),
    run: async (script, keys, args) => await this.#scripts.run(this.early, script, keys, args)
  }

  /** Milliseconds without those in which the event loop stood still: what Redis has answered meanwhile has not been read, and is not late. */
  get now (): number { return this.#patience + Math.min(this.#clock.monotonic() - this.#lookedAt, 2 * LOOK_MS) }

  /** Why it can not. */
  get why (): Error { return this.#isReady ? this.#bar ?? this.#why : this.#why }

  /** Why a connection that blocks could not be made, the last time; null: it could. */
  get otherWhy (): Error | null { return this.#otherWhy }

  listen (listener: LinkListener): void { this.#listeners.add(listener) }

  /** One more connection, for commands that block. It is the caller's to connect and to end. */
  another (name: string): Connection {
    const connection = this.#connections.make(name, true)
    const greeting = greetingOf(connection)
    connection.on('error', (error: Error) => { this.#otherWhy = causeOf(greeting?.explain(error) ?? error) })
    connection.on('close', () => { this.#otherWhy = greeting?.explain(null) ?? this.#otherWhy })
    connection.on('ready', () => { this.#otherWhy = null })
    return connection
  }

  /** From now on nobody can ask, as if Redis were away, until `admit`. */
  bar (why: Error): void { this.#bar = why }

  /** This node may take part. */
  admit (): void {
    if (this.#bar === null) return
    this.#bar = null
    if (this.#isReady) this.#open()
  }

  /**
   * Connects, and goes on trying when that fails.
   * @throws FST_HUB_BROKER_UNAVAILABLE when it did not succeed at once, or not in time (as a rejection)
   */
  async connect (): Promise<void> {
    await this.#expect('connect', [], (call) => {
      this.#connection.connect().then(() => {
        // That of a cluster resolves before it tells.
        this.#ready()
        this.#answer(call, null)
      }, (error: unknown) => { this.#fail(call, error as Error) })
    })
  }

  /**
   * Sends a command, once.
   * @returns a promise that is rejected when Redis is away, refuses it, or has not answered in time: then it may have been done
   * @throws FST_HUB_BROKER_UNAVAILABLE with the error of Redis as its cause (as a rejection)
   */
  async call (command: string, ...args: Argument[]): Promise<Reply> {
    if (this.#bar !== null) throw unavailable(this.why)
    return await this.#ask(command, args)
  }

  async #ask (command: string, args: readonly Argument[]): Promise<Reply> {
    if (!this.#isReady) throw unavailable(this.#why)
    for (const arg of args) if (typeof arg !== 'number' && arg.length * 3 > this.maxArgumentBytes) this.#checkSize(Buffer.byteLength(arg))
    return await this.#expect(command, args, (call) => {
      if (this.#calls.push(call) === 1) queueMicrotask(() => { this.#flush() })
    })
  }

  /**
   * Runs a script (EVALSHA).
   * @throws as `call` does
   */
  async run (script: Script, keys: readonly string[], args: readonly Argument[]): Promise<Reply> {
    return await this.#scripts.run(this, script, keys, args)
  }

  /**
   * Does what may be done twice: once more when the connection was lost meanwhile and is there again in time, or Redis could not do it now.
   * @throws what the step throws, when it is another answer of Redis or too late for another try (as a rejection)
   */
  async insist<T> (step: () => Promise<T>): Promise<T> {
    const deadline = this.now + this.#timeout
    for (;;) {
      try {
        return await step()
      } catch (error) {
        if (this.#isClosed || isRefusal(error)) throw error
        await new Promise<void>((resolve, reject) => { this.#patient.add({ deadline, resolve, reject: () => { reject(error instanceof Error ? error : new Error(String(error))) } }) })
      }
    }
  }

  /** Milliseconds after which a call that was not answered is rejected. */
  get timeout (): number { return this.#timeout }

  /** Ends the connection. What is under way is rejected. */
  async close (): Promise<void> {
    this.#isClosed = true
    this.#looks.cancel()
    this.#why = new Error('the hub has been closed')
    await end(this.#connection)
    this.#away()
    this.#settlePatient()
    this.#listeners.clear()
  }

  #ready (): void {
    if (this.#isClosed || this.#isReady || this.#clock.monotonic() < this.#notBefore) return
    this.#isReady = true
    this.#scripts.clear()
    this.#why = new Error('the connection was lost')
    for (const listener of [...this.#listeners]) listener.onFound?.()
    if (this.#bar === null) this.#open()
  }

  #open (): void {
    for (const listener of [...this.#listeners]) listener.onReady()
    this.#settlePatient()
  }

  /** Those who can try again do, and those for whom it is too late are told. */
  #settlePatient (): void {
    const { now } = this
    for (const waiter of this.#patient) {
      if (!this.#isClosed && now < waiter.deadline && !this.isReady) continue
      this.#patient.delete(waiter)
      if (this.#isClosed || now >= waiter.deadline) waiter.reject()
      else waiter.resolve()
    }
  }

  #closed (): void {
    if (!this.#isClosed && !this.#isReady) this.#why = this.#greeting?.explain(null) ?? this.#why
    this.#away()
  }

  #failed (error: Error): void {
    if (this.#isClosed) return
    this.#why = causeOf(this.#greeting?.explain(error) ?? error)
    // A try has failed. With Sentinels, this is all that tells it.
    if (!this.#isReady) this.#away()
  }

  #away (): void {
    const wasReady = this.#isReady
    this.#isReady = false
    for (const call of this.#owed) call.reject(unavailable(this.#why))
    this.#owed.clear()
    this.#calls = []
    // That it was closed is no news to those who have closed it.
    if (wasReady && !this.#isClosed) for (const listener of [...this.#listeners]) listener.onAway(this.#why)
  }

  async #expect (command: string, args: readonly Argument[], send: (call: Call) => void): Promise<Reply> {
    return await new Promise<Reply>((resolve, reject) => {
      const call: Call = { command, args, resolve, reject, deadline: this.now + this.#timeout }
      this.#owed.add(call)
      send(call)
    })
  }

  /** As if Redis had answered so: it does not, and what else was asked for would be lost with the connection. */
  #checkSize (bytes: number): void {
    if (bytes <= this.maxArgumentBytes) return
    const cause = new Error(`TOOBIG ${bytes} bytes, and it takes ${this.maxArgumentBytes} (proto-max-bulk-len)`)
    cause.name = 'ReplyError'
    for (const listener of this.#listeners) listener.onRefused?.(cause)
    throw unavailable(cause)
  }

  #flush (): void {
    const calls = this.#calls
    this.#calls = []
    if (calls.length > 1 && !this.isCluster) return this.#pipe(calls)
    for (const call of calls) {
      // Of both kinds of connections: their types have no common signature.
      (this.#connection as Redis).callBuffer(call.command, ...call.args).then((reply) => { this.#answer(call, reply as Reply) }, (error: unknown) => { this.#fail(call, error as Error) })
    }
  }

  #pipe (calls: readonly Call[]): void {
    const pipeline = (this.#connection as Redis).pipeline()
    for (const { command, args } of calls) pipeline.callBuffer(command, ...args)
    pipeline.exec().then((replies) => {
      for (const [i, call] of calls.entries()) {
        const [error, reply] = replies?.[i] ?? [new Error('the pipeline was not executed'), null]
        if (error === null) this.#answer(call, reply as Reply)
        else this.#fail(call, error)
      }
    }, (error: unknown) => { for (const call of calls) this.#fail(call, error as Error) })
  }

  #answer (call: Call, reply: Reply): void {
    if (this.#owed.delete(call)) call.resolve(reply)
  }

  #fail (call: Call, error: Error): void {
    const isAnswer = error.name === 'ReplyError'
    if (WRONG_TYPE.test(error.message)) error.message += ` (${namesOf(call)})`
    if (isAnswer) for (const listener of this.#listeners) listener.onRefused?.(causeOf(error))
    // The only one that there is says by itself that it has gone.
    else if (this.isCluster) this.#unanswered(CLOSED.test(error.message) ? this.#serverWhy ?? error : causeOf(error))
    if (this.#owed.delete(call)) call.reject(isAnswer ? unavailable(causeOf(error)) : unavailable(this.#why, error))
    // The connection is about to end (see connections.ts): nothing more is asked over it.
    if (NOT_THE_MASTER.test(error.message)) {
      this.#notBefore = this.#clock.monotonic() + NO_MASTER_PAUSE_MS
      this.#why = causeOf(error)
      this.#away()
    }
  }

  #look (): void {
    const { now } = this
    this.#patience = now
    this.#lookedAt = this.#clock.monotonic()
    if (this.#connection.status === 'ready') this.#ready()
    const wait = this.#isReady ? null : this.#greeting?.wait ?? null
    this.#why = wait ?? this.#why
    this.#settlePatient()
    for (const call of this.#owed) {
      if (call.deadline > now) return
      this.#owed.delete(call)
      const why = wait ?? new Error(`no answer within ${this.#timeout} ms`)
      this.#unanswered(why)
      call.reject(unavailable(why))
    }
  }

  #unanswered (why: Error): void {
    if (this.#isReady && !this.#isClosed) for (const listener of this.#listeners) listener.onUnanswered?.(why)
  }
}

function greetingOf (connection: Connection): Greeting | null { return connection.isCluster ? null : new Greeting(connection as Redis) }

/** Keys of a command, as many as anybody reads. */
function namesOf ({ command, args }: Call): string {
  const keys = /^EVAL/.test(command) ? args.slice(2, 2 + Number(args[1])) : [args[command === 'XGROUP' ? 1 : 0]]
  return `${keys.slice(0, MAX_NAMED).join(', ')}${keys.length > MAX_NAMED ? ` or ${keys.length - MAX_NAMED} more` : ''}`
}
