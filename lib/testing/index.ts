export { connect } from './connect.js'
export type { ConnectOptions } from './connect.js'
export { TestClock } from './test-clock.js'
export type { PeerEnd, TestPeer } from './test-peer.js'
