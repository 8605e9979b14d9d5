// One raw WebSocket of the load: lean, so that the load is not what is measured. It reads into a buffer that all of them share, and
// looks at a message's head only.
import { connect } from 'node:net'
import { PLAIN } from './dialects.js'

/** So much of a message's beginning is looked at. */
const PEEK = 48
const MASK = [0x12, 0x34, 0x56, 0x78]
const SHARED = Buffer.allocUnsafeSlow(64 * 1024)
const DIGIT_0 = 48
const RSV1 = 0x40

/** A client's frame, text, masked. */
export function clientFrame (text) {
  return frameOf(0x81, Buffer.from(text))
}

function frameOf (first, body) {
  const { length } = body
  const header = length < 126 ? [first, 0x80 | length] : length < 65_536 ? [first, 0x80 | 126, length >> 8, length & 0xff] : [first, 0x80 | 127, 0, 0, 0, 0, length >>> 24, length >> 16 & 0xff, length >> 8 & 0xff, length & 0xff]
  const frame = Buffer.allocUnsafe(header.length + 4 + length)
  frame.set(header)
  frame.set(MASK, header.length)
  for (let i = 0, at = header.length + 4; i < length; i++, at++) frame[at] = body[i] ^ MASK[i & 3]
  return frame
}

function digits (buffer, from, count) {
  let value = 0
  for (let i = from; i < from + count; i++) value = value * 10 + buffer[i] - DIGIT_0
  return value
}

export class Peer {
  /** The number of the last message that came. */
  last = 0
  open = false
  closed = false
  #socket
  #onMessage
  #dialect
  #offset
  /** A frame whose head has not come completely. */
  #rest = null
  /** Bytes of the payload that are still to come and that nobody looks at. */
  #skip = 0
  #final = true
  #number = 0
  #room = 0
  #opened
  /** Messages of the server's protocol that are still to come. */
  #greetings

  /**
   * @param options.onMessage called with the peer, the room and the number of each message
   * @param options.offset bytes in front of a message's head
   */
  constructor ({ port, localAddress, room = null, user = null, deflate = false, dialect = PLAIN, offset = 0, onMessage }) {
    this.#onMessage = onMessage
    this.#dialect = dialect
    this.#offset = offset
    this.#greetings = dialect.greetings.length
    this.ready = new Promise((resolve, reject) => { this.#opened = { resolve, reject } })
    this.ready.catch(() => {})
    const socket = this.#socket = connect({
      port,
      host: '127.0.0.1',
      localAddress,
      noDelay: true,
      onread: { buffer: SHARED, callback: (count, buffer) => this.#read(buffer, count) }
    })
    socket.on('error', (error) => { this.#opened.reject(error) })
    socket.on('close', () => {
      this.closed = true
      this.#opened.reject(new Error('closed before it was open'))
    })
    const query = [...dialect.query, ...room === null ? [] : [`room=${room}`], ...user === null ? [] : [`user=${user}`]].join('&')
    socket.write([
      `GET ${dialect.path}${query === '' ? '' : `?${query}`} HTTP/1.1`, `Host: 127.0.0.1:${port}`, 'Connection: Upgrade', 'Upgrade: websocket',
      'User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36',
      'Origin: https://app.example.com', 'Sec-WebSocket-Version: 13', 'Accept-Encoding: gzip, deflate, br, zstd', 'Accept-Language: en-US,en;q=0.9',
      'Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==', ...deflate ? ['Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits'] : [], '', ''
    ].join('\r\n'))
  }

  /** Sends a client's frame, or several. */
  write (frames) { this.#socket.write(frames) }

  /** Reads no more. */
  stop () { this.#socket.pause() }

  destroy () { this.#socket.destroy() }

  #read (buffer, count) {
    let bytes = buffer
    let end = count
    if (this.#rest !== null) {
      bytes = Buffer.concat([this.#rest, buffer.subarray(0, count)])
      end = bytes.length
      this.#rest = null
    }
    let at = this.open ? 0 : this.#handshake(bytes, end)
    if (at < end) at = this.#frames(bytes, at, end)
    if (at < end) this.#rest = Buffer.from(bytes.subarray(at, end))
    return true
  }

  #handshake (bytes, end) {
    const blank = bytes.subarray(0, end).indexOf('\r\n\r\n')
    if (blank === -1) return 0
    const response = bytes.toString('latin1', 0, blank)
    if (!response.startsWith('HTTP/1.1 101')) this.#opened.reject(new Error(response))
    this.open = true
    if (this.#greetings === 0) this.#opened.resolve()
    return blank + 4
  }

  /** @returns where the frame begins whose head is not complete */
  #frames (bytes, start, end) {
    let at = start
    while (at < end) {
      if (this.#skip > 0) {
        const some = Math.min(this.#skip, end - at)
        at += some
        this.#skip -= some
        if (this.#skip === 0 && this.#final) this.#deliver()
        continue
      }
      if (end - at < 2) return at
      const first = bytes[at]
      let length = bytes[at + 1]
      let head = 2
      if (length === 126) {
        if (end - at < 4) return at
        length = bytes[at + 2] << 8 | bytes[at + 3]
        head = 4
      } else if (length === 127) {
        if (end - at < 10) return at
        length = bytes.readUInt32BE(at + 6)
        head = 10
      }
      const opcode = first & 0x0f
      const looked = opcode >= 8 ? length : Math.min(length, PEEK)
      if (end - at < head + looked) return at
      if (opcode >= 8) {
        if (opcode === 9) this.#socket.write(frameOf(0x8a, bytes.subarray(at + head, at + head + length)))
        at += head + length
        continue
      }
      this.#final = (first & 0x80) !== 0
      if ((first & RSV1) !== 0 && this.#greetings === 0) {
        // Compressed: nobody looks into it, and messages come in order.
        this.#number = this.last + 1
      } else if (opcode !== 0 && !this.#head(bytes, at + head)) {
        at += head + length
        continue
      }
      at += head
      const here = Math.min(length, end - at)
      at += here
      this.#skip = length - here
      if (this.#skip === 0 && this.#final) this.#deliver()
    }
    return at
  }

  /** @returns whether it is a message of ours, and not one of the server's protocol */
  #head (bytes, at) {
    const { greetings } = this.#dialect
    if (this.#greetings > 0) {
      const answer = greetings[greetings.length - this.#greetings--]
      if (answer === null) this.#opened.resolve()
      else this.#socket.write(clientFrame(answer))
      return false
    }
    if (greetings.length > 0 && !this.#dialect.isMessage(bytes, at)) return false
    const head = at + this.#offset
    this.#room = digits(bytes, head + 1, 2)
    this.#number = digits(bytes, head + 3, 8)
    return true
  }

  #deliver () {
    this.#onMessage(this, this.#room, this.#number)
    this.last = this.#number
  }
}
