import type { HubStats, Overflow } from '../types.js'

/** A message of the application for the connections of a user: the payload beside it. */
export interface SendRequest {
  readonly op: 'send'
  readonly user: string
  readonly overflow?: Overflow | undefined
  readonly key?: string | undefined
}

/** Something was stored for a user: connections that can acknowledge it are to look. */
export interface FetchRequest {
  readonly op: 'fetch'
  readonly user: string
}

/** A step of the directory has ended logins of a user. */
export interface EndRequest {
  readonly op: 'end'
  readonly user: string
  /** Its place in the directory's order: logins that came later stay. */
  readonly fence: number
  /** Connections that it has removed. */
  readonly ids: readonly string[]
  /** Of the Close frame. */
  readonly code: number
  readonly reason: string
  /** Only logins of this device (null: those without one); absent: all. */
  readonly device?: string | null | undefined
  /** That of a login, which waits for those whose place it has taken, and for those whose place they have taken before. */
  readonly isLogin?: boolean | undefined
}

/** Whether the client of a login is there: one that came earlier wants its place. */
export interface ThereRequest {
  readonly op: 'there'
  /** Of the connection. */
  readonly id: string
}

/** The figures of a node. */
export interface StatsRequest {
  readonly op: 'stats'
}

/** What one node asks of another. A node that does not know the `op`, because it is older, does not answer. */
export type NodeRequest = SendRequest | FetchRequest | EndRequest | ThereRequest | StatsRequest

/** What is answered, by `op`. */
export interface NodeAnswers {
  /** Connections that took the message. */
  readonly send: number
  /** Connections that can acknowledge. */
  readonly fetch: number
  /** Connections that this has ended. */
  readonly end: number
  /** Whether it has been heard of since its 101. */
  readonly there: boolean
  readonly stats: HubStats
}

/** What the answer to a request is. */
export type AnswerTo<R extends NodeRequest> = NodeAnswers[R['op']]

/** What a message between nodes says, beside its payload. JSON. */
export type NodeMessageHead =
  /** `id`: of all questions of its sender, this one. */
  | { readonly kind: 'question', readonly id: number, readonly request: NodeRequest }
  | { readonly kind: 'answer', readonly id: number, readonly result: NodeAnswers[keyof NodeAnswers] }
