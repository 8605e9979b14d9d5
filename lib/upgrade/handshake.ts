import type { IncomingMessage } from 'node:http'
import { FST_HUB_BAD_HANDSHAKE, FST_HUB_UPGRADE_REQUIRED } from '../errors.js'

/** Base64 of 16 bytes: RFC 6455 section 4.1, item 7 of the client's requirements. */
const KEY = /^[A-Za-z0-9+/]{22}==$/

const OF_A_BODY = ['content-length', 'transfer-encoding'] as const

/** In the place of a header's value. */
export const NONE = Symbol('none')
export const SEVERAL = Symbol('several')

/**
 * Checks what RFC 6455 section 4.2.1 and HTTP/1.1 ask of a handshake: ws and Node let more through (a missing or doubled
 * Host, HTTP/1.0, a body, versions such as `8` or `0x0d`). The request of injectWS has no raw headers and is exempt.
 * @throws FST_HUB_BAD_HANDSHAKE (400), FST_HUB_UPGRADE_REQUIRED (426) for another protocol or version
 */
export function checkHandshake (request: IncomingMessage): void {
  if (!Array.isArray(request.rawHeaders)) return
  if (request.httpVersion !== '1.1') throw new FST_HUB_BAD_HANDSHAKE(`HTTP/1.1 is needed, got HTTP/${request.httpVersion}`)
  const upgrade = only(request, 'upgrade')
  // Node's parser has seen one, or this would be no upgrade: it keeps the first 2,000 headers only.
  if (upgrade === NONE) throw new FST_HUB_BAD_HANDSHAKE('too many headers')
  if (upgrade === SEVERAL || upgrade.toLowerCase() !== 'websocket') throw new FST_HUB_UPGRADE_REQUIRED('the Upgrade header must be websocket')
  if (typeof only(request, 'host') !== 'string') throw new FST_HUB_BAD_HANDSHAKE('exactly one Host header is needed')
  for (const name of OF_A_BODY) {
    if (only(request, name) !== NONE) throw new FST_HUB_BAD_HANDSHAKE(`a handshake has no body, but there is ${name}`)
  }
  const key = only(request, 'sec-websocket-key')
  if (typeof key !== 'string' || !KEY.test(key)) throw new FST_HUB_BAD_HANDSHAKE('exactly one Sec-WebSocket-Key, base64 of 16 bytes, is needed')
  if (only(request, 'sec-websocket-version') !== '13') throw new FST_HUB_UPGRADE_REQUIRED('Sec-WebSocket-Version must be 13')
}

/** The value of a header as it came, if it came once: IncomingMessage.headers joins or drops repeated ones. */
export function only ({ rawHeaders }: IncomingMessage, name: string): string | typeof NONE | typeof SEVERAL {
  let found: string | typeof NONE = NONE
  for (let i = 0; i < rawHeaders.length; i += 2) {
    const field = rawHeaders[i] as string
    // By length first: lower case is a new string each time.
    if (field.length !== name.length || field.toLowerCase() !== name) continue
    if (found !== NONE) return SEVERAL
    found = rawHeaders[i + 1] as string
  }
  return found
}
