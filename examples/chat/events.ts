/*
 * What the chat says over hub.v1: names of rooms, what is published in them, and the events of a client. The server checks
 * by these schemas, and whoever writes a client in TypeScript has their types: createClient<typeof events>().
 */
import type { EventSchemas } from 'fastify-hub'
import { Type, type Static } from 'typebox'

/** Letters, marks, digits, punctuation, symbols and single spaces: nothing invisible, which would make two names look the same. */
const VISIBLE = '[\\p{L}\\p{M}\\p{N}\\p{P}\\p{S}]+(?: [\\p{L}\\p{M}\\p{N}\\p{P}\\p{S}]+)*'

/** Characters in the name of a person, and in that of a room without its prefix. */
export const MAX_NAME = 32
export const MAX_TEXT = 1000
export const NAME = new RegExp(`^${VISIBLE}$`, 'u')

/** A room to talk in: this, and its name. */
export const CHAT = 'chat:'
export const LOBBY = `${CHAT}lobby`
/** The room of which everybody is a member, and in which the list of rooms is published: only the latest counts. */
export const DIRECTORY = 'rooms'

/** Published in `DIRECTORY`: rooms that somebody is in, and how many people there are in each. */
export interface Directory { rooms: Array<{ room: string, people: number }> }

/** Published in a room to talk in. `id` is its author's; `at` is milliseconds since the Unix epoch. */
export const message = Type.Object({ id: Type.String(), from: Type.String(), text: Type.String(), at: Type.Integer() })
export type Message = Static<typeof message>

const room = Type.String({ pattern: `^${CHAT}${VISIBLE}$`, maxLength: CHAT.length + MAX_NAME })

export const events = {
  /** Says something in a room. Whoever says it twice under one id is shown once. */
  say: {
    data: Type.Object({
      room,
      id: Type.String({ pattern: '^[\\w-]{1,64}$' }),
      text: Type.String({ pattern: '\\S', maxLength: MAX_TEXT })
    }, { additionalProperties: false }),
    reply: Type.Object({ at: Type.Integer() })
  },
  /** What was said in a room before, as far as it is kept, and the position that it is up to. */
  history: {
    data: Type.Object({ room }, { additionalProperties: false }),
    reply: Type.Object({
      epoch: Type.String(),
      offset: Type.Integer(),
      messages: Type.Array(Type.Object({ offset: Type.Integer(), message }))
    })
  },
  /** Begins, or stops, to write something. */
  typing: {
    data: Type.Object({ room, active: Type.Boolean() }, { additionalProperties: false })
  }
} as const satisfies EventSchemas
