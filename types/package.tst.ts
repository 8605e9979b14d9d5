import Fastify, { type FastifyInstance, type FastifyRequest } from 'fastify'
import { disconnects, errors, type Connection, type Disconnect, type Hub, type HubConnectionData, type HubOptions, type Identity } from 'fastify-hub'
import { describe, expect, test } from 'tstyche'

declare module 'fastify-hub' {
  interface HubConnectionData { name?: string }
}

declare const connection: Connection

describe('what an application adds to HubConnectionData', () => {
  test('is typed on every connection and in identities', () => {
    expect<HubConnectionData>().type.toBe<{ name?: string }>()
    expect(connection.data.name).type.toBe<string | undefined>()
    expect<Identity>().type.toBeAssignableFrom<{ data: { name: string } }>()
    expect<Identity>().type.not.toBeAssignableFrom<{ data: { name: number } }>()
  })

  test('is typed in what identify returns', () => {
    type Identify = NonNullable<HubOptions['identify']>
    expect<Identify>().type.toBeAssignableFrom<() => { user: string, data: { name: string } }>()
    expect<Identify>().type.not.toBeAssignableFrom<() => { user: string, data: { name: number } }>()
  })
})

describe('what the package adds to Fastify', () => {
  test('app.hub and request.server.hub are the hub', () => {
    expect(Fastify().hub).type.toBe<Hub>()
    expect<FastifyInstance['hub']>().type.toBe<Hub>()
    expect<FastifyRequest['server']['hub']>().type.toBe<Hub>()
  })

  test('a hub of another name is had by its decorator', () => {
    expect(Fastify().getDecorator<Hub>('news')).type.toBe<Hub>()
  })
})

describe('tables', () => {
  test('errors are classes with a code', () => {
    const error = new errors.FST_HUB_INVALID_OPTIONS('path', 'a string', '7')
    expect(error.code).type.toBe<string>()
    expect(error.statusCode).type.toBe<number>()
    expect(new errors.FST_HUB_DRAINING()).type.toBeAssignableTo<Error>()
    expect(errors.FST_HUB_INVALID_OPTIONS).type.not.toBeConstructableWith('path')
    expect(errors.FST_HUB_DRAINING).type.not.toBeConstructableWith('an argument that the message has no place for')
    expect(errors).type.not.toHaveProperty('FST_HUB_NOTHING')
  })

  test('close codes are read-only', () => {
    expect(disconnects.restart).type.toBe<Disconnect>()
    expect<Disconnect>().type.toBe<{ readonly code: number, readonly reason: string, readonly reconnect: boolean }>()
    expect<typeof disconnects>().type.toBe<Readonly<typeof disconnects>>()
  })
})
