import type { TInteger, TObject, TString } from 'typebox'
import { createClient, type ClientRoom, type ClientState, type HubClient, type HubError, type StreamPosition } from 'fastify-hub/client'
import { msgpack } from 'fastify-hub/client/msgpack'
import { describe, expect, test } from 'tstyche'
import { WebSocket } from 'ws'

type Map = {
  say: { data: TObject<{ text: TString }>, reply: TObject<{ id: TInteger }> }
  ping: { reply: TString }
  note: { data: TString }
}
declare const client: HubClient<Map>
declare const untyped: HubClient
declare const room: ClientRoom

describe('createClient', () => {
  test('takes the url, as it is or to be asked for, and the WebSocket of ws', () => {
    expect(createClient<Map>({ url: 'ws://hub' })).type.toBe<HubClient<Map>>()
    expect(createClient({ url: 'ws://hub' })).type.toBe<HubClient>()
    expect(createClient).type.toBeCallableWith({ url: async () => 'ws://hub', WebSocket, codec: msgpack() })
    expect(createClient).type.toBeCallableWith({ url: ({ token, tries }: { token: string | undefined, tries: number }) => `ws://hub?${token}${tries}`, token: () => 'secret' })
    expect(createClient).type.not.toBeCallableWith({})
    expect(createClient).type.not.toBeCallableWith({ url: 'ws://hub', retries: 3 })
    expect(createClient).type.not.toBeCallableWith({ url: 'ws://hub', outbox: { overflow: 'disconnect' } })
  })
})

describe('events', () => {
  test('have the data and the reply of the map', () => {
    expect(client.emit('say', { text: 'hi' })).type.toBe<Promise<{ id: number }>>()
    expect(client.emit('ping')).type.toBe<Promise<string>>()
    expect(client.emit('note', 'text')).type.toBe<Promise<unknown>>()
    expect(client.emit).type.not.toBeCallableWith('say')
    expect(client.emit).type.not.toBeCallableWith('say', { text: 7 })
    expect(client.emit).type.not.toBeCallableWith('ping', 7)
    expect(client.emit).type.not.toBeCallableWith('other')
  })

  test('are anything without a map', () => {
    expect(untyped.emit('any', { a: 1 })).type.toBe<Promise<unknown>>()
    expect(untyped.emit('any')).type.toBe<Promise<unknown>>()
  })
})

describe('state', () => {
  test('is told apart by `is`', () => {
    const { state } = client
    expect(state).type.toBe<ClientState>()
    if (state.is === 'waiting') expect(state.retryAt).type.toBe<number>()
    if (state.is === 'closed') expect(state.code).type.toBe<number>()
    if (state.is === 'open') expect(state.user).type.toBe<string | null>()
    expect(state).type.not.toHaveProperty('retryAt')
  })
})

describe('listeners', () => {
  test('know what they get, and are taken off by what `on` returns', () => {
    expect(client.on('state', (state) => { expect(state).type.toBe<ClientState>() })).type.toBe<() => void>()
    client.on('direct', (data, { ack }) => {
      expect(data).type.toBe<unknown>()
      expect(ack).type.toBe<string | undefined>()
    })
    client.on('joined', (joined) => { expect(joined).type.toBe<ClientRoom>() })
    room.on('gap', ({ since, position }) => {
      expect(since).type.toBe<StreamPosition | null>()
      expect(position).type.toBe<StreamPosition>()
    })
    room.on('error', (error) => { expect(error).type.toBe<HubError>() })
    room.on('message', async (data, { offset }) => {
      expect(data).type.toBe<unknown>()
      expect(offset).type.toBe<number | undefined>()
    })
    expect(client.on).type.not.toBeCallableWith('close', () => {})
  })
})

describe('rooms', () => {
  test('answer with positions', () => {
    expect(untyped.room('a')).type.toBe<ClientRoom>()
    expect(room.join({ since: { epoch: 'e', offset: 1 } })).type.toBe<Promise<StreamPosition>>()
    expect(room.publish({ any: 'thing' })).type.toBe<Promise<Partial<StreamPosition>>>()
    expect(room.leave()).type.toBe<Promise<void>>()
    expect(room.position).type.toBe<StreamPosition | null>()
  })
})
