import type {
  BroadcastOptions, ClusterStats, ClusterStatsOptions, Connection, DisconnectInfo, Hub, HubEvents, HubHealth, HubStats, Identity, KickOptions, Message, Overflow,
  PublishOptions, PublishResult, Room, SendOptions, SendResult, StreamPosition, User, UserSendResult
} from 'fastify-hub'
import { describe, expect, test } from 'tstyche'

declare const hub: Hub
declare const connection: Connection
declare const room: Room
declare const user: User
declare const message: Message

type WithUndefined<T> = { [K in keyof T]: T[K] | undefined }
type IsAny<T> = 0 extends 1 & T ? true : false
/** What the standard library leaves untyped: the example that the test of the helper needs. */
type Untyped = ReturnType<typeof JSON.parse>
/** What a value holds one step further in: results, arguments, elements, and what a promise resolves to. */
type Inside<T> = T extends (...args: infer A) => infer R ? [...A, R, Awaited<R>] : T extends ReadonlyArray<infer E> ? [E] : [T]
/** Members that are `any`, or hold it. */
type AnyMembers<T> = { [K in keyof T]-?: IsAny<T[K]> extends true ? K : true extends IsAnyOf<Inside<T[K]>> ? K : never }[keyof T]
type IsAnyOf<L extends unknown[]> = { [I in keyof L]: IsAny<L[I]> }[number]

describe('Hub', () => {
  test('looks up connections, rooms and users of this node', () => {
    expect(hub.get('id')).type.toBe<Connection | undefined>()
    expect(hub.connections()).type.toBe<IterableIterator<Connection>>()
    expect(hub.room('lobby')).type.toBe<Room>()
    expect(hub.user('ada')).type.toBe<User>()
    expect(hub.size).type.toBe<number>()
    expect(hub.nodeId).type.toBe<string>()
    expect(hub.user).type.not.toBeCallableWith(7)
  })

  test('broadcasts anything, leaving out connections or ids', () => {
    expect(hub.broadcast({ hello: 'all' })).type.toBe<Promise<PublishResult>>()
    expect(hub.broadcast).type.toBeCallableWith('text', { except: connection })
    expect(hub.broadcast).type.toBeCallableWith('text', { except: [connection, 'id'], overflow: 'reject-new' })
    expect(hub.broadcast).type.not.toBeCallableWith('text', { except: 7 })
    expect(hub.broadcast).type.not.toBeCallableWith('text', { ephemeral: true })
    expect(hub.broadcast).type.not.toBeCallableWith()
    expect<PublishOptions>().type.toBeAssignableTo<BroadcastOptions>()
  })

  test('tells how it is, and drains', () => {
    expect(hub.stats()).type.toBe<HubStats>()
    expect(hub.stats().refused).type.toBe<Record<string, number>>()
    expect(hub.stats({ cluster: true })).type.toBe<Promise<ClusterStats>>()
    expect(hub.stats({ cluster: true, timeout: 500 })).type.toBe<Promise<ClusterStats>>()
    expect<ClusterStats>().type.toBe<{ partial: boolean, nodes: HubStats[], total: HubStats }>()
    expect(hub.stats).type.not.toBeCallableWith({})
    expect(hub.stats).type.not.toBeCallableWith({ cluster: false })
    expect(hub.stats).type.not.toBeCallableWith({ timeout: 500 })
    expect(hub.health()).type.toBe<HubHealth>()
    expect(hub.health().status).type.toBe<'ok' | 'degraded' | 'draining'>()
    expect(hub.drain()).type.toBe<Promise<void>>()
  })

  test('can not be written to', () => {
    expect<Pick<Hub, 'nodeId' | 'size'>>().type.toBe<{ readonly nodeId: string, readonly size: number }>()
  })
})

describe('events', () => {
  test('there are four of them', () => {
    expect<keyof HubEvents>().type.toBe<'connect' | 'disconnect' | 'overflow' | 'error'>()
    expect(hub.on).type.not.toBeCallableWith('message', () => {})
  })

  test('listeners get what the event tells', () => {
    hub.on('connect', (...args) => { expect(args).type.toBe<[connection: Connection]>() })
    hub.once('disconnect', (...args) => { expect(args).type.toBe<[connection: Connection, info: DisconnectInfo]>() })
    hub.on('overflow', (_, info) => { expect(info).type.toBe<{ policy: Overflow, dropped: number, bytes: number }>() })
    hub.off('error', (...args) => { expect(args).type.toBe<[error: Error, connection: Connection | null]>() })
    expect(hub.on).type.not.toBeCallableWith('connect', (_: string) => {})
  })

  test('listening can be chained', () => {
    expect(hub.on('connect', () => {}).once('error', () => {}).off('connect', () => {})).type.toBe<Hub>()
  })
})

describe('Connection', () => {
  test('says who it is', () => {
    expect<Pick<Connection, 'id' | 'user' | 'device' | 'ip' | 'subprotocol'>>().type.toBe<{
      readonly id: string
      readonly user: string | null
      readonly device: string | null
      readonly ip: string | null
      readonly subprotocol: string | null
    }>()
    expect(connection.rooms).type.toBe<ReadonlySet<string>>()
    expect(connection.state).type.toBe<'connecting' | 'open' | 'closing' | 'closed'>()
    expect(connection.queued).type.toBe<{ messages: number, bytes: number }>()
    expect(connection.connectedAt).type.toBe<number>()
    expect(connection.lastSeen).type.toBe<number>()
    expect<Pick<Connection, 'expiresAt'>>().type.toBe<{ readonly expiresAt: number | null }>()
  })

  test('sends, and says at once what became of it', () => {
    expect(connection.send({ any: 'JSON' })).type.toBe<SendResult>()
    expect<SendResult>().type.toBe<'sent' | 'queued' | 'rejected' | 'closed'>()
    expect(connection.send).type.toBeCallableWith(message, { overflow: 'disconnect' })
    expect(connection.send).type.not.toBeCallableWith('text', { overflow: 'drop-newest' })
    expect(connection.send).type.not.toBeCallableWith('text', { compress: true })
    expect<SendOptions['overflow']>().type.toBe<Overflow | undefined>()
  })

  test('joins and leaves with a promise', () => {
    expect(connection.join('lobby')).type.toBe<Promise<StreamPosition>>()
    expect(connection.leave('lobby')).type.toBe<Promise<void>>()
    expect<StreamPosition>().type.toBe<{ epoch: string, offset: number }>()
    expect(connection.join).type.not.toBeCallableWith(1)
  })

  test('moves the end of its credentials, and says whether it lives on', () => {
    expect(connection.refresh).type.toBe<(expiresAt: Date | number | null) => boolean>()
    expect(connection.refresh).type.not.toBeCallableWith()
    expect(connection.refresh).type.not.toBeCallableWith('2030-01-01')
    expect(connection.refresh).type.not.toBeCallableWith(undefined)
  })

  test('ends in three ways', () => {
    expect(connection.close).type.toBe<(code?: number, reason?: string) => void>()
    expect(connection.kick('why', { code: 1001 })).type.toBe<Promise<boolean>>()
    expect<KickOptions['code']>().type.toBe<number | undefined>()
    expect(connection.terminate()).type.toBe<void>()
    expect<DisconnectInfo['initiator']>().type.toBe<'peer' | 'server' | 'network'>()
  })

  test('an identity has optional strings', () => {
    expect<Identity>().type.toBeAssignableFrom<{}>()
    expect<Identity>().type.toBeAssignableFrom<{ user: string, device: string }>()
    expect<Identity>().type.not.toBeAssignableFrom<{ user: number }>()
    expect<Identity['expiresAt']>().type.toBe<Date | number | undefined>()
  })

  test('what is passed in may be undefined, what comes out is not', () => {
    expect<WithUndefined<Identity>>().type.toBeAssignableTo<Identity>()
    expect<WithUndefined<SendOptions>>().type.toBeAssignableTo<SendOptions>()
    expect<WithUndefined<BroadcastOptions>>().type.toBeAssignableTo<BroadcastOptions>()
    expect<WithUndefined<PublishOptions>>().type.toBeAssignableTo<PublishOptions>()
    expect<WithUndefined<Omit<ClusterStatsOptions, 'cluster'>> & { cluster: true }>().type.toBeAssignableTo<ClusterStatsOptions>()
    expect<WithUndefined<KickOptions>>().type.toBeAssignableTo<KickOptions>()
    expect<WithUndefined<PublishResult>>().type.not.toBeAssignableTo<PublishResult>()
  })
})

describe('Room and User', () => {
  test('a room publishes, and tells its members and its history', () => {
    expect(room.publish('text', { ephemeral: true, except: 'id' })).type.toBe<Promise<PublishResult>>()
    expect<Pick<PublishResult, 'sent' | 'queued' | 'dropped' | 'rejected'>>().type.toBe<{ sent: number, queued: number, dropped: number, rejected: number }>()
    expect(room.connections()).type.toBe<IterableIterator<Connection>>()
    expect(room.presence()).type.toBe<Promise<ReadonlyArray<{ user: string, connections: number }>>>()
    expect(room.history({ epoch: 'e', offset: 1 }, 10)).type.toBe<Promise<{
      position: StreamPosition
      publications: Array<{ offset: number, data: unknown }>
      recovered: boolean
    }>>()
  })

  test('a user is sent to and kicked on every node', () => {
    expect(user.connections()).type.toBe<IterableIterator<Connection>>()
    expect(user.online()).type.toBe<Promise<boolean>>()
    expect(user.send('text')).type.toBe<Promise<UserSendResult>>()
    expect<UserSendResult>().type.toBe<{ delivered: number, nodes: string[], stored: boolean, partial?: true }>()
    expect(user.kick()).type.toBe<Promise<number>>()
  })
})

describe('Message', () => {
  test('is unknown until the caller says what its JSON is', () => {
    expect(message.json()).type.toBe<unknown>()
    expect(message.json<{ text: string }>()).type.toBe<{ text: string }>()
    expect(message.text()).type.toBe<string>()
    expect(message.bytes).type.toBe<Uint8Array>()
    expect(message.isBinary).type.toBe<boolean>()
  })
})

test('nothing public is any', () => {
  // The helper finds it where it is.
  expect<[AnyMembers<{ a: Untyped, b: (x: Untyped) => void, c: () => Promise<Untyped>, d: Untyped[], e: string }>]>().type.toBe<['a' | 'b' | 'c' | 'd']>()
  expect<[AnyMembers<Hub>]>().type.toBe<[never]>()
  expect<[AnyMembers<Connection>]>().type.toBe<[never]>()
  expect<[AnyMembers<Room>]>().type.toBe<[never]>()
  expect<[AnyMembers<User>]>().type.toBe<[never]>()
  expect<[AnyMembers<Message>]>().type.toBe<[never]>()
  expect<[AnyMembers<HubEvents>]>().type.toBe<[never]>()
  expect<[AnyMembers<HubStats>]>().type.toBe<[never]>()
  expect<[AnyMembers<ClusterStats>]>().type.toBe<[never]>()
})
