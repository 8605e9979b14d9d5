import { FST_HUB_BROKER_UNAVAILABLE, FST_HUB_CLOSED } from '../../errors.js'
import { wireErrors } from '../../protocol/hub-v1/errors.js'
import type { ClientMessage, ClientOp, ServerMessage } from '../../protocol/hub-v1/schema.js'
import { toJsonText } from '../payload.js'
import type { TimingWheel } from '../timing-wheel.js'
import type { Clock, Presence } from '../ports.js'
import type { Rooms } from '../rooms.js'
import type { Endpoint } from './endpoint.js'
import type { EventRegistry } from './events.js'
import type { OfflineShared } from './offline-delivery.js'
import { PresenceWatch } from './presence-watch.js'
import { RequestError } from './request-error.js'
import { ANSWERED, Requests, type Application } from './requests.js'
import { ResumableSessions, type ResumeOptions } from './resumable.js'
import type { Answer } from './session.js'

/** What hub.v1 needs of its hub. */
export interface HubV1Host {
  readonly clock: Clock
  readonly wheel: TimingWheel
  /** `deadlines.handler` and `heartbeat.timeout`: milliseconds; 0 is no limit. */
  readonly settings: { readonly deadlines: { readonly handler: number }, readonly heartbeat: { readonly timeout: number } }
  readonly rooms: Rooms
  readonly presence: Presence
  /** null where nothing is kept for users. */
  readonly offline: OfflineShared | null
  /** Something of the application failed. */
  report (error: unknown, connection: Endpoint['connection'] | null): void
  publish (room: string, data: unknown): Promise<{ epoch?: string, offset?: number }>
}

export interface HubV1Options {
  readonly resume: ResumeOptions
  readonly application: Application
  readonly events: EventRegistry
  /** What each peer is told with `hello`. */
  readonly terms: Pick<ServerMessage<'hello'>, 'heartbeat' | 'limits'>
  /** Invalid messages in a row that end a connection; 0: never. */
  readonly violations: number
}

/** Requests of which it matters whether they were done: twice is not the same as once. */
const ONCE: readonly ClientOp[] = ['publish', 'event']

/** What all hub.v1 connections of a hub have in common. */
export class HubV1 {
  readonly wheel: TimingWheel
  readonly sessions: ResumableSessions
  readonly offline: OfflineShared | null
  readonly presence: PresenceWatch
  readonly terms: HubV1Options['terms']
  readonly violations: number
  /** Milliseconds for what a connection has to wait for; 0 is no limit. */
  readonly patience: number
  readonly #host: HubV1Host
  readonly #requests: Requests

  constructor (host: HubV1Host, { resume, application, events, terms, violations }: HubV1Options) {
    this.#host = host
    this.wheel = host.wheel
    this.offline = host.offline
    this.terms = terms
    this.violations = violations
    this.patience = host.settings.deadlines.handler
    this.sessions = new ResumableSessions(resume, host.settings.heartbeat.timeout, host.clock, host.wheel)
    this.presence = new PresenceWatch(host.presence, (error) => { host.report(error, null) })
    this.#requests = new Requests(host, this, application, events)
  }

  /** Does what a peer asks for, and answers. Never rejects. */
  async request (endpoint: Endpoint, message: ClientMessage): Promise<void> {
    const { id, op } = message
    if (id === undefined || (op !== 'publish' && op !== 'event')) {
      const answer = await this.#answer(endpoint, message)
      // Behind what it has made of its rooms.
      if (answer !== null) endpoint.answer(answer, op === 'resume')
      if (op === 'resume') this.sessions.resumed(endpoint.session)
      return
    }
    const { session } = endpoint
    // It sends these when it has the answer to its resume: docs/protocol.md.
    this.sessions.confirm(session)
    const answered = session.once(id, this.#host.clock, async () => await this.#answer(endpoint, message) ?? { op: 'reply', id, payload: null })
    this.sessions.kept(session)
    endpoint.answer(await answered)
  }

  /** What a peer is told of a failure; what is not the peer's mistake is reported. @param about a room */
  describe ({ connection }: Endpoint, error: unknown, op: ClientOp, about?: string): Pick<ServerMessage<'error'>, 'code' | 'message' | 'room' | 'path'> {
    if (error instanceof RequestError) {
      const { code, message, room, path } = error
      return { code, message, ...room === undefined ? {} : { room }, ...path === undefined ? {} : { path } }
    }
    const room = about === undefined ? {} : { room: about }
    // What an HTTP handler would answer with 400 to 499: the peer's mistake, and its to know.
    if (error instanceof Error && 'statusCode' in error && typeof error.statusCode === 'number' && error.statusCode >= 400 && error.statusCode < 500) {
      return { code: wireErrors.rejected, message: typeof error.message === 'string' ? error.message : 'the request was rejected', ...room }
    }
    // Whoever speaks with the broker tells of it. Thousands may ask meanwhile.
    if (error instanceof FST_HUB_BROKER_UNAVAILABLE) {
      return { code: ONCE.includes(op) ? wireErrors.internal : wireErrors.unavailable, message: 'the request can not be done now', ...room }
    }
    if (!(error instanceof FST_HUB_CLOSED && !connection.live)) this.#host.report(error, connection)
    return { code: wireErrors.internal, message: 'the request failed', ...room }
  }

  onWritable (endpoint: Endpoint): void {
    this.#host.rooms.resume(endpoint.connection)
    this.presence.onWritable(endpoint)
  }

  onEnd (endpoint: Endpoint): void {
    this.presence.unwatchAll(endpoint)
  }

  stop (): void { this.sessions.stop() }

  /** @returns null when nobody waits for an answer, or it was told already */
  async #answer (endpoint: Endpoint, message: ClientMessage): Promise<Answer | null> {
    const { id } = message
    try {
      const data = await this.#requests.run(endpoint, message)
      if (id === undefined || data === ANSWERED) return null
      // As text: what the application does with the value later changes no answer.
      return { op: 'reply', id, payload: data === undefined ? null : toJsonText(data) }
    } catch (error) {
      return { op: 'error', ...this.describe(endpoint, error, message.op), ...id === undefined ? {} : { id } }
    }
  }
}
