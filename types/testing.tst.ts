import type { Clock, Connection, Hub, HubCluster, HubOptions, Message } from 'fastify-hub'
import { connect, TestClock, TestCluster, type ConnectOptions, type PeerEnd, type TestPeer } from 'fastify-hub/testing'
import { describe, expect, test } from 'tstyche'

declare const hub: Hub
declare const peer: TestPeer

type WithUndefined<T> = { [K in keyof T]: T[K] | undefined }

describe('fastify-hub/testing', () => {
  test('TestClock is a Clock, for the option clock', () => {
    expect<TestClock>().type.toBeAssignableTo<Clock>()
    expect<HubOptions['clock']>().type.toBe<Clock | undefined>()
    expect<{ clock: TestClock }>().type.toBeAssignableTo<HubOptions>()
    expect(TestClock).type.toBeConstructableWith()
    expect(TestClock).type.toBeConstructableWith(Date.now(), 0)
    expect(new TestClock().advance(60_000)).type.toBe<Promise<void>>()
    expect(new TestClock().settle()).type.toBe<Promise<void>>()
  })

  test('TestCluster is for the option cluster, and its methods take hubs', () => {
    expect<{ cluster: TestCluster }>().type.toBeAssignableTo<HubOptions>()
    expect<HubOptions['cluster']>().type.toBe<HubCluster | undefined>()
    expect(TestCluster).type.toBeConstructableWith()
    expect(TestCluster).type.toBeConstructableWith({ clock: new TestClock() })
    expect(TestCluster).type.toBeConstructableWith({ clock: undefined })
    expect(new TestCluster().clock).type.toBe<Clock>()
    expect(new TestCluster().cut(hub)).type.toBe<void>()
    expect(new TestCluster().heal(hub)).type.toBe<void>()
    expect(new TestCluster().delay).type.toBeCallableWith(hub, 100)
    expect(new TestCluster().double).type.toBeCallableWith(hub)
    expect(new TestCluster().double).type.toBeCallableWith(hub, false)
    expect(new TestCluster().cut).type.not.toBeCallableWith('node')
  })

  test('connect takes who connects', () => {
    expect(connect(hub)).type.toBe<Promise<TestPeer>>()
    expect(connect).type.toBeCallableWith(hub, { user: 'ada', device: 'web', data: {}, ip: null, subprotocol: 'chat', kernel: 1_024 })
    expect(connect).type.not.toBeCallableWith(hub, { usr: 'ada' })
    expect<WithUndefined<ConnectOptions>>().type.toBeAssignableTo<ConnectOptions>()
  })

  test('a peer shows what it has seen', () => {
    expect(peer.connection).type.toBe<Connection>()
    expect(peer.messages).type.toBe<readonly Message[]>()
    expect(peer.next()).type.toBe<Promise<Message>>()
    expect(peer.closed).type.toBe<Promise<PeerEnd>>()
    expect(peer.ended).type.toBe<PeerEnd | null>()
    expect<PeerEnd>().type.toBe<{ code: number, reason: string }>()
  })
})
