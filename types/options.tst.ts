import type { FastifyPluginAsync, FastifyReply, FastifyRequest } from 'fastify'
import fastifyHub, { type Connection, type DisconnectInfo, type HubOptions, type Message, type OriginRule, type RedisClient } from 'fastify-hub'
import { fastifyHub as named } from 'fastify-hub'
import Fastify from 'fastify'
import type { Cluster, Redis } from 'ioredis'
import { describe, expect, test } from 'tstyche'

type Group<K extends keyof HubOptions> = NonNullable<HubOptions[K]>
type WithUndefined<T> = { [K in keyof T]: T[K] | undefined }

describe('the plugin', () => {
  test('is an async plugin with HubOptions, as default and by name', () => {
    expect(fastifyHub).type.toBe<FastifyPluginAsync<HubOptions>>()
    expect(named).type.toBe<FastifyPluginAsync<HubOptions>>()
  })

  test('register takes its options, or none', () => {
    const app = Fastify()
    expect(app.register).type.toBeCallableWith(fastifyHub)
    expect(app.register).type.toBeCallableWith(fastifyHub, { path: '/ws', prefix: '/api' })
    expect(app.register).type.not.toBeCallableWith(fastifyHub, { paht: '/ws' })
    expect(app.register).type.not.toBeCallableWith(fastifyHub, { path: 1 })
  })
})

describe('HubOptions', () => {
  test('every option may be left out', () => {
    expect<HubOptions>().type.toBeAssignableFrom<{}>()
    expect<Partial<HubOptions>>().type.toBe<HubOptions>()
  })

  test('an option may be undefined, in a group too', () => {
    const options = (_: HubOptions): void => {}
    expect<WithUndefined<HubOptions>>().type.toBeAssignableTo<HubOptions>()
    expect<WithUndefined<Group<'heartbeat'>>>().type.toBeAssignableTo<Group<'heartbeat'>>()
    expect<WithUndefined<Group<'deadlines'>>>().type.toBeAssignableTo<Group<'deadlines'>>()
    expect<WithUndefined<Group<'queue'>>>().type.toBeAssignableTo<Group<'queue'>>()
    expect<WithUndefined<Group<'redis'>>>().type.toBeAssignableTo<Group<'redis'>>()
    expect<WithUndefined<NonNullable<Group<'redis'>['stream']>>>().type.toBeAssignableTo<Group<'redis'>['stream']>()
    expect<WithUndefined<Group<'inbound'>>>().type.toBeAssignableTo<Group<'inbound'>>()
    expect<WithUndefined<Group<'limits'>>>().type.toBeAssignableTo<Group<'limits'>>()
    expect<WithUndefined<Group<'drain'>>>().type.toBeAssignableTo<Group<'drain'>>()
    expect(options).type.not.toBeCallableWith({ path: null })
  })

  test('path is one, or several', () => {
    expect<HubOptions['path']>().type.toBe<string | readonly string[] | undefined>()
  })

  test('origins are strings, patterns, functions, or a list of them', () => {
    type Origins = NonNullable<HubOptions['origins']>
    expect<Origins>().type.toBeAssignableFrom<'same-origin' | '*'>()
    expect<Origins>().type.toBeAssignableFrom<Array<string | RegExp>>()
    expect<Origins>().type.toBeAssignableFrom<(origin: string, request: FastifyRequest) => boolean>()
    expect<Origins>().type.toBeAssignableFrom<(origin: string) => Promise<boolean>>()
    expect<Origins>().type.not.toBeAssignableFrom<boolean>()
    expect<Origins>().type.not.toBeAssignableFrom<(origin: string) => string>()
    expect<Origins>().type.toBeAssignableFrom<OriginRule>()
  })

  test('lists may be read-only', () => {
    expect<HubOptions>().type.toBeAssignableFrom<{
      path: readonly ['/ws', '/ws/:room']
      subprotocols: readonly ['chat.v2', 'chat.v1']
      origins: readonly ['same-origin', RegExp, (origin: string) => boolean]
    }>()
    const options = { path: ['/a', '/b'], subprotocols: ['chat'], origins: ['same-origin', 'https://*.example.com'] } as const
    expect(Fastify().register).type.toBeCallableWith(fastifyHub, options)
  })

  test('words are closed sets', () => {
    expect<HubOptions['sessions']>().type.toBe<'many' | 'single-per-user' | 'single-per-device' | undefined>()
    expect<HubOptions['messages']>().type.toBe<'any' | 'text' | 'binary' | undefined>()
    expect<NonNullable<HubOptions['queue']>['overflow']>().type.toBe<'drop-oldest' | 'reject-new' | 'disconnect' | undefined>()
    expect<NonNullable<HubOptions['limits']>['onFull']>().type.toBe<'reject' | 'wait' | undefined>()
  })

  test('groups refuse what they do not know', () => {
    const options = (_: HubOptions): void => {}
    expect(options).type.toBeCallableWith({ heartbeat: { interval: 0, timeout: 60_000 } })
    expect(options).type.not.toBeCallableWith({ heartbeat: { intervall: 1 } })
    expect(options).type.not.toBeCallableWith({ heartbeat: 30_000 })
    expect(options).type.not.toBeCallableWith({ deadlines: { admit: '10s' } })
    expect(options).type.not.toBeCallableWith({ limits: { connections: '100' } })
    expect(options).type.not.toBeCallableWith({ queue: { overflow: 'drop-newest' } })
    expect(options).type.not.toBeCallableWith({ drain: { speed: 1 } })
    expect(options).type.not.toBeCallableWith({ inbound: { maxPending: null } })
    expect(options).type.not.toBeCallableWith({ subprotocols: 'raw' })
    expect(options).type.not.toBeCallableWith({ route: { url: '/other' } })
    expect(options).type.not.toBeCallableWith({ websocket: { option: {} } })
  })

  test('redis takes a url, or a client of ioredis, and no other', () => {
    const options = (_: HubOptions): void => {}
    expect<RedisClient>().type.toBeAssignableFrom<Redis>()
    expect<RedisClient>().type.toBeAssignableFrom<Cluster>()
    expect<RedisClient>().type.toBeAssignableFrom<Redis<'resp3'>>()
    expect<Group<'redis'>['client']>().type.toBe<RedisClient | undefined>()
    // node-redis has these, too.
    expect<RedisClient>().type.not.toBeAssignableFrom<{ options: object, duplicate: () => unknown, isOpen: boolean, isReady: boolean }>()
    expect(options).type.toBeCallableWith({ redis: { url: 'redis://localhost', prefix: 'app', lazy: true, partitions: 4, timeout: 1_000, stream: { maxLength: 1_000 } } })
    expect(options).type.not.toBeCallableWith({ redis: 'redis://localhost' })
    expect(options).type.not.toBeCallableWith({ redis: { client: 'redis://localhost' } })
    expect(options).type.not.toBeCallableWith({ redis: { url: 'redis://localhost', keyPrefix: 'x' } })
  })

  test('identify gets request and reply, and answers with an identity or null, now or later', () => {
    type Identify = NonNullable<HubOptions['identify']>
    expect<Parameters<Identify>>().type.toBe<[request: FastifyRequest, reply: FastifyReply]>()
    expect<Identify>().type.toBeAssignableFrom<() => null>()
    expect<Identify>().type.toBeAssignableFrom<() => {}>()
    expect<Identify>().type.toBeAssignableFrom<(request: FastifyRequest) => Promise<{ user: string, device: string } | null>>()
    expect<Identify>().type.not.toBeAssignableFrom<() => { user: number }>()
    expect<Identify>().type.not.toBeAssignableFrom<() => string>()
    expect<Identify>().type.not.toBeAssignableFrom<() => undefined>()
  })

  test('handlers may be sync or async, and get their arguments typed', () => {
    expect<Parameters<NonNullable<HubOptions['onConnect']>>>().type.toBe<[connection: Connection]>()
    expect<Parameters<NonNullable<HubOptions['onMessage']>>>().type.toBe<[connection: Connection, message: Message]>()
    expect<Parameters<NonNullable<HubOptions['onDisconnect']>>>().type.toBe<[connection: Connection, info: DisconnectInfo]>()
    expect<HubOptions>().type.toBeAssignableFrom<{ onConnect: (connection: Connection) => Promise<void>, onMessage: () => void }>()
    expect<HubOptions>().type.not.toBeAssignableFrom<{ onMessage: (connection: string) => void }>()
  })
})
