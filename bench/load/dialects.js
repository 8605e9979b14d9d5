// How the servers want to be spoken to: plain WebSocket messages, or Socket.IO's packets in them.
const PACKET_EVENT = '42'.charCodeAt(0)
const EVENT = '2'.charCodeAt(0)

/** `offset`, `objectOffset`: bytes in front of the head of a message, and of a published object. */
export const PLAIN = { path: '/ws', query: [], greetings: [], wrap: (text) => text, offset: 0, objectOffset: '{"id":"'.length }

/** Engine.IO 4 below Socket.IO 5: https://socket.io/docs/v4/engine-io-protocol/ */
export const SOCKET_IO = {
  path: '/socket.io/',
  query: ['EIO=4', 'transport=websocket'],
  isMessage: (bytes, at) => bytes[at] === PACKET_EVENT && bytes[at + 1] === EVENT,
  /** Answers to the first messages of the server; null where there is none, and the connection stands. */
  greetings: ['40', null],
  wrap: (text) => `42["m","${text}"]`,
  offset: '42["m","'.length,
  objectOffset: '42["m",{"id":"'.length
}
